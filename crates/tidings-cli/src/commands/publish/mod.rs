//! `tidings publish`: raw messages to an exchange, or domain events. `tidings dispatch` shares the latter.

pub(crate) mod domain;
mod raw;
pub(crate) mod sending;

use anyhow::Result;
use clap::Args;
use tidings::Kind;

use self::sending::{Outbox, Sending};
use super::Session;
use crate::exit::{self, Exit};

/// The arguments of `tidings publish`.
#[derive(Debug, Args)]
#[command(
    override_usage = "tidings publish [OPTIONS] EXCHANGE KEY [BODY|-]\n       \
                      tidings publish [OPTIONS] --organization O --service S --name NAME [ATTRIBUTES|-]\n       \
                      tidings publish [OPTIONS] --file FILE",
    after_help = "\
Examples:
  tidings publish acme.shop acme.shop.1.event.order_placed '{\"order\": 7}' --header source=cli
  tidings publish '' some_queue hello --count 100
  tidings publish --organization acme --service shop --name order.placed '{\"order\": 7}'
  tidings tail some_queue --output json | tidings publish '' other_queue --file -

The empty exchange delivers to the queue that the key names. A domain message is written as its service writes it; \
a raw one is sent as it is. A message that no queue would receive is an error unless --unroutable-is-fine is said."
)]
pub(crate) struct Options {
    /// EXCHANGE KEY [BODY]; of a domain event its ATTRIBUTES as JSON; `-` reads standard input
    #[arg(value_name = "WORD", allow_hyphen_values = false)]
    words: Vec<String>,
    #[command(flatten)]
    domain: domain::Options,
    #[command(flatten)]
    raw: raw::Options,
    #[command(flatten)]
    sending: Sending,
}

/// Publishes.
pub(crate) async fn run(options: Options, session: &Session) -> Result<Exit> {
    let is_domain = options.domain.is_given();
    if is_domain && options.raw.is_given() {
        return Err(exit::usage(
            "a domain event carries no headers and no properties, because existing services would lose it: put context into --meta",
        ));
    }
    let outbox: Outbox = if is_domain {
        domain::outbox(
            &options.domain,
            Kind::Event,
            options.words,
            &options.sending,
        )?
    } else {
        raw::outbox(&options.raw, options.words, &options.sending)?
    };
    sending::send(outbox, &options.sending, session).await
}
