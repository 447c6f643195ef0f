//! The command line as a whole; the arguments of each command are in its own file.

use std::{borrow::Cow, ffi::OsString};

use clap::{Parser, Subcommand};

use crate::{
    commands::{
        call, completions, deadletters, dispatch, publish, queues, requeue, rpc, tail, topology,
    },
    connect::Connection,
    exit,
    output::Format,
};

/// See, publish, move and repair messages of any broker that Tidings can talk to.
#[derive(Debug, Parser)]
#[command(name = "tidings", version, after_help = exit::HELP, max_term_width = 110)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) connection: Connection,
    /// How results are printed; JSON is one document, or one line per item where a command goes on
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t = Format::Table,
        value_name = "table|json",
        hide_possible_values = true,
        help_heading = "For every command"
    )]
    pub(crate) output: Format,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Exchanges, queues and bindings: show what is wanted, declare it, compare it, delete it
    Topology {
        #[command(subcommand)]
        action: topology::Action,
    },
    /// Publish raw messages, or domain events
    Publish(Box<publish::Options>),
    /// Publish domain commands
    Dispatch(dispatch::Options),
    /// Call an action, and print its answer
    Call(Box<call::Options>),
    /// Show messages as they come
    Tail(tail::Options),
    /// Show how full queues are and how fast messages pass through them
    Queues(queues::Options),
    /// Look at dead letters, put them back into their queues, or drop them
    #[command(visible_alias = "dead-letters")]
    Deadletters {
        #[command(subcommand)]
        action: deadletters::Action,
    },
    /// Move messages through the retry exchange, with the options of `petisco-rabbitmq -rq`
    Requeue(requeue::Options),
    /// Look after the consumers of RPC on this machine
    Rpc {
        #[command(subcommand)]
        action: rpc::Action,
    },
    /// Print the completions of a shell
    Completions(completions::Options),
}

/// The words of a command line that are no options and no values of options which every command has: first of all the
/// command. For what must be known of a line that cannot be understood, or not yet.
pub(crate) fn commands(line: &[OsString]) -> impl Iterator<Item = Cow<'_, str>> {
    let mut rest = line.iter().skip(1).map(|word| word.to_string_lossy());
    std::iter::from_fn(move || {
        loop {
            let word = rest.next()?;
            match &*word {
                "--url" | "-u" | "--output" => drop(rest.next()),
                option if option.starts_with('-') => {}
                _ => return Some(word),
            }
        }
    })
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
    fn the_command_is_found_among_options() {
        let check = |line: &str, expected: &[&str]| {
            let line: Vec<_> = line.split(' ').map(OsString::from).collect();
            assert_eq!(commands(&line).collect::<Vec<_>>(), expected, "{line:?}");
        };
        check("tidings", &[]);
        check("tidings rpc status", &["rpc", "status"]);
        check(
            "tidings -u rpc --output json --bad rpc -x status --unit a",
            &["rpc", "status", "a"],
        );
        check("tidings --url=embedded:x queues", &["queues"]);
    }
}
