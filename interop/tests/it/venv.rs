//! A virtual environment with real packages from PyPI, made once and kept under `target/`.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The petisco on the other side, with its client of RabbitMQ.
pub(crate) const PETISCO: &str = "petisco[rabbitmq]==2.2.3";

/// The interpreter of an environment with this requirement, or why there is none.
pub(crate) fn python(requirement: &str) -> Result<PathBuf, String> {
    let all = Path::new(env!("CARGO_TARGET_TMPDIR")).join("venv");
    let folder = all.join(requirement.replace(['[', ']', '='], "-"));
    let (python, marker) = (folder.join("bin/python"), folder.join("installed"));
    fs::create_dir_all(&all).map_err(|error| error.to_string())?;
    // Several test processes may want it, and one makes it. The lock ends with the file.
    let lock = File::create(lock_of(&folder)).map_err(|error| error.to_string())?;
    lock.lock().map_err(|error| error.to_string())?;
    if fs::read_to_string(&marker).is_ok_and(|installed| installed == requirement) {
        return Ok(python);
    }
    // Half an environment, from a run that was ended, is worth nothing.
    fs::remove_dir_all(&folder).ok();
    fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    let pip = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-compile",
    ];
    run(Command::new(&python).args(pip).arg(requirement))?;
    fs::write(&marker, requirement).map_err(|error| error.to_string())?;
    Ok(python)
}

/// Says that a test cannot run; on CI that is a failure.
#[expect(
    clippy::disallowed_methods,
    reason = "the one variable that decides whether a skip is a failure is read here"
)]
pub(crate) fn skip(what: &str, why: &str) {
    let is_ci = std::env::var("CI").is_ok_and(|ci| !matches!(&*ci, "" | "0" | "false"));
    assert!(!is_ci, "{what} cannot be had: {why}");
    println!("SKIPPED: {what} cannot be had: {why}");
}

/// Beside the folder. Appended, because the end of a version looks like an extension and must stay.
fn lock_of(folder: &Path) -> PathBuf {
    let mut lock = folder.as_os_str().to_owned();
    lock.push(".lock");
    lock.into()
}

#[test]
fn two_versions_have_two_locks() {
    let check = |folder: &str, lock: &str| assert_eq!(lock_of(Path::new(folder)), Path::new(lock));
    check("venv/petisco--2.2.3", "venv/petisco--2.2.3.lock");
    check("venv/petisco--2.2.4", "venv/petisco--2.2.4.lock");
}

fn run(command: &mut Command) -> Result<(), String> {
    let what = format!("{command:?}");
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{what}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(format!("{what}: {errors}"))
}
