//! Publishing many messages: confirmed, in order, many of them under way at a time.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::PathBuf,
};

use anyhow::{Context, Result};
use clap::Args;
use futures_util::{StreamExt, stream::FuturesOrdered};
use serde::Serialize;
use tidings::{Call, Error, ErrorKind, transport::Transport};

use crate::{
    commands::Session, connect, exit::Exit, json_text, message, output, output::Output,
    progress::Progress,
};

/// How many messages may be unconfirmed at a time.
const WINDOW: usize = 256;

/// The messages to send, made one by one.
pub(crate) type Outbox = Box<dyn Iterator<Item = Result<Call>>>;

/// How often, and from where.
#[derive(Clone, Debug, Args)]
pub(crate) struct Sending {
    /// So many copies
    #[arg(long, short = 'n', value_name = "N", default_value_t = 1)]
    count: u64,
    /// A file with one message as JSON per line; `-` is standard input
    #[arg(long, short = 'f', value_name = "FILE", conflicts_with = "count")]
    file: Option<PathBuf>,
    /// A message that no queue would receive is no error
    #[arg(long)]
    unroutable_is_fine: bool,
}

/// What is printed of a message that was confirmed.
#[derive(Debug, Serialize)]
struct Sent {
    exchange: String,
    key: String,
    size: usize,
    /// Its identity, if it is a domain message.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
}

impl Sending {
    pub(crate) fn copies(&self) -> u64 {
        self.count
    }

    pub(crate) fn reads_file(&self) -> bool {
        self.file.is_some()
    }

    /// A message for each line of the file.
    pub(crate) fn lines(
        &self,
        mut read: impl FnMut(&str) -> Result<Call> + 'static,
    ) -> Result<Outbox> {
        let path = self.file.clone().unwrap_or_default();
        let lines: Box<dyn BufRead> = if path.as_os_str() == "-" {
            Box::new(BufReader::new(io::stdin()))
        } else {
            let file = File::open(&path);
            let file = file.with_context(|| format!("cannot read {}", path.display()))?;
            Box::new(BufReader::new(file))
        };
        let lines = lines.lines().enumerate().filter_map(move |(index, line)| {
            let place = format!("line {}", index + 1);
            match line {
                Ok(line) if line.trim().is_empty() => None,
                Ok(line) => Some(read(&line).context(place)),
                Err(error) => Some(Err(error).context(place)),
            }
        });
        Ok(Box::new(lines))
    }

    fn progress(&self, output: Output) -> Option<Progress> {
        match (self.reads_file(), self.count) {
            (true, _) => Some(Progress::endless("publishing", output)),
            (false, 0..1_000) => None,
            (false, count) => Some(Progress::of(count, "publishing", output)),
        }
    }
}

/// Sends everything and says what was sent where. What was handed over is waited for, whatever happens.
pub(crate) async fn send(outbox: Outbox, sending: &Sending, session: &Session) -> Result<Exit> {
    let transport = session.connection.open(&session.stop).await?;
    let done = send_all(&*transport, outbox, sending, session).await;
    connect::close(&*transport, done).await
}

async fn send_all(
    transport: &dyn Transport,
    mut outbox: Outbox,
    sending: &Sending,
    session: &Session,
) -> Result<Exit> {
    let publisher = transport.publisher().await?;
    let progress = sending.progress(session.output);
    let mut window = FuturesOrdered::new();
    let mut sent: BTreeMap<(String, String), u64> = BTreeMap::new();
    let mut result = Ok(Exit::Ok);
    loop {
        let may_go_on = result.is_ok() && !session.stop.is_requested();
        let next = if may_go_on && window.len() < WINDOW {
            outbox.next()
        } else {
            None
        };
        match next {
            Some(Ok(call)) => {
                let message = Sent::of(&call);
                let call = match sending.unroutable_is_fine {
                    true => call.unroutable_is_fine(),
                    false => call,
                };
                let confirm = publisher.publish(call);
                window.push_back(async move { confirm.await.map(|()| message) });
                continue;
            }
            Some(Err(error)) => result = Err(error),
            None if window.is_empty() => break,
            None => {}
        }
        // Waited for also after an error: what was handed over may have been sent.
        match window.next().await {
            Some(Ok(message)) => {
                progress.iter().for_each(Progress::step);
                if session.output.is_json() {
                    session.output.item(&message, String::new)?;
                }
                *sent.entry((message.exchange, message.key)).or_default() += 1;
            }
            // The first error is the cause; what failed after it did so because of it.
            Some(Err(error)) => result = result.and(Err(refused(error))),
            None => {}
        }
    }
    drop(progress);
    if !session.output.is_json() {
        output::write(&people(&sent))?;
    }
    if session.stop.is_requested() {
        return result.map(|_| Exit::Interrupted);
    }
    result
}

fn people(sent: &BTreeMap<(String, String), u64>) -> String {
    let mut text = String::new();
    for ((exchange, key), number) in sent {
        let messages = message::count(*number, "message");
        text.push_str(&match exchange.as_str() {
            "" => format!("published {messages} to queue `{key}`\n"),
            exchange => format!("published {messages} to exchange `{exchange}` with key `{key}`\n"),
        });
    }
    text
}

fn refused(error: Error) -> anyhow::Error {
    let is_unroutable = error.kind() == ErrorKind::Unroutable;
    let error = anyhow::Error::from(error);
    if is_unroutable {
        error.context("not published (`--unroutable-is-fine` takes it as done)")
    } else {
        error.context("not published")
    }
}

impl Sent {
    fn of(call: &Call) -> Self {
        Self {
            exchange: call.address.exchange.to_string(),
            key: call.address.key.to_string(),
            size: call.envelope.payload.len(),
            id: id_of(call),
        }
    }
}

/// The identity of a domain message.
fn id_of(call: &Call) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Envelope {
        data: Data,
    }
    #[derive(serde::Deserialize)]
    struct Data {
        id: String,
    }
    let json = json_text::read(&call.envelope.payload.bytes)?;
    let envelope: Envelope = serde_json::from_str(json.get()).ok()?;
    Some(envelope.data.id)
}

/// All of standard input, as text.
pub(crate) fn read_stdin() -> Result<String> {
    let mut text = String::new();
    io::stdin()
        .read_to_string(&mut text)
        .context("cannot read standard input")?;
    Ok(text)
}
