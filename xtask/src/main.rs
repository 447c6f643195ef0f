//! `cargo xtask`: the only button of this repository.
//!
//! Everything a person or a CI machine does with the workspace is a command here, in Rust, so that it works the
//! same everywhere and can be read and tested like the rest. It depends on none of our crates: it must build
//! when they do not. It deliberately knows nothing about what the tests test.

#![expect(
    clippy::print_stdout,
    reason = "printing is what a command-line tool does"
)]

mod bench;
mod brokers;
mod ci;
mod debian;
mod deny;
mod environment;
mod package;
mod prerequisites;
mod runner;
mod table;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{runner::Runner, workspace::Workspace};

#[derive(Parser)]
#[command(
    name = "xtask",
    bin_name = "cargo xtask",
    about = "The only button of the Tidings repository"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Everything CI checks, in order: fmt, tidy, deny, clippy, test, docs, rabbitmq-4
    Ci {
        /// Only these steps
        #[arg(value_name = "STEP")]
        only: Vec<String>,
        /// Run the steps after a failed one as well
        #[arg(long)]
        keep_going: bool,
    },
    /// Bring up what the tests need, run every test and doc test, stop what was started
    Test(test::Options),
    /// Check the part of the style guide that a program can check
    Tidy,
    /// Run a benchmark; without a name, list them
    Bench {
        /// Which one
        name: Option<String>,
        /// Passed on to the benchmark
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Build the Debian package of the example consumer
    Package(package::Options),
    /// Start, stop or look at the brokers that tests use
    Brokers {
        #[command(subcommand)]
        action: brokers::Action,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Does what was asked for; `false` means it was done and the answer is no.
fn run(arguments: Arguments) -> anyhow::Result<bool> {
    let workspace = Workspace::find()?;
    let runner = Runner::new(workspace.root())?;
    match arguments.command {
        Command::Ci { only, keep_going } => ci::run(&runner, &workspace, &only, keep_going),
        Command::Test(options) => test::run(&runner, &workspace, &options),
        Command::Tidy => tidy::run(&workspace),
        Command::Bench { name, arguments } => {
            bench::run(&runner, &workspace, name.as_deref(), &arguments)
        }
        Command::Package(options) => package::run(&runner, &workspace, &options),
        Command::Brokers { action } => brokers::run(&runner, &workspace, &action),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn test_passes_on_what_cargo_should_get() {
        let line = [
            "cargo xtask",
            "test",
            "--fast",
            "-p",
            "tidings-domain",
            "--",
            "name",
        ];
        let Command::Test(options) = Arguments::parse_from(line).command else {
            panic!("`test` is parsed as something else");
        };
        assert!(options.fast);
        assert_eq!(options.arguments, ["-p", "tidings-domain", "--", "name"]);
    }

    #[test]
    fn the_word_after_the_version_is_for_cargo() {
        let parse = |words: &[&str]| {
            let line = ["cargo xtask", "test"].iter().chain(words);
            match Arguments::parse_from(line).command {
                Command::Test(options) => (options.rabbitmq_4, options.arguments),
                _ => panic!("`test` is parsed as something else"),
            }
        };
        let arguments = ["-p", "xtask"].map(str::to_owned).to_vec();
        for (words, expected) in [
            (&["-p", "xtask"][..], None),
            (
                &["--rabbitmq-4", "-p", "xtask"],
                Some(test::OnRabbitMq4::Too),
            ),
            (
                &["--rabbitmq-4=only", "-p", "xtask"],
                Some(test::OnRabbitMq4::Only),
            ),
        ] {
            assert_eq!(parse(words), (expected, arguments.clone()), "{words:?}");
        }
    }

    #[test]
    fn a_node_is_named_and_may_be_of_another_version() {
        let parse = |words: &[&str]| {
            let line = ["cargo xtask", "brokers", "node"].iter().chain(words);
            Arguments::try_parse_from(line)
        };
        for words in [
            &["start", "a"][..],
            &["start", "a", "--version", "4"],
            &["start", "a", "--version=debian"],
            &["stop", "a"],
            &["kill", "a"],
            &["resume", "a"],
            &["remove", "a"],
        ] {
            assert!(parse(words).is_ok(), "{words:?}");
        }
        for words in [
            &["start"][..],
            &["start", "a", "--version", "3"],
            &["start", "a/b"],
            &["kill"],
            &["pause", "a"],
        ] {
            assert!(parse(words).is_err(), "{words:?}");
        }
    }
}
