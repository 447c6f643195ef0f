//! `tidings deadletters list`: how many, why, and since when, queue by queue.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::Result;
use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use tidings::{clock::Clock, transport::Transport};

use super::{
    Session,
    selection::{self, Selection},
};
use crate::{
    exit::Exit, look::Look, message, output::Output, progress::Progress, span, table::Table,
};

/// The arguments of `tidings deadletters list`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidings deadletters list
  tidings deadletters list --reason expired --older-than 1h --output json

The messages are looked at and given back, marked as redelivered.")]
pub(crate) struct Options {
    #[command(flatten)]
    selection: Selection,
    /// How many messages of each queue are looked at, at most
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    look_at: u64,
}

/// A queue of dead letters.
#[derive(Debug, Serialize)]
struct Row {
    queue: Arc<str>,
    /// All that wait in it.
    messages: u64,
    /// How many of them were looked at.
    looked_at: u64,
    /// How many of those pass the filters.
    selected: u64,
    reasons: BTreeMap<String, u64>,
    oldest: Option<Timestamp>,
    newest: Option<Timestamp>,
}

/// Shows them.
pub(crate) async fn run(
    transport: &dyn Transport,
    options: &Options,
    session: &Session,
) -> Result<Exit> {
    let queues = options.selection.queues(transport).await?;
    let total = queues.iter().map(|it| it.ready.min(options.look_at)).sum();
    let progress = Progress::of(total, "looking", session.output);
    let mut rows = Vec::new();
    for queue in queues {
        rows.push(row(transport, &queue.name, options, session, &progress).await?);
    }
    drop(progress);
    let output = session.output;
    let json = serde_json::json!({ "queues": rows });
    output.document(&json, || people(&rows, &options.selection, output))?;
    let unseen = rows.iter().map(|row| row.messages - row.looked_at).sum();
    selection::note_unseen(unseen, "say --look-at N for more", output);
    Ok(Exit::Ok)
}

async fn row(
    transport: &dyn Transport,
    queue: &Arc<str>,
    options: &Options,
    session: &Session,
    progress: &Progress,
) -> Result<Row> {
    let mut look = Look::into(transport, queue, options.look_at, &session.stop).await?;
    let mut row = Row {
        queue: Arc::clone(queue),
        messages: look.waiting(),
        looked_at: 0,
        selected: 0,
        reasons: BTreeMap::new(),
        oldest: None,
        newest: None,
    };
    let mut held = Vec::new();
    while let Some(delivery) = look.next().await? {
        progress.step();
        let (call, acker) = delivery.split();
        held.push(acker);
        let Some(facts) = options.selection.meant(&call) else {
            continue;
        };
        row.selected += 1;
        *row.reasons.entry(facts.reason).or_default() += 1;
        if let Some(at) = facts.failed_at {
            row.oldest = Some(row.oldest.map_or(at, |oldest| oldest.min(at)));
            row.newest = Some(row.newest.map_or(at, |newest| newest.max(at)));
        }
    }
    row.looked_at = look.seen();
    Ok(row)
}

fn people(rows: &[Row], selection: &Selection, output: Output) -> String {
    let now = Clock::SYSTEM.now();
    let heading = if selection.is_all() {
        ">messages"
    } else {
        ">selected"
    };
    let mut table = Table::new(&["queue", heading, "reasons", ">oldest", ">newest"]);
    let mut total = 0;
    for row in rows {
        let messages = match selection.is_all() {
            true => row.messages,
            false => row.selected,
        };
        total += messages;
        let reasons: Vec<_> = row
            .reasons
            .iter()
            .map(|(it, n)| format!("{it} {n}"))
            .collect();
        let age = |at: Option<Timestamp>| {
            at.map_or("–".to_owned(), |at| span::show(selection::age(at, now)))
        };
        table.row([
            (&row.queue).into(),
            messages.into(),
            reasons.join(", ").into(),
            age(row.oldest).into(),
            age(row.newest).into(),
        ]);
    }
    let summary = format!(
        "{} in {}\n",
        message::count(total, "dead letter"),
        message::count(rows.len() as u64, "queue")
    );
    if table.is_empty() {
        return summary;
    }
    format!("{}{summary}", output.table(&table))
}
