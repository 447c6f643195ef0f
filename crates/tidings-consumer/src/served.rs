//! A program at work, as whoever runs it in the same process sees it.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use futures_util::future::{join, join_all};
use tidings_core::{Deadline, error::Result};
use tidings_server::{Drained, Health, Probes, Running};
use tracing::warn;

use crate::journal::Journal;

/// How long the end of a program waits for the log server, which is nobody's caller.
const FAREWELL: Duration = Duration::from_secs(5);

/// Virtual hosts that are served. Dropping it ends their handlers at once; the requests come again.
pub struct Served {
    hosts: Arc<Hosts>,
    journal: Option<Journal>,
    probes: Option<Probes>,
}

type Hosts = Vec<(String, Running)>;

impl Served {
    pub(crate) fn new(hosts: Hosts, journal: Option<Journal>, probes: Option<Probes>) -> Self {
        let hosts = Arc::new(hosts);
        if let Some(probes) = &probes {
            let asked = Arc::downgrade(&hosts);
            probes.report(move || {
                asked
                    .upgrade()
                    .map_or_else(Health::ended, |hosts| health(&hosts))
            });
        }
        Self {
            hosts,
            journal,
            probes,
        }
    }

    /// The virtual hosts, in the order of the file.
    pub fn virtual_hosts(&self) -> impl Iterator<Item = &str> {
        self.hosts.iter().map(|(name, _)| &**name)
    }

    /// The server of one virtual host.
    #[must_use]
    pub fn virtual_host(&self, name: &str) -> Option<&Running> {
        let mut hosts = self.hosts.iter();
        hosts.find_map(|(known, running)| (known == name).then_some(running))
    }

    /// Whether it lives and is ready, and why not: all virtual hosts together.
    #[must_use]
    pub fn health(&self) -> Health {
        health(&self.hosts)
    }

    /// Where health checks are answered, if they are.
    #[must_use]
    pub fn health_address(&self) -> Option<SocketAddr> {
        self.probes.as_ref().map(Probes::address)
    }

    /// Stops receiving, lets requests under way finish for as long as `grace`, with their answers and acks, and ends
    /// the rest. The connections stay open.
    ///
    /// # Cancel safety
    /// Yes: what has stopped stays stopped; calling it again goes on waiting.
    pub async fn drain(&self, grace: Duration) -> Drained {
        let drained = join_all(self.hosts.iter().map(|(_, running)| running.drain(grace))).await;
        Drained {
            complete: drained.iter().all(|drained| drained.complete),
        }
    }

    /// Ends all handlers at once. Their requests come again.
    pub fn abort(&self) -> Drained {
        // Every one of them, whatever has become of the others.
        let aborted: Vec<_> = self
            .hosts
            .iter()
            .map(|(_, running)| running.abort())
            .collect();
        Drained {
            complete: aborted.iter().all(|aborted| aborted.complete),
        }
    }

    /// Closes the connections, and ships what the log server has not got yet, as far as the deadline lets it.
    ///
    /// # Errors
    /// What the first transport that fails says; all of them are closed.
    pub async fn close(&self, deadline: Deadline) -> Result<()> {
        let closing = self
            .hosts
            .iter()
            .map(|(_, running)| running.transport().close(deadline));
        let (closed, ()) = join(join_all(closing), self.close_journal(deadline)).await;
        closed.into_iter().collect()
    }
}

impl Served {
    async fn close_journal(&self, deadline: Deadline) {
        let Some(journal) = &self.journal else { return };
        let counts = journal
            .close(deadline.earlier(Deadline::after(FAREWELL)))
            .await;
        if counts.dropped > 0 {
            warn!(?counts, "the log server has not got every record");
        }
    }
}

fn health(hosts: &Hosts) -> Health {
    let mut all = Health {
        live: true,
        ready: true,
        reasons: Vec::new(),
        subscriptions: Vec::new(),
    };
    for (name, running) in hosts {
        let health = running.health();
        all.live &= health.live;
        all.ready &= health.ready;
        let reasons = health.reasons.into_iter();
        // The reasons of a program with one virtual host are about that one.
        all.reasons.extend(reasons.map(|reason| match hosts.len() {
            1 => reason,
            _ => format!("virtual host `{name}`: {reason}"),
        }));
        all.subscriptions.extend(health.subscriptions);
    }
    all
}

impl fmt::Debug for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.hosts.iter().map(|(name, running)| (name, running)))
            .finish()
    }
}
