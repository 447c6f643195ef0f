//! `domain requeue`: out of one queue, through the retry exchange, back to where the key says.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;
use tidings::{Domain, domain, redrive, transport::Transport};

use crate::{output, stop::Stop};

/// The options of `domain requeue`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The queue to drain.
    #[arg(long)]
    queue: String,
    /// The routing key to publish with.
    #[arg(long, value_name = "KEY")]
    retry_routing_key: String,
    /// The exchange to publish to; by default the service's retry exchange.
    #[arg(long, value_name = "EXCHANGE")]
    retry_exchange: Option<String>,
}

/// Moves what is in the queue now; a message that fails again meanwhile is not moved twice.
pub(crate) async fn run(
    transport: &dyn Transport,
    domain: &Domain,
    options: &Options,
    stop: &Stop,
) -> Result<ExitCode> {
    let own = &*domain.names().retry_exchange;
    let exchange = options.retry_exchange.as_deref().unwrap_or(own);
    let again = |call: &_| {
        let requeued = || domain::requeue(call, exchange, &options.retry_routing_key);
        (!stop.is_requested()).then(requeued)
    };
    let redriven = redrive(transport, options.queue.as_str(), again)
        .await
        .with_context(|| format!("cannot requeue all of `{}`", options.queue))?;
    say(redriven.moved)
}

/// Prints how many messages were moved.
pub(crate) fn say(moved: u64) -> Result<ExitCode> {
    output::json(&json!({ "requeued": moved }))?;
    Ok(ExitCode::SUCCESS)
}
