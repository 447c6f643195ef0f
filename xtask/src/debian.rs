//! Packages of Debian and its relatives, when we may install them.

use std::{path::Path, process::Command, time::Duration};

use anyhow::{Result, ensure};

use crate::{environment, runner::Runner};

const PATIENCE: Duration = Duration::from_secs(300);

/// Whether packages can be installed: a Debian on which we are root.
pub(crate) fn can_install() -> bool {
    Path::new("/etc/debian_version").exists()
        && environment::program("apt-get").is_some()
        && is_root()
}

/// Installs packages.
pub(crate) fn install(runner: &Runner, packages: &[&str]) -> Result<()> {
    for arguments in [
        &["update", "-q"][..],
        &["install", "-yq", "--no-install-recommends"],
    ] {
        let mut apt = Command::new("apt-get");
        // Run level 1 keeps packages from starting their services: we start our own, on free ports.
        apt.args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env("RUNLEVEL", "1");
        if arguments.first() == Some(&"install") {
            apt.args(packages);
        }
        let ok = runner.run(&mut apt, PATIENCE)?;
        ensure!(
            ok,
            "apt-get {} failed, see above: install {} by hand",
            arguments.join(" "),
            packages.join(" ")
        );
    }
    Ok(())
}

/// Whether we are root.
pub(crate) fn is_root() -> bool {
    Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| String::from_utf8_lossy(&output.stdout).trim() == "0")
}
