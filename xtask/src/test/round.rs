//! One round of tests: all of them on the usual brokers, or some of them on another version.
//!
//! It uses nextest where that is installed. On CI it uses plain `cargo test`, whose summary lines other programs
//! read.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::{
    brokers::Session,
    environment,
    runner::Runner,
    table::{Cell, Tone},
    test::{Options, count::Count, executables::Executable, selection},
    workspace::Workspace,
};

/// How often the crash tests kill a process, and how often with `--fast`.
const ROUNDS: &str = "200";
const FAST_ROUNDS: &str = "5";
/// The variable in which the crash tests find it.
const ROUNDS_VARIABLE: &str = "TIDINGS_TEST_ROUNDS";
/// Longer than the whole run takes; a run that takes it hangs.
const LIMIT: Duration = Duration::from_secs(20 * 60);
/// Which tests talk to RabbitMQ: the package, and what is part of their names.
const ON_RABBITMQ: [(&str, Option<&str>); 3] = [
    ("tidings-rabbitmq", None),
    ("tidings-interop", None),
    ("tidings", Some("rabbitmq::")),
];
/// Where nextest is told to write its report, in `.config/nextest.toml`.
const REPORT: &str = "target/nextest/default/junit.xml";

/// One line of the summary.
pub(super) struct Line {
    what: &'static str,
    pub(super) passed: bool,
    count: Option<Count>,
    time: Duration,
}

impl Line {
    pub(super) fn cells(&self) -> [Cell; 5] {
        let result = if self.passed {
            Cell::new("ok", Tone::Good)
        } else {
            Cell::new("FAILED", Tone::Bad)
        };
        let number = |of: fn(&Count) -> usize| {
            self.count
                .as_ref()
                .map_or("?".into(), |count| of(count).to_string())
        };
        let time = format!("{:.1} s", self.time.as_secs_f64());
        let [passed, failed] = [number(|count| count.passed), number(|count| count.failed)];
        [
            self.what.into(),
            result,
            passed.into(),
            failed.into(),
            time.into(),
        ]
    }
}

/// Tests with the brokers that they talk to.
#[derive(Clone, Copy)]
pub(super) struct Round<'a> {
    pub(super) runner: &'a Runner,
    pub(super) workspace: &'a Workspace,
    pub(super) session: &'a Session,
    pub(super) options: &'a Options,
}

impl Round<'_> {
    /// All tests and doc tests, or those that the arguments select.
    pub(super) fn everything(self) -> Result<Vec<Line>> {
        if !has_nextest() {
            return Ok(vec![
                self.with_cargo("tests and doc tests", &["test", "--no-fail-fast"])?,
            ]);
        }
        let arguments = &self.options.arguments;
        let mut lines = vec![self.with_nextest("tests", &[])?];
        // nextest does not run doc tests, and cargo does not run doc tests of a filter for tests.
        if selection::is_packages_only(arguments)
            && selection::has_library(arguments, self.workspace)
        {
            lines.push(self.with_cargo("doc tests", &["test", "--doc", "--no-fail-fast"])?);
        }
        Ok(lines)
    }

    /// Those of them that talk to RabbitMQ, on the version of this session.
    pub(super) fn on_rabbitmq_4(self) -> Result<Vec<Line>> {
        let what = "tests on RabbitMQ 4";
        if has_nextest() {
            let chosen = ON_RABBITMQ.map(|(package, name)| match name {
                Some(name) => format!("(package({package}) & test({name}))"),
                None => format!("package({package})"),
            });
            let only = ["--no-tests=pass", "-E", &chosen.join(" | ")];
            return Ok(vec![self.with_nextest(what, &only)?]);
        }
        self.with_executables(what).map(|line| vec![line])
    }

    fn with_cargo(self, what: &'static str, subcommand: &[&str]) -> Result<Line> {
        let started = Instant::now();
        let mut count = Count::default();
        let mut command = self.settings_in(self.runner.cargo(subcommand))?;
        command.args(self.packages()).args(&self.options.arguments);
        let passed = self
            .runner
            .run_reading(&mut command, LIMIT, |line| count.add_line(line))?;
        Ok(Line {
            what,
            passed,
            count: Some(count),
            time: started.elapsed(),
        })
    }

    fn with_nextest(self, what: &'static str, only: &[&str]) -> Result<Line> {
        let started = Instant::now();
        let report = self.runner.root().join(REPORT);
        remove_if_there(&report)?;
        let mut command = self.runner.cargo(&["nextest", "run", "--no-fail-fast"]);
        command.args(only);
        command.args(self.packages()).args(&self.options.arguments);
        // It would read keys from a terminal that belongs to another process group.
        command.env("NEXTEST_NO_INPUT_HANDLER", "1");
        let passed = self.runner.run(&mut self.settings_in(command)?, LIMIT)?;
        let count = fs::read_to_string(report)
            .ok()
            .and_then(|text| Count::from_report(&text));
        Ok(Line {
            what,
            passed,
            count,
            time: started.elapsed(),
        })
    }

    /// Runs what cargo has built for the first round. Cargo itself, told to test two packages only, would build
    /// everything that they use once more, because others ask for more features of it.
    fn with_executables(self, what: &'static str) -> Result<Line> {
        let started = Instant::now();
        let mut count = Count::default();
        let (for_cargo, for_tests) = selection::apart(&self.options.arguments);
        let mut build = self.runner.cargo(&["test", "--no-run"]);
        build.args(self.packages()).args(for_cargo);
        let mut passed = true;
        let packages = self.workspace.packages();
        for executable in Executable::build(build, packages, self.runner, LIMIT)? {
            let chosen = ON_RABBITMQ
                .iter()
                .find(|(package, _)| *package == executable.package);
            let Some((_, name)) = chosen else {
                continue;
            };
            let mut command = self.settings_in(executable.command())?;
            if for_tests.is_empty() {
                command.args(name);
            }
            command.args(for_tests);
            passed &= self
                .runner
                .run_reading(&mut command, LIMIT, |line| count.add_line(line))?;
        }
        Ok(Line {
            what,
            passed,
            count: Some(count),
            time: started.elapsed(),
        })
    }

    fn packages(self) -> Option<&'static str> {
        let is_all = !selection::names_packages(&self.options.arguments);
        is_all.then_some("--workspace")
    }

    /// With the variables that the tests read.
    fn settings_in(self, mut command: Command) -> Result<Command> {
        command.envs(self.session.variables());
        command.envs(self.session.node_variables(self.runner.root())?);
        let rounds = if self.options.fast {
            FAST_ROUNDS
        } else {
            ROUNDS
        };
        let rounds = environment::variable(ROUNDS_VARIABLE).unwrap_or_else(|| rounds.into());
        command.env(ROUNDS_VARIABLE, rounds);
        Ok(command)
    }
}

fn has_nextest() -> bool {
    !environment::is_ci() && environment::program("cargo-nextest").is_some()
}

fn remove_if_there(file: &PathBuf) -> Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
