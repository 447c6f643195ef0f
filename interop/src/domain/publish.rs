//! `domain publish`: one message for each line of standard input, confirmed, in order.
//!
//! Many publishes are under way at a time; each is reported once it is confirmed, so that whoever drives this
//! program may wait for one before it writes the next.

use std::{io, process::ExitCode, sync::Arc};

use anyhow::{Context, Result};
use futures_util::{StreamExt, stream::FuturesOrdered};
use serde::Serialize;
use serde_json::value::RawValue;
use tidings::{Call, Client, Domain, ErrorKind, transport::Transport};
use tokio::io::{AsyncBufReadExt, BufReader};
use tracing::warn;

use super::line;
use crate::{output, stop::Stop};

/// How many messages may be unconfirmed at a time.
const WINDOW: usize = 256;

/// What is printed of a message.
#[derive(Serialize)]
struct Published {
    routing_key: String,
    format: Box<RawValue>,
}

/// Publishes until standard input ends, a line or a publish fails, or a signal comes. Whatever it is, what is
/// under way is waited for and reported.
pub(crate) async fn run(
    transport: &dyn Transport,
    domain: Domain,
    stop: &Stop,
) -> Result<ExitCode> {
    let publisher = transport.publisher().await?;
    let client = Client::new(Arc::new(domain.clone()), publisher);
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut window = FuturesOrdered::new();
    let (mut number, mut reading, mut result) = (0_u64, true, Ok(ExitCode::SUCCESS));
    loop {
        let step = tokio::select! {
            // Cancel-safe: a confirm that was not taken out stays in the window.
            Some(confirmed) = window.next() => report(confirmed),
            // Cancel-safe: promised by `Lines::next_line`.
            line = lines.next_line(), if reading && window.len() < WINDOW => {
                number += 1;
                next(&domain, line, number).map(|next| match next {
                    Next::Message(message) => {
                        window.push_back(publish(&client, message, number));
                        true
                    }
                    Next::Blank => true,
                    Next::End => false,
                })
            }
            () = stop.requested(), if reading => Ok(false), // Cancel-safe: it only looks at a flag.
            else => return result,
        };
        match step {
            Ok(go_on) => reading &= go_on,
            Err(error) => {
                reading = false;
                // The first error is the cause; what failed after it did so because of it.
                result = result.and(Err(error));
            }
        }
    }
}

/// What a line of input is.
enum Next {
    Message(Message),
    Blank,
    End,
}

/// A message, and what is printed once it is confirmed.
struct Message {
    call: Call,
    published: Published,
}

fn next(domain: &Domain, line: io::Result<Option<String>>, number: u64) -> Result<Next> {
    let Some(line) = line.with_context(|| format!("cannot read line {number}"))? else {
        return Ok(Next::End);
    };
    if line.trim().is_empty() {
        return Ok(Next::Blank);
    }
    let call =
        line::seal(domain, &line).with_context(|| format!("cannot publish line {number}"))?;
    let published = Published {
        routing_key: call.address.key.to_string(),
        format: serde_json::from_slice(&call.envelope.payload.bytes)?,
    };
    Ok(Next::Message(Message { call, published }))
}

/// Hands the message over now; the future is its confirm.
fn publish(
    client: &Client,
    message: Message,
    number: u64,
) -> impl Future<Output = Result<Published>> + use<> {
    let Message { call, published } = message;
    let publishing = client.publish_call(call);
    async move {
        match publishing.await {
            // On this wire a message that nobody subscribes to is no error, but it need not be a secret.
            Err(error) if error.kind() == ErrorKind::Unroutable => {
                warn!(line = number, %error, "nobody has received a message");
            }
            done => drop(done.with_context(|| format!("cannot publish line {number}"))?),
        }
        Ok(published)
    }
}

fn report(confirmed: Result<Published>) -> Result<bool> {
    output::json(&confirmed?)?;
    Ok(true)
}
