//! `tidings dispatch`: domain commands. It is `tidings publish` with the other kind of message.

use anyhow::Result;
use clap::Args;
use tidings::Kind;

use super::{
    Session,
    publish::{
        domain,
        sending::{self, Sending},
    },
};
use crate::exit::Exit;

/// The arguments of `tidings dispatch`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidings dispatch --organization acme --service shop --name bill.order '{\"order\": 7}'
  tidings dispatch --organization acme --service shop --file commands.jsonl")]
pub(crate) struct Options {
    /// The command's attributes, as a JSON object; `-` reads standard input
    #[arg(value_name = "ATTRIBUTES")]
    attributes: Option<String>,
    #[command(flatten)]
    domain: domain::Options,
    #[command(flatten)]
    sending: Sending,
}

/// Dispatches.
pub(crate) async fn run(options: Options, session: &Session) -> Result<Exit> {
    let words = options.attributes.into_iter().collect();
    let outbox = domain::outbox(&options.domain, Kind::Command, words, &options.sending)?;
    sending::send(outbox, &options.sending, session).await
}
