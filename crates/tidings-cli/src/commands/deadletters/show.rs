//! `tidings deadletters show`: each dead letter with what it says about its death.

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use tidings::{Call, clock::Clock, transport::Transport};

use super::{
    Session,
    selection::{self, Selection},
};
use crate::{
    dead::Facts,
    exit::Exit,
    json_text::printable,
    look::{Look, MOST},
    message::{self, Shown},
    output::{self, Output},
    span,
    table::Tone,
};

/// The arguments of `tidings deadletters show`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidings deadletters show --subscriber send_mail --limit 3 --full
  tidings deadletters show --queue dead_letter.store --output json

The messages are looked at and given back, marked as redelivered.")]
pub(crate) struct Options {
    #[command(flatten)]
    selection: Selection,
    /// Shows so many at most
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20)]
    limit: u64,
    /// Shows the whole payload, and all headers and properties
    #[arg(long)]
    full: bool,
}

/// A dead letter for programs: the facts beside the message.
#[derive(Serialize)]
struct Item {
    #[serde(flatten)]
    facts: Facts,
    message: Shown,
}

/// Shows them.
pub(crate) async fn run(
    transport: &dyn Transport,
    options: &Options,
    session: &Session,
) -> Result<Exit> {
    let output = session.output;
    let (mut shown, mut more) = (0, 0);
    for queue in options.selection.queues(transport).await? {
        if shown == options.limit {
            more += queue.ready;
            continue;
        }
        // With filters nobody knows how deep the next one that passes is.
        let most = match options.selection.is_all() {
            true => options.limit - shown,
            false => MOST,
        };
        let mut look = Look::into(transport, &queue.name, most, &session.stop).await?;
        let mut held = Vec::new();
        while shown < options.limit
            && let Some(delivery) = look.next().await?
        {
            if let Some(facts) = options.selection.meant(delivery.call()) {
                shown += 1;
                let item = Item {
                    message: Shown::of(delivery.call()),
                    facts,
                };
                output.item(&item, || {
                    people(shown, &item.facts, delivery.call(), options.full, output)
                })?;
            }
            held.push(delivery.split().1);
        }
        more += look.waiting() - look.seen();
    }
    if !output.is_json() {
        if shown == 0 {
            output::write("no dead letters\n")?;
        } else if more > 0 {
            output::note(format_args!(
                "note: {} not looked at: say --limit N for more",
                message::count(more, "message")
            ));
        }
    }
    Ok(Exit::Ok)
}

fn people(number: u64, facts: &Facts, call: &Call, full: bool, output: Output) -> String {
    let quiet = |text: &str| Tone::Quiet.paint(text, output.colour());
    let mut text = format!(
        "{number}. {}  {}\n",
        Tone::Bad.paint(&printable(&facts.reason), output.colour()),
        quiet(&printable(call.queue())),
    );
    let mut line = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            text.push_str(&format!(
                "   {}  {}\n",
                quiet(&format!("{name:<10}")),
                printable(&value)
            ));
        }
    };
    line("error", facts.error.clone());
    line("attempts", facts.attempts.map(|it| it.to_string()));
    line("subscriber", facts.subscriber.clone());
    line("host", facts.host.clone());
    line("first", facts.first_failed_at.map(|it| it.to_string()));
    let now = Clock::SYSTEM.now();
    let ago = |at| format!("{at} ({} ago)", span::show(selection::age(at, now)));
    line("died", facts.failed_at.map(ago));
    if full {
        line("sent to", None);
        text.push_str(&message::people(call, output));
    } else {
        line("payload", Some(message::start(&call.envelope.payload, 160)));
        text.push('\n');
    }
    text
}
