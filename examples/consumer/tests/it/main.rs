//! The program as operators meet it: its command line, what it tells the service manager, and the status it ends with.

#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    reason = "clippy knows test functions, not what they call"
)]

mod process;

use process::{Consumer, File, run};

const SERVED: &str = "{v: {queue: q, fernet_key: null, exchanges: {dx_example: {type: direct}}}}";

const INCOMPLETE: &str =
    "{v: {queue: q, exchanges: {dx_example: {type: direct}, dx_gone: {type: direct}}}}";

#[test]
fn tells_the_service_manager_and_drains_on_sigterm() {
    let file = File::new(SERVED);
    let mut consumer = Consumer::start(&file, &[]);
    assert_eq!(consumer.told(), "READY=1\nSTATUS=serving v\n");
    consumer.terminate();
    assert_eq!(
        consumer.told(),
        "STOPPING=1\nSTATUS=finishing the requests under way\n"
    );
    let (status, log) = consumer.end();
    assert_eq!(status, Some(0), "{log}");
    let serving =
        "[main] [INFO] tidings_consumer::serve: serving virtual_host=v queue=q exchanges=1\n";
    assert!(log.starts_with(serving), "{log}");
    assert!(log.ends_with("drained\n"), "{log}");
}

#[test]
fn an_exchange_without_a_handler_is_in_the_log_and_in_the_status() {
    let file = File::new(INCOMPLETE);
    let mut consumer = Consumer::start(&file, &["--log-format=json"]);
    assert_eq!(
        consumer.told(),
        "READY=1\nSTATUS=not ready: virtual host `v`: no handler for exchange `dx_gone`\n"
    );
    consumer.terminate();
    let (status, log) = consumer.end();
    assert_eq!(status, Some(0), "{log}");
    let first = log.lines().next().unwrap();
    for part in [
        "\"level\":\"ERROR\"",
        "\"exchange\":\"dx_gone\"",
        "`dx_example`",
    ] {
        assert!(first.contains(part), "{first}");
    }
}

/// What a command line ends with, and what it prints.
fn check(line: &[&str], status: i32, out: &str, err: &str) {
    let ended = run(line);
    assert_eq!(ended.status, Some(status), "{line:?}: {ended:?}");
    assert!(ended.out.contains(out), "{line:?}: {ended:?}");
    assert!(ended.err.contains(err), "{line:?}: {ended:?}");
}

#[test]
fn a_command_line_that_cannot_be_understood_shows_the_usage() {
    check(&[], 1, "", "Usage: ");
    check(
        &["--virtual-host-name=v"],
        1,
        "",
        "--config-file-path <PATH>",
    );
    check(&["--help"], 0, "--virtual-host-name <NAME>", "");
}

#[test]
fn what_is_wrong_with_the_file_ends_it_before_it_has_begun() {
    let served = File::new(SERVED);
    let path = served.path();
    let gone = format!("{path}.gone");
    check(
        &["--virtual-host-name=v", "--config-file-path", &gone],
        1,
        "",
        "cannot be read",
    );
    check(
        &["--virtual-host-name=w", "--config-file-path", path],
        1,
        "",
        "which has `v`",
    );
    let wrong = File::new("{v: {exchanges: {}}}");
    check(
        &["--virtual-host-name=v", "--config-file-path", wrong.path()],
        1,
        "",
        ":2:20: `virtual_hosts.v.queue` is missing",
    );
}

#[test]
fn the_schema_of_a_request_is_printed_without_a_file() {
    let printed = run(&["--schema", "dx_example"]);
    let schema: serde_json::Value = serde_json::from_str(&printed.out).unwrap();
    assert_eq!(printed.status, Some(0), "{printed:?}");
    assert_eq!(schema["required"], serde_json::json!(["favourite_food"]));
    check(
        &["--schema", "dx_gone"],
        1,
        "",
        "linked into this program are handlers for `dx_example`",
    );
}

#[test]
fn checking_says_what_would_be_served() {
    let served = File::new(SERVED);
    let line = ["--all-virtual-hosts", "--check", "--config-file-path"];
    check(
        &[&line[..], &[served.path()]].concat(),
        0,
        "virtual host `v`: queue `q`, 5 requests at a time\n  dx_example: ",
        "",
    );
    let incomplete = File::new(INCOMPLETE);
    check(
        &[&line[..], &[incomplete.path()]].concat(),
        1,
        "  dx_gone: NO HANDLER\n",
        "",
    );
    check(
        &[
            &line[1..],
            &[incomplete.path(), "--strict", "--virtual-host-name=v"],
        ]
        .concat(),
        2,
        "",
        "no handler for exchange `dx_gone`; linked into this program are handlers for `dx_example`",
    );
}
