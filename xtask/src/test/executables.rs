//! The programs that `cargo test` builds, to run some of them without it.

use std::{path::PathBuf, process::Command, time::Duration};

use anyhow::{Result, ensure};
use cargo_metadata::{Artifact, Message, Package};

use crate::runner::Runner;

/// A program with tests.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Executable {
    /// The name of its package, and where that is: tests run there.
    pub(super) package: String,
    folder: PathBuf,
    program: PathBuf,
}

impl Executable {
    /// Runs a `cargo test --no-run`, and says what it has built.
    pub(super) fn build(
        mut cargo: Command,
        packages: &[Package],
        runner: &Runner,
        limit: Duration,
    ) -> Result<Vec<Self>> {
        cargo.arg("--message-format=json-render-diagnostics");
        let mut lines = String::new();
        let built = runner.run_quietly(&mut cargo, limit, |line| {
            lines.push_str(line);
            lines.push('\n');
        })?;
        ensure!(built, "the tests do not build, see above");
        Ok(Self::read(&lines, packages))
    }

    fn read(messages: &str, packages: &[Package]) -> Vec<Self> {
        Message::parse_stream(messages.as_bytes())
            .filter_map(Result::ok)
            .filter_map(|message| match message {
                Message::CompilerArtifact(artifact) => Self::of(artifact, packages),
                _ => None,
            })
            .collect()
    }

    fn of(artifact: Artifact, packages: &[Package]) -> Option<Self> {
        let is_its = |package: &&Package| package.id == artifact.package_id;
        let package = packages.iter().find(is_its)?.name.to_string();
        let folder = artifact.manifest_path.parent()?.to_owned();
        let program = artifact.executable.filter(|_| artifact.profile.test)?;
        Some(Self {
            package,
            folder: folder.into(),
            program: program.into(),
        })
    }

    /// As cargo runs it.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .current_dir(&self.folder)
            .env("CARGO_MANIFEST_DIR", &self.folder);
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Workspace;

    #[test]
    fn finds_the_programs_with_tests_and_where_they_run() {
        let workspace = Workspace::find().unwrap();
        let of = |name: &str| {
            workspace
                .packages()
                .iter()
                .find(|it| it.name == name)
                .unwrap()
        };
        let ours = of("xtask");
        let message = |test: bool, executable: &str| {
            serde_json::json!({
                "reason": "compiler-artifact",
                "package_id": ours.id,
                "manifest_path": ours.manifest_path,
                "target": ours.targets[0],
                "profile": {
                    "opt_level": "0",
                    "debuginfo": 0,
                    "debug_assertions": true,
                    "overflow_checks": true,
                    "test": test,
                },
                "features": [],
                "filenames": [],
                "executable": executable,
                "fresh": true,
            })
        };
        let messages = [
            message(false, "/target/xtask").to_string(),
            message(true, "/target/deps/xtask-1").to_string(),
            "{\"reason\":\"build-finished\",\"success\":true}".to_owned(),
        ];
        let found = Executable::read(&messages.join("\n"), workspace.packages());
        let [one] = &found[..] else {
            panic!("{found:?}");
        };
        assert_eq!(one.package, "xtask");
        assert_eq!(one.program, PathBuf::from("/target/deps/xtask-1"));
        assert_eq!(one.folder, workspace.root().join("xtask"));
    }
}
