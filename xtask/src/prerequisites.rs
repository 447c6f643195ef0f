//! What a machine needs besides Rust: a C compiler for the bundled SQLite, and Python for the interop tests.

use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::{debian, environment, runner::Runner};

/// Checks that what the build and the tests call is there; a C compiler is installed where we may do that.
pub(crate) fn check(runner: &Runner) -> Result<()> {
    let compiler = environment::variable("CC").unwrap_or_else(|| "cc".into());
    if !exists(&compiler) {
        if !debian::can_install() {
            bail!(
                "there is no C compiler `{compiler}`, which SQLite is built with: install gcc, or set CC"
            );
        }
        println!("there is no C compiler: installing gcc");
        debian::install(runner, &["gcc", "libc6-dev"])?;
    }
    if !exists("python3") {
        bail!("there is no `python3`, which some tests run: install Python 3");
    }
    python_environments(runner)
}

/// The interop tests install Python packages into an environment of their own; Debian packs what makes one apart.
/// Elsewhere those tests say themselves that they are skipped, and why.
fn python_environments(runner: &Runner) -> Result<()> {
    let made = Command::new("python3")
        .args(["-c", "import ensurepip, venv"])
        .stderr(Stdio::null())
        .status();
    if made.is_ok_and(|status| status.success()) || !debian::can_install() {
        return Ok(());
    }
    println!("Python cannot make environments: installing python3-venv");
    debian::install(runner, &["python3-venv"])
}

/// Whether a command can be run: its first word, because `CC` may carry arguments.
fn exists(command: &str) -> bool {
    let program = command.split_whitespace().next().unwrap_or_default();
    std::path::Path::new(program).is_absolute() || environment::program(program).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_programs_on_the_search_path() {
        assert!(exists("sh"));
        assert!(exists("sh -c"));
        assert!(!exists("no-such-compiler"));
    }
}
