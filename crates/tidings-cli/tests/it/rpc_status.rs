//! `tidings rpc status`: what systemd says of the consumers, and what a monitor makes of it.
//!
//! Where the tests run there is no systemd, so a program of its name answers what systemd would.

use std::{fs, os::unix::fs::PermissionsExt};

use crate::bed::{Bed, Ran};

/// Answers by the files `show` and `list-units`; asked for what a target wants, by the file `wanted`.
const SYSTEMCTL: &str = r#"#!/bin/sh
cd "$(dirname "$0")" || exit 9
case "$*" in
*Wants*) cat wanted ;;
show*) cat show ;;
list-units*) cat list-units ;;
*) echo "unexpected: $*" >&2; exit 9 ;;
esac
"#;

const RUNNING: &str = "Id=tidings-consume@web.service\nLoadState=loaded\nActiveState=active\nSubState=running\n\
                       Result=success\nExecMainStatus=0\nNRestarts=0\nActiveEnterTimestampMonotonic=1000000\n";
const CRASHING: &str = "Id=tidings-consume@mail.service\nLoadState=loaded\nActiveState=activating\n\
                        SubState=auto-restart\nResult=exit-code\nExecMainStatus=1\nNRestarts=12\n\
                        ActiveEnterTimestampMonotonic=0\n";
const ENDED: &str = "Id=tidings-consume@dns.service\nLoadState=loaded\nActiveState=inactive\nSubState=dead\n\
                     Result=success\nExecMainStatus=0\nNRestarts=0\nActiveEnterTimestampMonotonic=0\n";

async fn status(units: &[&str], arguments: &[&str]) -> Ran {
    let bed = Bed::embedded();
    let program = bed.file("systemctl");
    fs::write(&program, SYSTEMCTL).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let names = units
        .iter()
        .map(|unit| unit.lines().next().unwrap().trim_start_matches("Id="));
    let names: Vec<_> = names.collect();
    bed.write("show", &units.join("\n"));
    bed.write("wanted", &format!("Wants={}\nRequires=\n", names.join(" ")));
    bed.write(
        "list-units",
        &names.first().map_or(String::new(), |name| {
            format!("{name} loaded active running x\n")
        }),
    );
    let mut command = bed.bare(&[&["rpc", "status"], arguments].concat());
    let path = bed.file("").display().to_string();
    command.env("PATH", format!("{path}:/usr/bin:/bin"));
    Ran::of(command, "").await
}

#[tokio::test]
async fn all_running_is_ok() {
    status(&[RUNNING], &[])
        .await
        .ok()
        .says("OK: 1 consumer running")
        .says("running");
}

#[tokio::test]
async fn a_consumer_that_waits_for_its_restart_is_critical() {
    let ran = status(&[RUNNING, CRASHING], &[]).await;
    ran.ended(2)
        .says("CRITICAL: tidings-consume@mail.service restarting")
        .says("last ended with exit-code, status 1");
}

#[tokio::test]
async fn a_consumer_that_ended_with_success_is_critical() {
    let ran = status(&[ENDED], &["--output", "json"]).await.ended(2);
    let report = ran.json();
    assert_eq!(report["status"], "CRITICAL");
    assert_eq!(report["units"][0]["state"], "dead");
}

#[tokio::test]
async fn no_consumer_at_all_is_unknown() {
    status(&[], &[])
        .await
        .ended(3)
        .says("UNKNOWN: there is no consumer");
}

#[tokio::test]
async fn without_systemd_it_is_unknown_and_says_so() {
    let bed = Bed::embedded();
    let mut command = bed.bare(&["rpc", "status"]);
    command.env("PATH", bed.file(""));
    Ran::of(command, "")
        .await
        .ended(3)
        .says("cannot run `systemctl`");
}

#[tokio::test]
async fn wrong_usage_is_unknown_and_no_alarm() {
    for arguments in [
        &["--untis", "x"][..],
        &["--unit"],
        &["--output", "xml"],
        &["surplus"],
    ] {
        let ran = status(&[RUNNING], arguments).await;
        let ran = ran.ended(3).says("UNKNOWN: wrong usage: ");
        assert!(ran.err.contains("error: "), "{ran:#?}");
        assert_eq!(ran.out.lines().count(), 1, "{ran:#?}");
    }
    let bed = Bed::embedded();
    bed.run(&["rpc", "--untis", "status"]).await.ended(3);
    bed.run(&["rpc", "state"]).await.ended(2);
    bed.run(&["rpc", "status", "--help"]).await.ok();
}
