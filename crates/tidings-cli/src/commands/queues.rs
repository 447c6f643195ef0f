//! `tidings queues`: how full queues are, and how fast messages pass through them.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde::Serialize;
use tidings::{
    clock::Clock,
    transport::{QueueStatus, Transport},
};

use super::Session;
use crate::{
    connect,
    exit::Exit,
    message,
    output::Output,
    span, status,
    table::{Cell, Table, Tone},
};

/// The arguments of `tidings queues`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidings queues
  tidings queues --only-backlog --sort depth --watch 2
  tidings queues store dead_letter.store --output json

What a transport cannot tell is shown as –. Rates are the broker's own; where it has none, --watch measures how fast \
a queue grows (net/s) from one picture to the next.")]
pub(crate) struct Options {
    /// Only these queues
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// A new picture every so many seconds, until ctrl-c
    #[arg(long, short, value_name = "SECONDS", value_parser = span::pause)]
    watch: Option<Duration>,
    /// Only queues with messages in them
    #[arg(long)]
    only_backlog: bool,
    /// In which order
    #[arg(long, value_enum, default_value_t = Sort::Name, value_name = "BY")]
    sort: Sort,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Sort {
    /// By name.
    Name,
    /// Fullest first.
    Depth,
    /// Fewest consumers first, then fullest.
    Consumers,
}

/// A queue at one moment, with rates per second.
#[derive(Debug, Serialize)]
struct Row {
    name: Arc<str>,
    depth: u64,
    ready: u64,
    unacknowledged: Option<u64>,
    consumers: u32,
    rate_in: Option<f64>,
    rate_out: Option<f64>,
    rate_net: Option<f64>,
}

/// One picture of all queues.
#[derive(Debug, Serialize)]
struct Picture {
    time: String,
    queues: Vec<Row>,
}

/// How full queues were, and when.
type Before = Option<(Instant, HashMap<Arc<str>, u64>)>;

/// Shows them.
pub(crate) async fn run(options: Options, session: &Session) -> Result<Exit> {
    let transport = session.connection.open(&session.stop).await?;
    let done = options.show(&*transport, session).await;
    connect::close(&*transport, done).await
}

impl Options {
    async fn show(&self, transport: &dyn Transport, session: &Session) -> Result<Exit> {
        let output = session.output;
        let Some(pause) = self.watch else {
            let picture = self.picture(transport, &mut None).await?;
            output.document(&picture, || people(&picture.queues, output))?;
            return Ok(Exit::Ok);
        };
        let mut before = None;
        loop {
            let picture = self.picture(transport, &mut before).await?;
            if !output.is_json() {
                output.clear()?;
            }
            output.item(&picture, || {
                format!("{}\n{}\n", picture.time, people(&picture.queues, output))
            })?;
            tokio::select! {
                () = tokio::time::sleep(pause) => {} // Cancel-safe: nothing but time is lost.
                () = session.stop.requested() => return Ok(Exit::Ok), // Cancel-safe: it only looks at a flag.
            }
        }
    }

