//! `domain configure` and `domain clear`: what exists on the broker, made and removed.

use std::{process::ExitCode, time::Duration};

use anyhow::{Context, Result};
use clap::Args;
use tidings::{
    Domain, ErrorKind,
    convention::Convention,
    domain::{DomainBuilder, names},
    topology::{Queue, Topology},
    transport::{QueueStatus, Transport},
};

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
    let mut topology = domain.topology();
    if let Some(subscribers) = subscribers {
        for attachment in subscribers.attachments(domain)? {
            topology.merge(attachment.topology);
        }
    }
    transport.declare(&topology).await?;
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
    let listed = match transport.queues(&[]).await {
        Ok(listed) => listed,
        Err(error) if error.kind() == ErrorKind::Unsupported && subscribers.is_some() => Vec::new(),
        Err(error) => {
            return Err(error).context(
                "cannot tell which queues to delete: name the subscribers, --subscribers FILE",
            );
        }
    };
    let attachments = subscribers.map_or(Ok(Vec::new()), |file| file.attachments(domain))?;
    let mut all = domain.clear(&attachments);
    for queue in listed {
        if is_of_service(&queue, domain) && all.queues.iter().all(|known| known.name != queue.name)
        {
            all.merge(Topology::new().queue(Queue::new(queue.name)));
        }
    }
    transport.delete(&all).await?;
    output::line("ok")?;
    Ok(ExitCode::SUCCESS)
}

fn is_of_service(queue: &QueueStatus, domain: &Domain) -> bool {
    // Twice: queues in which failed dead letters wait have both prefixes.
    names::base(names::base(&queue.name))
        .strip_prefix(&*domain.names().exchange)
        .is_some_and(|rest| rest.starts_with('.'))
}
