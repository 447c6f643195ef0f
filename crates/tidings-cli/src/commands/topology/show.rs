//! `tidings topology show`: what is wanted, without asking a broker. Its JSON is the export.

use anyhow::Result;
use clap::Args;
use tidings::topology::{Queue, Topology};

use super::{Session, count};
use crate::{exit::Exit, message, output::Output, span, table::Table, wanted::Source};

/// The arguments of `tidings topology show`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidings topology show --organization acme --service shop --subscribers subscribers.json
  tidings topology show --organization acme --service shop --output json > definitions.json")]
pub(crate) struct Options {
    #[command(flatten)]
    source: Source,
}

/// Prints it.
pub(crate) fn run(options: &Options, session: &Session) -> Result<Exit> {
    let topology = options.source.read()?.topology();
    let definitions = topology.to_definitions(options.source.vhost());
    let output = session.output;
    output.document(&definitions, || people(&topology, output))?;
    Ok(Exit::Ok)
}

fn people(topology: &Topology, output: Output) -> String {
    let mut exchanges = Table::new(&["exchange", "kind"]);
    for exchange in &topology.exchanges {
        exchanges.row([(&exchange.name).into(), exchange.kind.into()]);
    }
    let mut queues = Table::new(&["queue", ">TTL", "dead letters to", "settings"]);
    for queue in &topology.queues {
        let ttl = queue.message_ttl.map_or("–".to_owned(), span::ttl);
        let dead = dead_letters(queue);
        queues.row([
            (&queue.name).into(),
            ttl.into(),
            dead.into(),
            settings(queue).into(),
        ]);
    }
    let mut bindings = Table::new(&["from exchange", "for keys", "to queue"]);
    for binding in &topology.bindings {
        bindings.row([
            (&binding.exchange).into(),
            (&binding.pattern).into(),
            (&binding.queue).into(),
        ]);
    }
    let mut text = String::new();
    for table in [&exchanges, &queues, &bindings] {
        if !table.is_empty() {
            text.push_str(&output.table(table));
            text.push('\n');
        }
    }
    text.push_str(&format!(
        "{}, {}, {}\n",
        count(topology.exchanges.len(), "exchange"),
        count(topology.queues.len(), "queue"),
        count(topology.bindings.len(), "binding"),
    ));
    text
}

fn dead_letters(queue: &Queue) -> String {
    let Some(to) = &queue.dead_letter else {
        return "–".to_owned();
    };
    match &to.key {
        Some(key) => format!("{} ({key})", to.exchange),
        None => to.exchange.to_string(),
    }
}

fn settings(queue: &Queue) -> String {
    let mut settings = Vec::new();
    if queue.exclusive {
        settings.push("exclusive".to_owned());
    }
    if !queue.durable {
        settings.push("not durable".to_owned());
    }
    let arguments = queue.arguments.iter();
    settings.extend(arguments.map(|(name, value)| format!("{name}={}", message::header(value))));
    settings.join(", ")
}
