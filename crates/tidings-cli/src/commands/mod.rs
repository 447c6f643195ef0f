//! The commands, a file each: their arguments, and what they do.

pub(crate) mod call;
pub(crate) mod completions;
pub(crate) mod deadletters;
pub(crate) mod dispatch;
pub(crate) mod publish;
pub(crate) mod queues;
pub(crate) mod requeue;
pub(crate) mod rpc;
pub(crate) mod tail;
pub(crate) mod topology;

use anyhow::Result;

use crate::{arguments::Command, connect::Connection, exit::Exit, output::Output, stop::Stop};

/// What every command gets.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) connection: Connection,
    pub(crate) output: Output,
    pub(crate) stop: Stop,
}

/// Runs one command.
pub(crate) async fn run(command: Command, session: Session) -> Result<Exit> {
    match command {
        Command::Topology { action } => topology::run(action, &session).await,
        Command::Publish(options) => publish::run(*options, &session).await,
        Command::Dispatch(options) => dispatch::run(options, &session).await,
        Command::Call(options) => call::run(*options, &session).await,
        Command::Tail(options) => tail::run(options, &session).await,
        Command::Queues(options) => queues::run(options, &session).await,
        Command::Deadletters { action } => deadletters::run(action, &session).await,
        Command::Requeue(options) => requeue::run(options, &session).await,
        Command::Rpc { action } => rpc::run(action, &session).await,
        Command::Completions(options) => completions::run(&options),
    }
}
