//! `tidings topology clear`: deletes exchanges and queues with their messages, after showing what would be lost.

use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;
use tidings::{
    Domain, ErrorKind,
    convention::{Attachment, Convention},
    domain::names,
    topology::{Difference, Queue, Topology},
    transport::{QueueStatus, Transport},
};

use super::{Session, count};
use crate::{
    connect, exit::Exit, message, output, output::Output, status, table::Table, wanted::Source,
    wanted::Wanted,
};

/// The arguments of `tidings topology clear`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidings topology clear --organization acme --service shop --dry-run
  tidings topology clear --organization acme --service shop --subscribers subscribers.json --subscribers-only
  tidings topology clear --file definitions.json --yes

Of a domain everything is deleted: the exchanges of the service, its queues, also those of subscribers that are not \
named if the broker can list its queues, and the store, which belongs to all services of the organization; one that \
another organization has declared stays, unless --any-store is said. \
petisco's clear_subscribers deletes the store as well: that is --subscribers-only --with-store.")]
pub(crate) struct Options {
    #[command(flatten)]
    source: Source,
    /// Deletes the queues of the named subscribers only; exchanges and the store stay
    #[arg(long, requires = "subscribers")]
    subscribers_only: bool,
    /// Deletes the queues of the store as well, with what all services have stored
    #[arg(long, requires = "subscribers_only")]
    with_store: bool,
    /// Deletes the store also if it is that of another organization
    #[arg(long, conflicts_with_all = ["file", "no_store"])]
    any_store: bool,
    /// Shows what would be lost, and deletes nothing
    #[arg(long)]
    dry_run: bool,
    /// Does not ask
    #[arg(long, short)]
    yes: bool,
}

/// Deletes it.
pub(crate) async fn run(options: &Options, session: &Session) -> Result<Exit> {
    let wanted = options.source.read()?;
    let transport = session.connection.open(&session.stop).await?;
    let done = clear(&*transport, options, &wanted, session).await;
    connect::close(&*transport, done).await
}

async fn clear(
    transport: &dyn Transport,
    options: &Options,
    wanted: &Wanted,
    session: &Session,
) -> Result<Exit> {
    let mut doomed = options.doomed(transport, wanted).await?;
    options.spare_store(transport, wanted, &mut doomed).await?;
    let names = doomed.queues.iter().map(|queue| queue.name.clone());
    let queues = status::existing(transport, names).await?;
    let messages = queues.iter().map(QueueStatus::depth).sum();
    let output = session.output;
    if options.dry_run {
        report(&doomed, &queues, options.dry_run, output)?;
        return Ok(Exit::Ok);
    }
    if !options.yes && !agrees(&doomed, &queues, messages, session).await? {
        output::note("nothing was deleted");
        return Ok(Exit::Failed);
    }
    transport
        .delete(&doomed)
        .await
        .context("cannot delete everything")?;
    report(&doomed, &queues, options.dry_run, output)?;
    Ok(Exit::Ok)
}

async fn agrees(
    doomed: &Topology,
    queues: &[QueueStatus],
    messages: u64,
    session: &Session,
) -> Result<bool> {
    output::note(table(queues).render(output::is_terminal_error()).trim_end());
    let question = format!(
        "Delete {} and {} with {}?",
        count(doomed.exchanges.len(), "exchange"),
        count(queues.len(), "queue"),
        message::count(messages, "message"),
    );
    output::confirm(&question, &session.stop).await
}

fn table(queues: &[QueueStatus]) -> Table {
    let mut table = Table::new(&["queue", ">messages", ">consumers"]);
    for queue in queues {
        table.row([
            (&queue.name).into(),
            queue.depth().into(),
            queue.consumers.into(),
        ]);
    }
    table
}

