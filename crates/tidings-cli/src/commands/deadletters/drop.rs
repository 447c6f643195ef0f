//! `tidings deadletters drop`: away for good, and exactly those that were counted before.

use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;
use serde_json::json;
use tidings::{
    Settlement,
    transport::{Acker, Transport},
};

use super::{
    Session,
    selection::{self, Selection},
};
use crate::{
    exit::Exit,
    look::{Look, MOST},
    message,
    output::{self, Output},
    progress::Progress,
    table::Table,
};

/// The arguments of `tidings deadletters drop`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidings deadletters drop --older-than 30d --dry-run
  tidings deadletters drop --queue dead_letter.store --reason expired --yes

The messages are held while you are asked, so that exactly those are dropped that were counted.")]
pub(crate) struct Options {
    #[command(flatten)]
    selection: Selection,
    /// Drops so many at most
    #[arg(long, short = 'n', value_name = "N")]
    limit: Option<u64>,
    /// Says what would be dropped, and drops nothing
    #[arg(long)]
    dry_run: bool,
    /// Does not ask
    #[arg(long, short)]
    yes: bool,
}

/// What became of a queue.
#[derive(Debug, Serialize)]
struct Row {
    queue: Arc<str>,
    dropped: u64,
    /// Looked at and not meant.
    kept: u64,
    /// Not looked at.
    unseen: u64,
}

/// Messages that are held: those that are meant, and the others so that they do not come again.
#[derive(Default)]
struct Held {
    meant: Vec<Acker>,
    others: Vec<Acker>,
}

/// Drops them.
pub(crate) async fn run(
    transport: &dyn Transport,
    options: &Options,
    session: &Session,
) -> Result<Exit> {
    let queues = options.selection.queues(transport).await?;
    let waiting = queues.iter().map(|queue| queue.ready).sum();
    let progress = Progress::of(waiting, "looking", session.output);
    let (mut looks, mut rows, mut held) = (Vec::new(), Vec::new(), Held::default());
    for queue in queues {
        let limit = options.limit.unwrap_or(u64::MAX) - held.meant.len() as u64;
        let most = match options.selection.is_all() {
            true => limit,
            false => MOST,
        };
        let mut look = Look::into(transport, &queue.name, most, &session.stop).await?;
        let row = choose(&mut look, limit, &queue.name, options, &progress, &mut held).await?;
        // A subscriber that ends gives back what it has delivered: it stays until the end.
        looks.push(look);
        rows.push(row);
    }
    drop(progress);
    let number = held.meant.len() as u64;
    if !options.dry_run {
        if number > 0 && !options.yes && !agrees(&rows, number, session).await? {
            output::note("nothing was dropped");
            return Ok(Exit::Failed);
        }
        for acker in held.meant {
            let settled = acker.settle(Settlement::Ack).await;
            settled.context("cannot drop all of them: look again how many are left")?;
        }
    }
    report(&rows, options, session.output)?;
    Ok(Exit::Ok)
}

async fn choose(
    look: &mut Look<'_>,
    limit: u64,
    queue: &Arc<str>,
    options: &Options,
    progress: &Progress,
    held: &mut Held,
) -> Result<Row> {
    let mut row = Row {
        queue: Arc::clone(queue),
        dropped: 0,
        kept: 0,
        unseen: 0,
    };
    while row.dropped < limit
        && let Some(delivery) = look.next().await?
    {
        progress.step();
        let (call, acker) = delivery.split();
        if options.selection.meant(&call).is_some() {
            row.dropped += 1;
            held.meant.push(acker);
        } else {
            row.kept += 1;
            held.others.push(acker);
        }
    }
    row.unseen = look.waiting() - look.seen();
    Ok(row)
}

async fn agrees(rows: &[Row], number: u64, session: &Session) -> Result<bool> {
    output::note(table(rows).render(output::is_terminal_error()).trim_end());
    let question = format!("Drop {} for good?", message::count(number, "dead letter"));
    output::confirm(&question, &session.stop).await
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new(&["queue", ">dropped", ">kept"]);
    for row in rows {
        table.row([(&row.queue).into(), row.dropped.into(), row.kept.into()]);
    }
    table
}

fn report(rows: &[Row], options: &Options, output: Output) -> Result<()> {
    let dry_run = options.dry_run;
    let sum = |of: fn(&Row) -> u64| rows.iter().map(of).sum::<u64>();
    let (dropped, kept, unseen) = (
        sum(|row| row.dropped),
        sum(|row| row.kept),
        sum(|row| row.unseen),
    );
    let json = json!({ "dry_run": dry_run, "dropped": dropped, "kept": kept, "unseen": unseen, "queues": rows });
    output.document(&json, || {
        let table = table(rows);
        let shown = match table.is_empty() {
            true => String::new(),
            false => output.table(&table),
        };
        let verb = if dry_run { "would drop" } else { "dropped" };
        format!(
            "{shown}{verb} {}, kept {kept}\n",
            message::count(dropped, "dead letter")
        )
    })?;
    if options.limit.is_none() {
        selection::note_unseen(unseen, "run it again to go on", output);
    }
    Ok(())
}
