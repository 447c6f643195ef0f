//! `domain configure` and `domain clear`: what exists on the broker, made and removed.

use std::{process::ExitCode, time::Duration};

use anyhow::Result;
use clap::Args;
use tidings::{
    Domain, ErrorKind,
    convention::Attachment,
    domain::{ClearBefore, Configurer, DomainBuilder},
    transport::Transport,
};
use tracing::warn;

use super::subscribers::SubscriberFile;
use crate::output;

/// The options of `domain configure`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How long failed messages wait, in milliseconds; 0 for ever.
    #[arg(long, default_value_t = 5000, value_name = "MS")]
    retry_ttl: u64,
    /// How long messages wait for a consumer, in milliseconds; 0 for ever.
    #[arg(long, default_value_t = 5000, value_name = "MS")]
    main_ttl: u64,
    /// Keeps no copy of every message.
    #[arg(long)]
    no_store: bool,
}

impl Options {
    /// The domain with these TTLs.
    pub(crate) fn domain(&self, domain: DomainBuilder) -> tidings::Result<Domain> {
        let domain = domain
            .retry_ttl(Duration::from_millis(self.retry_ttl))
            .main_ttl(Duration::from_millis(self.main_ttl));
        if self.no_store {
            domain.without_store().build()
        } else {
            domain.build()
        }
    }
}

/// Declares exchanges, the store and the queues of the subscribers, if any are named.
pub(crate) async fn configure(
    transport: &dyn Transport,
    domain: &Domain,
    subscribers: Option<&SubscriberFile>,
) -> Result<ExitCode> {
    let configurer = Configurer::new(domain, transport);
    let attachments = attachments(domain, subscribers)?;
    // Nothing was cleared, so nothing was kept.
    let _cleared = configurer
        .configure(&attachments, ClearBefore::NOTHING)
        .await?;
    output::line("ok")?;
    Ok(ExitCode::SUCCESS)
}

/// Deletes the service's exchanges and queues and the store, with their messages.
///
/// A broker that can list its queues also shows those of subscribers that the file does not name.
pub(crate) async fn clear(
    transport: &dyn Transport,
    domain: &Domain,
    subscribers: Option<&SubscriberFile>,
) -> Result<ExitCode> {
    if let Err(error) = transport.queues(&[]).await
        && error.kind() == ErrorKind::Unsupported
    {
        warn!(
            "the broker's queues cannot be listed: only those of the subscribers that are named are deleted"
        );
    }
    let attachments = attachments(domain, subscribers)?;
    // The role promises that the store goes, whoever owns it: nothing of it can have been kept.
    let _cleared = Configurer::new(domain, transport)
        .clearing_any_store()
        .clear(&attachments)
        .await?;
    output::line("ok")?;
    Ok(ExitCode::SUCCESS)
}

fn attachments(domain: &Domain, subscribers: Option<&SubscriberFile>) -> Result<Vec<Attachment>> {
    subscribers.map_or(Ok(Vec::new()), |file| file.attachments(domain))
}