fn report(doomed: &Topology, queues: &[QueueStatus], dry_run: bool, output: Output) -> Result<()> {
    let messages: u64 = queues.iter().map(QueueStatus::depth).sum();
    let listed: Vec<_> = queues
        .iter()
        .map(|queue| json!({ "name": &*queue.name, "messages": queue.depth(), "consumers": queue.consumers }))
        .collect();
    let exchanges: Vec<_> = doomed.exchanges.iter().map(|it| &*it.name).collect();
    let json = json!({
        "dry_run": dry_run, "exchanges": exchanges, "queues": listed, "messages": messages
    });
    output.document(&json, || {
        let verb = if dry_run { "would delete" } else { "deleted" };
        format!(
            "{}{verb} {} and {} with {}\n",
            output.table(&table(queues)),
            count(exchanges.len(), "exchange"),
            count(queues.len(), "queue"),
            message::count(messages, "message")
        )
    })
}

impl Options {
    /// What is to be deleted.
    async fn doomed(&self, transport: &dyn Transport, wanted: &Wanted) -> Result<Topology> {
        match wanted {
            Wanted::Definitions(topology) => Ok(Topology {
                bindings: Vec::new(),
                ..topology.clone()
            }),
            Wanted::Domain(domain, attachments) if self.subscribers_only => {
                Ok(self.of_subscribers(domain, attachments))
            }
            Wanted::Domain(domain, attachments) => {
                self.of_service(transport, domain, attachments).await
            }
        }
    }

    fn of_subscribers(&self, domain: &Domain, attachments: &[Attachment]) -> Topology {
        let mut doomed = domain.clear_subscribers(attachments);
        if self.with_store {
            doomed.merge(Topology {
                queues: domain.topology().queues,
                ..Topology::new()
            });
        }
        doomed
    }

    /// Leaves out a store whose dead letters go to another organization's exchange.
    async fn spare_store(
        &self,
        transport: &dyn Transport,
        wanted: &Wanted,
        doomed: &mut Topology,
    ) -> Result<()> {
        let is_store = |queue: &Queue| names::base(&queue.name) == names::STORE;
        let Wanted::Domain(domain, _) = wanted else {
            return Ok(());
        };
        if self.any_store || !doomed.queues.iter().any(is_store) {
            return Ok(());
        }
        let mut store = Topology::new();
        let queues = domain.topology().queues;
        store.queues.extend(
            queues
                .into_iter()
                .filter(|queue| &*queue.name == names::STORE),
        );
        let differences = match transport.compare(&store).await {
            Err(error) if error.kind() == ErrorKind::Unsupported => return Ok(()),
            differences => differences.context("cannot tell whose store it is")?,
        };
        if let Some(owner) = differences.iter().find_map(owner_of_store) {
            output::note(format_args!(
                "note: the store stays, because it belongs to organization `{owner}`: say --any-store to delete it as well"
            ));
            doomed.queues.retain(|queue| !is_store(queue));
        }
        Ok(())
    }

    async fn of_service(
        &self,
        transport: &dyn Transport,
        domain: &Domain,
        attachments: &[Attachment],
    ) -> Result<Topology> {
        let mut doomed = domain.clear(attachments);
        let listed = match transport.queues(&[]).await {
            Ok(listed) => listed,
            // Those of the named subscribers are known by name.
            Err(error)
                if error.kind() == ErrorKind::Unsupported && self.source.names_subscribers() =>
            {
                Vec::new()
            }
            Err(error) => {
                return Err(error).context(
                    "cannot tell which queues the service has: name its subscribers, --subscribers FILE",
                );
            }
        };
        for queue in listed {
            let is_known = doomed.queues.iter().any(|known| known.name == queue.name);
            if !is_known && is_of_service(&queue.name, domain) {
                doomed.queues.push(Queue::new(queue.name));
            }
        }
        Ok(doomed)
    }
}

/// The organization to whose exchange the dead letters of the store go, if it is another one.
fn owner_of_store(difference: &Difference) -> Option<&str> {
    let Difference::Differs { has, .. } = difference else {
        return None;
    };
    let exchange = has
        .trim_matches('`')
        .strip_prefix(names::DEAD_LETTER_PREFIX)?;
    exchange.strip_suffix(".store")
}

fn is_of_service(queue: &str, domain: &Domain) -> bool {
    // Twice: queues in which failed dead letters wait have both prefixes.
    names::base(names::base(queue))
        .strip_prefix(&*domain.names().exchange)
        .is_some_and(|rest| rest.starts_with('.'))
}
