//! `cargo xtask test`: **the** test command.
//!
//! It brings up what the tests need, runs all of them, and stops what it started, also after a failure or
//! Ctrl-C. When asked to, it runs those that talk to RabbitMQ a second time, with the next major version.

mod count;
mod executables;
mod round;
mod selection;

use anyhow::Result;
use clap::{Args, ValueEnum};

use self::round::{Line, Round};
use crate::{
    brokers::{self, Session},
    environment, prerequisites,
    runner::Runner,
    table::{Cell, Table, Tone},
    workspace::Workspace,
};

/// Asks for the tests on RabbitMQ 4 as well.
const RABBITMQ_4_VARIABLE: &str = "TIDINGS_TEST_RABBITMQ_4";

/// What can be asked of the test command.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Only a few rounds of the crash tests
    #[arg(long)]
    pub(crate) fast: bool,
    /// Run what talks to RabbitMQ on RabbitMQ 4: after everything else, or only that
    #[arg(
        long = "rabbitmq-4",
        value_enum,
        value_name = "WHEN",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "too"
    )]
    pub(crate) rabbitmq_4: Option<OnRabbitMq4>,
    /// Passed on to cargo: `-p tidings-core`, `-- part_of_a_name`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) arguments: Vec<String>,
}

/// When the tests run on RabbitMQ 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnRabbitMq4 {
    /// After everything else
    Too,
    /// Without anything else
    Only,
}

impl Options {
    fn on_rabbitmq_4(&self) -> Option<OnRabbitMq4> {
        let asked = || environment::variable(RABBITMQ_4_VARIABLE).is_some_and(|value| value != "0");
        self.rabbitmq_4
            .or_else(|| asked().then_some(OnRabbitMq4::Too))
    }
}

/// Runs the tests and prints a summary; `false` if one failed, or if a broker was skipped on CI.
pub(crate) fn run(runner: &Runner, workspace: &Workspace, options: &Options) -> Result<bool> {
    prerequisites::check(runner)?;
    let folder = brokers::folder(workspace);
    let mut summary = Summary::default();
    let when = options.on_rabbitmq_4();
    if when != Some(OnRabbitMq4::Only) {
        let session = Session::for_tests(&brokers::needed(workspace), runner, &folder)?;
        let round = Round {
            runner,
            workspace,
            session: &session,
            options,
        };
        summary.add(round.everything()?, &session);
        let skipped = session.skipped().count();
        if skipped > 0 && environment::is_ci() {
            summary.failure("a skipped broker is a failure on CI");
        }
    }
    if when.is_some() {
        // A version that is asked for beside the usual one may be missing, on CI as well.
        let session = brokers::session_of_rabbitmq_4(runner, &folder)?;
        let round = Round {
            runner,
            workspace,
            session: &session,
            options,
        };
        let lines = match session.skipped().next() {
            Some(_) => Vec::new(),
            None => round.on_rabbitmq_4()?,
        };
        summary.add(lines, &session);
    }
    println!("\n{}", summary.table);
    if !options.arguments.is_empty() {
        println!("  only what was asked for: {}", options.arguments.join(" "));
    }
    for failure in &summary.failures {
        println!("  {failure}");
    }
    Ok(summary.passed())
}

/// What is printed at the end.
struct Summary {
    table: Table,
    failed_lines: usize,
    failures: Vec<&'static str>,
}

impl Default for Summary {
    fn default() -> Self {
        Self {
            table: Table::new(&["what", "result", "passed", "failed", "time"]),
            failed_lines: 0,
            failures: Vec::new(),
        }
    }
}

impl Summary {
    fn add(&mut self, lines: Vec<Line>, session: &Session) {
        for line in lines {
            self.failed_lines += usize::from(!line.passed);
            self.table.row(line.cells());
        }
        for (name, how) in session.ready() {
            self.table.row([name.into(), Cell::new(how, Tone::Good)]);
        }
        for (name, why) in session.skipped() {
            let why = Cell::new(format!("SKIPPED: {why}"), Tone::Bad);
            self.table.row([name.into(), why]);
        }
    }

    fn failure(&mut self, why: &'static str) {
        self.failures.push(why);
    }

    fn passed(&self) -> bool {
        self.failed_lines == 0 && self.failures.is_empty()
    }
}
