//! Python peers: real packages in a virtual environment, made once and kept beside the benchmarks.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

/// The interpreter of an environment with these packages; makes it if need be.
pub fn python(requirements: &[&str]) -> Result<PathBuf> {
    let name = requirements.join("+").replace(['[', ']', '='], "-");
    let folder = beside().join(name);
    let (python, marker) = (folder.join("bin/python"), folder.join("installed"));
    let wanted = requirements.join("\n");
    if fs::read_to_string(&marker).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    // Half an environment, from a run that was ended, is worth nothing.
    fs::remove_dir_all(&folder).ok();
    fs::create_dir_all(&folder)?;
    answer(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    let install = ["-m", "pip", "install", "--quiet"];
    answer(Command::new(&python).args(install).args(requirements))?;
    fs::write(marker, wanted)?;
    Ok(python)
}

/// Runs a program to its end and returns what it printed.
pub fn answer(command: &mut Command) -> Result<Vec<u8>> {
    let program = command.get_program().display().to_string();
    let output = command.stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("cannot start {program}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} failed: {}", said.trim());
    Ok(output.stdout)
}

/// Beside this program: it is kept until the artefacts are removed.
fn beside() -> PathBuf {
    let program = env::current_exe().unwrap_or_default();
    program.parent().unwrap_or(Path::new(".")).to_owned()
}
