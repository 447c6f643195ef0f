//! `tidings rpc`: the consumers of RPC on this machine, seen as its service manager sees them.

mod status;
mod systemctl;
mod unit;

use anyhow::Result;
use clap::Subcommand;

use crate::{commands::Session, exit::Exit};

/// What can be done with consumers.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Whether every consumer that should run does; exits as monitoring plugins do
    Status(status::Options),
}

/// Does it.
pub(crate) async fn run(action: Action, session: &Session) -> Result<Exit> {
    match action {
        Action::Status(options) => status::run(&options, session).await,
    }
}
