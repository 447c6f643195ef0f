//! `tidings deadletters requeue`: back to where they came from, as if they had never failed.

use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;
use futures_util::{StreamExt, stream::FuturesUnordered};
use serde_json::json;
use tidings::{
    Address, Call, Settlement,
    domain::{self, Domain, names},
    headers,
    transport::{Delivery, Publisher, QueueStatus, Transport},
};

use super::{
    Session,
    selection::{self, Selection},
};
use crate::{
    exit::{self, Exit},
    look::{Look, MOST},
    message,
    output::Output,
    progress::Progress,
    table::Table,
};

/// How many copies are unconfirmed at a time.
const WINDOW: usize = 64;

/// The arguments of `tidings deadletters requeue`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidings deadletters requeue --reason max_retries --dry-run
  tidings deadletters requeue --subscriber send_mail --newer-than 2h
  tidings deadletters requeue --queue my.errors --to my.queue --limit 10

A message goes back with its body and without what failures have written into its headers, so that it has all its \
attempts again. It leaves its queue only after the confirm of its copy: a crash repeats those under way, and loses none.")]
pub(crate) struct Options {
    #[command(flatten)]
    selection: Selection,
    /// Moves so many at most
    #[arg(long, short = 'n', value_name = "N")]
    limit: Option<u64>,
    /// Through the retry exchange and without any header, as existing tools do: they arrive after the retry TTL
    #[arg(long, conflicts_with = "to")]
    through_retry: bool,
    /// To this queue, and not where they came from
    #[arg(long, value_name = "QUEUE")]
    to: Option<Arc<str>>,
    /// Says what would be moved, and moves nothing
    #[arg(long)]
    dry_run: bool,
}

/// What became of a queue.
#[derive(Debug, serde::Serialize)]
struct Row {
    queue: Arc<str>,
    requeued: u64,
    /// Looked at and not meant.
    kept: u64,
    /// Not looked at.
    unseen: u64,
}

/// Moves them.
pub(crate) async fn run(
    transport: &dyn Transport,
    options: &Options,
    session: &Session,
) -> Result<Exit> {
    let queues = options.selection.queues(transport).await?;
    let waiting = queues.iter().map(|queue| queue.ready).sum();
    let progress = Progress::of(waiting, "requeuing", session.output);
    let publisher = transport.publisher().await?;
    let mut rows: Vec<Row> = Vec::new();
    let mut result = Ok(());
    for queue in queues {
        let moved: u64 = rows.iter().map(|row| row.requeued).sum();
        let limit = options.limit.unwrap_or(u64::MAX) - moved;
        let mut row = Row::of(&queue);
        let pass = Pass {
            transport,
            publisher: &*publisher,
            options,
            session,
            progress: &progress,
        };
        result = pass.over(&queue.name, limit, &mut row).await;
        rows.push(row);
        if result.is_err() {
            break;
        }
    }
    drop(progress);
    report(&rows, options, session.output)?;
    result.map(|()| Exit::Ok)
}

/// What a pass over a queue works with.
struct Pass<'a> {
    transport: &'a dyn Transport,
    publisher: &'a dyn Publisher,
    options: &'a Options,
    session: &'a Session,
    progress: &'a Progress,
}

impl Pass<'_> {
    /// Moves those that are meant. What is under way is waited for, whatever happens.
    async fn over(&self, queue: &Arc<str>, limit: u64, row: &mut Row) -> Result<()> {
        let (transport, stop) = (self.transport, &self.session.stop);
        // Those that are not meant are held until the end, so their number is bounded; without filters there are none.
        let mut look = match (self.options.selection.is_all(), self.options.dry_run) {
            (true, false) => Look::through(transport, queue, limit, stop).await?,
            (true, true) => Look::into(transport, queue, limit, stop).await?,
            (false, _) => Look::into(transport, queue, MOST, stop).await?,
        };
        let (mut held, mut moving) = (Vec::new(), FuturesUnordered::new());
        let (mut chosen, mut result, mut more) = (0, Ok(()), true);
        loop {
            more &= result.is_ok() && chosen < limit;
            if more && moving.len() < WINDOW {
                match look.next().await {
                    Ok(Some(delivery)) => {
                        self.progress.step();
                        if self.options.selection.meant(delivery.call()).is_none() {
                            row.kept += 1;
                            held.push(delivery.split().1);
                            continue;
                        }
                        chosen += 1;
                        match self.options.copy(delivery.call()) {
                            Ok(_) if self.options.dry_run => {
                                row.requeued += 1;
                                held.push(delivery.split().1);
                            }
                            Ok(copy) => moving.push(self.move_one(copy, delivery)),
                            Err(error) => result = Err(error),
                        }
                        continue;
                    }
                    Ok(None) => more = false,
                    Err(error) => result = result.and(Err(error)),
                }
            }
            match moving.next().await {
                Some(Ok(())) => row.requeued += 1,
                // The first error is the cause; what failed after it did so because of it.
                Some(Err(error)) => result = result.and(Err(error)),
                None if !more => break,
                None => {}
            }
        }
        row.unseen = look.waiting() - look.seen();
        result
    }

    /// Publishes the copy now; the future removes the original once the copy is confirmed.
    fn move_one(&self, copy: Call, delivery: Delivery) -> impl Future<Output = Result<()>> + use<> {
        let place = copy.address.to_string();
        let confirm = self.publisher.publish(copy);
        let acker = delivery.split().1;
        async move {
            confirm.await.with_context(|| {
                format!("cannot requeue to `{place}`, the message stays where it is")
            })?;
            acker
                .settle(Settlement::Ack)
                .await
                .context("requeued and not removed: the message is there twice")
        }
    }
}

