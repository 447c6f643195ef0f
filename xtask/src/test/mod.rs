//! `cargo xtask test`: **the** test command.
//!
//! It brings up what the tests need, runs all of them, and stops what it started, also after a failure or
//! Ctrl-C. It uses nextest where that is installed. On CI it uses plain `cargo test`, whose summary lines other
//! programs read.

mod count;
mod selection;

use std::{
    fs,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::Result;
use clap::Args;

use self::count::Count;
use crate::{
    brokers::{self, Session},
    environment, prerequisites,
    runner::Runner,
    table::{Cell, Table, Tone},
    workspace::Workspace,
};

/// How often the crash tests kill a process, and how often with `--fast`.
const ROUNDS: &str = "200";
const FAST_ROUNDS: &str = "5";
/// The variable in which the crash tests find it.
const ROUNDS_VARIABLE: &str = "TIDINGS_TEST_ROUNDS";
/// Longer than the whole run takes; a run that takes it hangs.
const LIMIT: Duration = Duration::from_secs(20 * 60);

/// What can be asked of the test command.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Only a few rounds of the crash tests
    #[arg(long)]
    pub(crate) fast: bool,
    /// Passed on to cargo: `-p tidings-core`, `-- part_of_a_name`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) arguments: Vec<String>,
}

/// One line of the summary.
struct Line {
    what: &'static str,
    passed: bool,
    count: Option<Count>,
    time: Duration,
}

/// Runs the tests and prints a summary; `false` if one failed, or if a broker was skipped on CI.
pub(crate) fn run(runner: &Runner, workspace: &Workspace, options: &Options) -> Result<bool> {
    prerequisites::check(runner)?;
    let session = Session::for_tests(
        &brokers::needed(workspace),
        runner,
        &brokers::folder(workspace),
    )?;
    let tests = Tests {
        runner,
        workspace,
        session: &session,
        options,
    };
    let lines = tests.run()?;
    println!("\n{}", summary(&lines, &session));
    if !options.arguments.is_empty() {
        println!("  only what was asked for: {}", options.arguments.join(" "));
    }
    let skipped = session.skipped().count();
    if skipped > 0 && environment::is_ci() {
        println!("  a skipped broker is a failure on CI");
    }
    Ok(lines.iter().all(|line| line.passed) && (skipped == 0 || !environment::is_ci()))
}

struct Tests<'a> {
    runner: &'a Runner,
    workspace: &'a Workspace,
    session: &'a Session,
    options: &'a Options,
}

impl Tests<'_> {
    fn run(&self) -> Result<Vec<Line>> {
        if environment::is_ci() || environment::program("cargo-nextest").is_none() {
            return Ok(vec![
                self.with_cargo("tests and doc tests", &["test", "--no-fail-fast"])?,
            ]);
        }
        let arguments = &self.options.arguments;
        let mut lines = vec![self.with_nextest()?];
        // nextest does not run doc tests, and cargo does not run doc tests of a filter for tests.
        if selection::is_packages_only(arguments)
            && selection::has_library(arguments, self.workspace)
        {
            lines.push(self.with_cargo("doc tests", &["test", "--doc", "--no-fail-fast"])?);
        }
        Ok(lines)
    }

    fn with_cargo(&self, what: &'static str, subcommand: &[&str]) -> Result<Line> {
        let started = Instant::now();
        let mut count = Count::default();
        let mut command = self.command(subcommand)?;
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

    fn with_nextest(&self) -> Result<Line> {
        let started = Instant::now();
        let report = self.runner.root().join(REPORT);
        remove_if_there(&report)?;
        let mut command = self.command(&["nextest", "run", "--no-fail-fast"])?;
        // It would read keys from a terminal that belongs to another process group.
        command.env("NEXTEST_NO_INPUT_HANDLER", "1");
        let passed = self.runner.run(&mut command, LIMIT)?;
        let count = fs::read_to_string(report)
            .ok()
            .and_then(|text| Count::from_report(&text));
        Ok(Line {
            what: "tests",
            passed,
            count,
            time: started.elapsed(),
        })
    }

    fn command(&self, subcommand: &[&str]) -> Result<Command> {
        let mut command = self.runner.cargo(subcommand);
        if !selection::names_packages(&self.options.arguments) {
            command.arg("--workspace");
        }
        command.args(&self.options.arguments);
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

/// Where nextest is told to write its report, in `.config/nextest.toml`.
const REPORT: &str = "target/nextest/default/junit.xml";

fn remove_if_there(file: &PathBuf) -> Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

fn summary(lines: &[Line], session: &Session) -> Table {
    let mut table = Table::new(&["what", "result", "passed", "failed", "time"]);
    for line in lines {
        let result = if line.passed {
            Cell::new("ok", Tone::Good)
        } else {
            Cell::new("FAILED", Tone::Bad)
        };
        let number = |of: fn(&Count) -> usize| {
            line.count
                .as_ref()
                .map_or("?".into(), |count| of(count).to_string())
        };
        let time = format!("{:.1} s", line.time.as_secs_f64());
        let [passed, failed] = [number(|count| count.passed), number(|count| count.failed)];
        table.row([
            line.what.into(),
            result,
            passed.into(),
            failed.into(),
            time.into(),
        ]);
    }
    for (name, how) in session.ready() {
        table.row([name.into(), Cell::new(how, Tone::Good)]);
    }
    for (name, why) in session.skipped() {
        table.row([name.into(), Cell::new(format!("SKIPPED: {why}"), Tone::Bad)]);
    }
    table
}
