//! `tidings deadletters`: what could not be handled, why, and what becomes of it.

mod drop;
mod list;
mod requeue;
mod selection;
mod show;

use anyhow::Result;
use clap::Subcommand;

use super::Session;
use crate::{connect, exit::Exit};

/// What can be done with dead letters.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// How many there are in each queue, by reason, and since when
    List(list::Options),
    /// Each of them: why, how often tried, when, and the beginning of its payload
    Show(show::Options),
    /// Back into the queues where they came from, as if they had never failed
    Requeue(requeue::Options),
    /// Away for good
    Drop(drop::Options),
}

/// Does one of them.
pub(crate) async fn run(action: Action, session: &Session) -> Result<Exit> {
    let transport = session.connection.open(&session.stop).await?;
    let done = match &action {
        Action::List(options) => list::run(&*transport, options, session).await,
        Action::Show(options) => show::run(&*transport, options, session).await,
        Action::Requeue(options) => requeue::run(&*transport, options, session).await,
        Action::Drop(options) => drop::run(&*transport, options, session).await,
    };
    connect::close(&*transport, done).await
}
