//! `cargo xtask package`: the example consumer as a Debian package, with its units and maintainer scripts.
//!
//! The files are in `packaging/`, as they are installed; here they are put where they belong. Whoever has a consumer of
//! their own copies that folder and changes the names. Building the archive is dpkg's business.

mod control;
#[cfg(test)]
mod scripts;
mod stage;

use std::{fs, path::PathBuf, process::Command, time::Duration};

use anyhow::{Context, Result, bail, ensure};

use self::{control::Control, stage::Stage};
use crate::{environment, runner::Runner, workspace::Workspace};

/// What is packaged.
const PACKAGE: &str = "tidings-example-consumer";

/// A release build from nothing on a slow machine.
const BUILDING: Duration = Duration::from_secs(45 * 60);
/// Compressing and writing it.
const PACKING: Duration = Duration::from_secs(120);

/// What can be said to `cargo xtask package`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The Cargo profile: `dev` builds faster, to try the package out
    #[arg(long, default_value = "release", value_name = "NAME")]
    profile: String,
    /// The folder that gets the package
    #[arg(long, default_value = "target/package", value_name = "FOLDER")]
    to: PathBuf,
}

/// Builds the package and says where it is.
pub(crate) fn run(runner: &Runner, workspace: &Workspace, options: &Options) -> Result<bool> {
    ensure!(
        environment::program("dpkg-deb").is_some(),
        "there is no `dpkg-deb`: packages are built on Debian and its relatives"
    );
    let built = [
        "build",
        "--locked",
        "--package",
        PACKAGE,
        "--profile",
        &options.profile,
    ];
    if !runner.run(&mut runner.cargo(&built), BUILDING)? {
        return Ok(false);
    }
    let folder = workspace.root().join(&options.to);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let control = Control::of(workspace, PACKAGE)?;
    let archive = folder.join(control.file_name());
    let stage = Stage::fill(
        &folder.join("stage"),
        workspace.root(),
        &binary(workspace, &options.profile)?,
    )?;
    stage.describe(&control)?;
    pack(runner, &stage, &archive)?;
    println!("\n{}", workspace.relative(&archive));
    println!("install it:   apt install {}", archive.display());
    println!("then:         cp /usr/share/doc/{PACKAGE}/rpc.yml.example /etc/tidings/rpc.yml");
    println!("              systemctl enable --now tidings-consume@VIRTUAL-HOST");
    Ok(true)
}

fn binary(workspace: &Workspace, profile: &str) -> Result<PathBuf> {
    let folder = if profile == "dev" { "debug" } else { profile };
    let binary = workspace.target().join(folder).join(PACKAGE);
    ensure!(
        binary.is_file(),
        "the build has left no {}",
        binary.display()
    );
    Ok(binary)
}

fn pack(runner: &Runner, stage: &Stage, archive: &std::path::Path) -> Result<()> {
    let mut dpkg = Command::new("dpkg-deb");
    dpkg.args(["--root-owner-group", "--build"])
        .arg(stage.root())
        .arg(archive);
    if !runner.run(&mut dpkg, PACKING)? {
        bail!("dpkg-deb has refused the package, see above");
    }
    Ok(())
}
