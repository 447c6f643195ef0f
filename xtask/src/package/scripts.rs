//! The maintainer scripts and the archive, tried without a service manager and without root.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use super::{control::Control, stage::Stage};
use crate::{environment, workspace::Workspace};

/// A folder with programs that only write down how they were called.
struct Bed {
    folder: PathBuf,
}

impl Bed {
    fn new(name: &str) -> Self {
        let folder =
            std::env::temp_dir().join(format!("tidings-package-{name}-{}", std::process::id()));
        fs::create_dir_all(folder.join("bin")).unwrap();
        fs::create_dir_all(folder.join("run/systemd/system")).unwrap();
        let bed = Self { folder };
        for program in ["systemctl", "adduser", "chown"] {
            bed.program(
                program,
                &format!("echo {program} \"$@\" >> '{}'\n", bed.log().display()),
            );
        }
        bed.program("getent", "exit 2\n");
        bed
    }

    fn program(&self, name: &str, body: &str) {
        let path = self.folder.join("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{body}")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// Runs a script as dpkg does, with every path of the system moved into this folder, and returns what it called.
    fn run(&self, script: &str, arguments: &[&str]) -> Vec<String> {
        let text = fs::read_to_string(packaging().join("debian").join(script)).unwrap();
        let inside = |path: &str| format!("{}{path}", self.folder.display());
        let text = text
            .replace("/etc/", &inside("/etc/"))
            .replace("/run/", &inside("/run/"));
        let ran = Command::new("sh")
            .args(["-c", &text, script])
            .args(arguments)
            .env(
                "PATH",
                format!("{}:/usr/bin:/bin", self.folder.join("bin").display()),
            )
            .output()
            .unwrap();
        assert!(ran.status.success(), "{script}: {ran:?}");
        let called = fs::read_to_string(self.log()).unwrap_or_default();
        fs::write(self.log(), "").unwrap();
        called.lines().map(str::to_owned).collect()
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.folder).ok();
    }
}

fn packaging() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging")
}

const RESTART: &str =
    "systemctl --no-block try-restart tidings-consume.target tidings-consume@*.service";

#[test]
fn a_first_installation_makes_the_user_and_starts_nothing_but_the_target() {
    let bed = Bed::new("first");
    let called = bed.run("postinst", &["configure", ""]);
    assert!(
        called
            .iter()
            .any(|call| call.starts_with("adduser --system --group")),
        "{called:?}"
    );
    assert!(
        called.contains(&"systemctl start tidings-consume.target".to_owned()),
        "{called:?}"
    );
    assert!(!called.contains(&RESTART.to_owned()), "{called:?}");
    let folder = fs::metadata(bed.folder.join("etc/tidings")).unwrap();
    assert_eq!(folder.permissions().mode() & 0o777, 0o750);
}

#[test]
fn an_update_and_a_trigger_restart_what_runs_and_wait_for_no_broker() {
    let bed = Bed::new("update");
    for arguments in [
        &["configure", "0.0.9"][..],
        &["triggered", "tidings-consumer-restart"],
    ] {
        let called = bed.run("postinst", arguments);
        assert!(
            called.contains(&RESTART.to_owned()),
            "{arguments:?}: {called:?}"
        );
        assert!(
            !called.iter().any(|call| call.contains("enable")),
            "{called:?}"
        );
    }
    assert_eq!(
        bed.run("prerm", &["upgrade", "0.2.0"]),
        Vec::<String>::new(),
        "an update stops nothing"
    );
}

#[test]
fn a_removal_drains_and_a_purge_forgets_the_passwords() {
    let bed = Bed::new("removal");
    bed.run("postinst", &["configure", ""]);
    let called = bed.run("prerm", &["remove"]);
    assert!(
        called[0].starts_with("systemctl stop tidings-consume.target"),
        "{called:?}"
    );
    bed.run("postrm", &["remove"]);
    assert!(bed.folder.join("etc/tidings").exists());
    bed.run("postrm", &["purge"]);
    assert!(!bed.folder.join("etc/tidings").exists());
}

#[test]
fn the_archive_holds_what_is_installed() {
    if environment::program("dpkg-deb").is_none() {
        println!("SKIPPED: there is no dpkg-deb");
        return;
    }
    let bed = Bed::new("archive");
    let workspace = Workspace::find().unwrap();
    let stage = Stage::fill(
        &bed.folder.join("stage"),
        workspace.root(),
        &bed.folder.join("bin/getent"),
    )
    .unwrap();
    let control = Control::of(&workspace, "xtask").unwrap();
    stage.describe(&control).unwrap();
    let archive = bed.folder.join("it.deb");
    let dpkg = |arguments: &[&str], paths: &[&Path]| {
        let ran = Command::new("dpkg-deb")
            .args(arguments)
            .args(paths)
            .output()
            .unwrap();
        assert!(ran.status.success(), "{ran:?}");
        String::from_utf8(ran.stdout).unwrap()
    };
    dpkg(
        &["--root-owner-group", "--build"],
        &[stage.root(), &archive],
    );
    let listed = dpkg(&["--contents"], &[&archive]);
    for installed in [
        "-rwxr-xr-x root/root",
        "./usr/bin/tidings-example-consumer",
        "./usr/lib/systemd/system/tidings-consume@.service",
        "./usr/lib/systemd/system/tidings-consume.target",
        "./usr/share/doc/tidings-example-consumer/LICENSE-MIT",
    ] {
        assert!(listed.contains(installed), "{installed}: {listed}");
    }
    let triggers = dpkg(&["--info"], &[&archive]);
    assert!(
        triggers.contains("triggers") && triggers.contains("Package: tidings-example-consumer"),
        "{triggers}"
    );
}