    async fn picture(&self, transport: &dyn Transport, before: &mut Before) -> Result<Picture> {
        let mut queues = if self.names.is_empty() {
            status::all(transport).await?
        } else {
            let names: Vec<Arc<str>> = self.names.iter().map(|it| it.as_str().into()).collect();
            status::named(transport, &names).await?
        };
        let now = Instant::now();
        let depths = queues.iter().map(|it| (Arc::clone(&it.name), it.depth()));
        let depths: HashMap<_, _> = depths.collect();
        queues.retain(|queue| !self.only_backlog || queue.depth() > 0);
        queues.sort_by_key(|queue| self.sort.key(queue));
        let rows = queues.into_iter().map(|queue| Row::of(queue, before, now));
        let queues = rows.collect();
        *before = Some((now, depths));
        Ok(Picture {
            time: Clock::SYSTEM.now().strftime("%FT%TZ").to_string(),
            queues,
        })
    }
}

impl Sort {
    fn key(self, queue: &QueueStatus) -> (u32, u64, Arc<str>) {
        let emptiness = u64::MAX - queue.depth();
        let name = Arc::clone(&queue.name);
        match self {
            Self::Name => (0, 0, name),
            Self::Depth => (0, emptiness, name),
            Self::Consumers => (queue.consumers, emptiness, name),
        }
    }
}

impl Row {
    fn of(queue: QueueStatus, before: &Before, now: Instant) -> Self {
        let measured = before.as_ref().and_then(|(then, depths)| {
            let seconds = now.duration_since(*then).as_secs_f64();
            let depth = *depths.get(&queue.name)?;
            Some(difference(queue.depth(), depth) / seconds)
        });
        let rates = queue.rates;
        Self {
            depth: queue.depth(),
            ready: queue.ready,
            unacknowledged: queue.unsettled,
            consumers: queue.consumers,
            rate_in: rates.map(|rates| rates.arriving),
            rate_out: rates.map(|rates| rates.delivered),
            rate_net: measured.or(rates.map(|rates| rates.arriving - rates.acked)),
            name: queue.name,
        }
    }
}

/// As a fraction, because it may be less than nothing.
#[expect(
    clippy::cast_precision_loss,
    reason = "a queue of more than 2^53 messages does not exist"
)]
fn difference(now: u64, before: u64) -> f64 {
    now as f64 - before as f64
}

fn people(queues: &[Row], output: Output) -> String {
    let mut table = Table::new(&[
        "queue",
        ">ready",
        ">unacked",
        ">consumers",
        ">in/s",
        ">out/s",
        ">net/s",
    ]);
    for queue in queues {
        let tone = match (queue.depth, queue.consumers) {
            (0, _) => Tone::Plain,
            (_, 0) => Tone::Bad,
            _ => Tone::Good,
        };
        table.row([
            (&queue.name).into(),
            Cell::new(queue.ready.to_string(), tone),
            unknown(queue.unacknowledged).into(),
            queue.consumers.into(),
            rate(queue.rate_in).into(),
            rate(queue.rate_out).into(),
            rate(queue.rate_net).into(),
        ]);
    }
    let messages = queues.iter().map(|queue| queue.depth).sum();
    let queues = message::count(queues.len() as u64, "queue");
    let total = format!("{queues}, {}\n", message::count(messages, "message"));
    if table.is_empty() {
        return total;
    }
    format!("{}{total}", output.table(&table))
}

fn unknown(value: Option<u64>) -> String {
    value.map_or("–".to_owned(), |value| value.to_string())
}

fn rate(value: Option<f64>) -> String {
    value.map_or("–".to_owned(), |value| format!("{value:.1}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(name: &str, ready: u64, consumers: u32) -> QueueStatus {
        QueueStatus {
            name: name.into(),
            ready,
            unsettled: None,
            consumers,
            rates: None,
        }
    }
    fn check(sort: Sort, expected: [&str; 3]) {
        let mut queues = [status("b", 1, 0), status("a", 5, 2), status("c", 9, 1)];
        queues.sort_by_key(|queue| sort.key(queue));
        assert_eq!(queues.map(|queue| queue.name.to_string()), expected);
    }

    #[test]
    fn sorts_as_asked() {
        check(Sort::Name, ["a", "b", "c"]);
        check(Sort::Depth, ["c", "a", "b"]);
        check(Sort::Consumers, ["b", "c", "a"]);
    }

    #[test]
    fn a_rate_is_the_brokers_or_measured() {
        let then = Instant::now();
        let now = then + Duration::from_secs(2);
        let before = Some((then, HashMap::from([(Arc::from("q"), 10)])));
        let row = Row::of(status("q", 4, 0), &before, now);
        assert_eq!((row.rate_in, row.rate_net), (None, Some(-3.0)));
        let mut known = status("new", 4, 0);
        let rates = known.rates.insert(Default::default());
        (rates.arriving, rates.delivered, rates.acked) = (3.0, 2.0, 1.0);
        let row = Row::of(known, &before, now);
        assert_eq!((row.rate_in, row.rate_out), (Some(3.0), Some(2.0)));
        assert_eq!(row.rate_net, Some(2.0));
        assert_eq!(Row::of(status("q", 4, 0), &None, now).rate_net, None);
    }
}