impl Options {
    /// The call that puts a dead letter back.
    fn copy(&self, dead: &Call) -> Result<Call> {
        let queue = dead.queue();
        let is_ours = queue.starts_with(names::DEAD_LETTER_PREFIX);
        if let Some(to) = &self.to {
            return Ok(moved(dead, Arc::clone(to)));
        }
        if self.through_retry {
            return through_retry(dead);
        }
        if is_ours {
            return Ok(domain::redrive(dead)?);
        }
        let came_from = dead.envelope.headers.text(headers::X_FIRST_DEATH_QUEUE);
        let Some(came_from) = came_from else {
            return Err(exit::usage(format!(
                "a message in `{queue}` does not say where it came from: say --to QUEUE"
            )));
        };
        Ok(moved(dead, came_from.into()))
    }
}

/// To a queue by name, without what failures have written.
fn moved(dead: &Call, to: Arc<str>) -> Call {
    let envelope = domain::forget_failures(dead.envelope.clone());
    Call::new(Address::queue(to), envelope)
}

/// The way of existing tools: the retry exchange of the queue's service, and no header at all.
fn through_retry(dead: &Call) -> Result<Call> {
    let base = names::base(dead.queue());
    let words = |text: &str| -> Option<Domain> {
        let mut words = names::base(text).split('.');
        Domain::new(words.next()?, words.next()?).ok()
    };
    let is_store = base == names::STORE;
    // The store's queue does not say whose it is; the key of the message does.
    let domain = if is_store {
        words(&dead.address.key)
    } else {
        words(base)
    };
    let Some(domain) = domain else {
        return Err(exit::usage(format!(
            "queue `{}` and key `{}` do not say which service's retry exchange it is: leave out --through-retry, or use \
             `tidings requeue`",
            dead.queue(),
            dead.address.key
        )));
    };
    let exchange = match is_store {
        true => &domain.names().store_retry_exchange,
        false => &domain.names().retry_exchange,
    };
    Ok(domain::requeue(dead, exchange, &names::retry(base)))
}

impl Row {
    fn of(queue: &QueueStatus) -> Self {
        Self {
            queue: Arc::clone(&queue.name),
            requeued: 0,
            kept: 0,
            unseen: 0,
        }
    }
}

fn report(rows: &[Row], options: &Options, output: Output) -> Result<()> {
    let dry_run = options.dry_run;
    let sum = |of: fn(&Row) -> u64| rows.iter().map(of).sum::<u64>();
    let (requeued, kept, unseen) = (
        sum(|row| row.requeued),
        sum(|row| row.kept),
        sum(|row| row.unseen),
    );
    let json = json!({ "dry_run": dry_run, "requeued": requeued, "kept": kept, "unseen": unseen, "queues": rows });
    output.document(&json, || {
        let mut table = Table::new(&["queue", ">requeued", ">kept"]);
        for row in rows {
            table.row([(&row.queue).into(), row.requeued.into(), row.kept.into()]);
        }
        let verb = if dry_run { "would requeue" } else { "requeued" };
        let tables = match table.is_empty() {
            true => String::new(),
            false => output.table(&table),
        };
        format!(
            "{tables}{verb} {}, kept {kept}\n",
            message::count(requeued, "dead letter")
        )
    })?;
    if options.limit.is_none() {
        selection::note_unseen(unseen, "run it again to go on", output);
    }
    Ok(())
}
