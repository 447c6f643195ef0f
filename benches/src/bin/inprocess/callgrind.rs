//! Runs this program again as a child, plainly to count allocations and under callgrind to count instructions.
//!
//! Calls into the kernel are not counted, and the machine's speed does not matter: the same program executes the
//! same number of instructions on a busy machine.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, anyhow, bail};
use tempfile::TempDir;

use crate::measured::{Allocated, REGION};

/// The argument by which this program knows that it is a child.
pub const CHILD: &str = "child";

/// How to get what is missing.
pub const MISSING: &str = "SKIPPED: instructions are counted by valgrind, which is not installed: apt-get install valgrind";

/// Starts children. Profiles are kept if somebody wants them.
#[derive(Debug)]
pub struct Children {
    program: PathBuf,
    has_valgrind: bool,
    profiles: PathBuf,
    _scratch: TempDir,
}

impl Children {
    /// Looks for valgrind. Profiles go to `keep`, or away at the end.
    pub fn new(keep: Option<&Path>) -> Result<Self> {
        let scratch = tempfile::tempdir()?;
        let profiles = keep.unwrap_or(scratch.path()).to_owned();
        fs::create_dir_all(&profiles)
            .with_context(|| format!("cannot create {}", profiles.display()))?;
        let version = Command::new("valgrind")
            .arg("--version")
            .stdout(Stdio::null())
            .status();
        Ok(Self {
            program: env::current_exe()?,
            has_valgrind: version.is_ok_and(|status| status.success()),
            profiles,
            _scratch: scratch,
        })
    }

    /// Whether instructions can be counted.
    pub fn has_valgrind(&self) -> bool {
        self.has_valgrind
    }

    /// What a scenario allocates in the measured region.
    pub fn allocated(&self, scenario: &str, messages: usize) -> Result<Allocated> {
        let mut child = Command::new(&self.program);
        child.args([CHILD, scenario, &messages.to_string()]);
        let answer = output(&mut child, scenario)?;
        Ok(serde_json::from_slice(&answer)?)
    }

    /// How many instructions a scenario executes in the measured region.
    pub fn instructions(&self, scenario: &str, messages: usize) -> Result<u64> {
        let profile = self.profiles.join(format!("{scenario}.{messages}"));
        let mut child = Command::new("valgrind");
        child
            .args(["--tool=callgrind", "--collect-atstart=no"])
            .arg(format!("--toggle-collect=*{REGION}*"))
            .arg(format!("--callgrind-out-file={}", profile.display()))
            .arg(&self.program)
            .args([CHILD, scenario, &messages.to_string()]);
        output(&mut child, scenario)?;
        let profile = fs::read_to_string(&profile)
            .with_context(|| format!("callgrind left no {}", profile.display()))?;
        total(&profile).ok_or_else(|| anyhow!("callgrind counted nothing in `{scenario}`"))
    }
}

fn output(child: &mut Command, scenario: &str) -> Result<Vec<u8>> {
    let output = child
        .output()
        .with_context(|| format!("cannot start {child:?}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!(
            "the run of `{scenario}` failed ({}):\n{said}",
            output.status
        );
    }
    Ok(output.stdout)
}

fn total(profile: &str) -> Option<u64> {
    let totals = profile
        .lines()
        .find_map(|line| line.strip_prefix("totals: "))?;
    totals.trim().parse().ok().filter(|total| *total > 0)
}
