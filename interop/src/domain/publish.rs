//! `domain publish`: one message for each line of standard input, confirmed, in order.

use std::{process::ExitCode, sync::Arc};

use anyhow::{Context, Result};
use futures_util::{StreamExt, stream::FuturesOrdered};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tidings::{
    Call, Client, Domain,
    convention::{Convention, Outgoing},
    transport::Transport,
};
use tokio::io::{AsyncBufReadExt, BufReader};

use super::{say_json, subscribers::kind};

/// How many messages may be unconfirmed at a time.
const WINDOW: usize = 256;

/// One line of standard input.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    #[serde(default = "first")]
    version: i64,
    #[serde(default)]
    attributes: Map<String, Value>,
    #[serde(default)]
    meta: Map<String, Value>,
    id: Option<String>,
    occurred_on: Option<String>,
}

fn first() -> i64 {
    1
}

/// Publishes until standard input ends.
pub(crate) async fn run(transport: &dyn Transport, domain: Domain) -> Result<ExitCode> {
    let publisher = transport.publisher().await?;
    // As on this wire, an event that nobody subscribes to is no error.
    let client = Client::new(Arc::new(domain.clone()), publisher).unroutable_is_fine();
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut window = FuturesOrdered::new();
    while let Some(line) = lines.next_line().await? {
        if line.trim().is_empty() {
            continue;
        }
        let call =
            seal(&domain, &line).with_context(|| format!("cannot publish the line {line}"))?;
        let answer = answer(&call)?;
        let publishing = client.publish_call(call);
        window.push_back(async move { publishing.await.map(|()| answer) });
        if window.len() >= WINDOW {
            confirm(window.next().await)?;
        }
    }
    while !window.is_empty() {
        confirm(window.next().await)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn confirm(confirmed: Option<tidings::Result<Value>>) -> Result<()> {
    if let Some(answer) = confirmed {
        say_json(&answer?)?;
    }
    Ok(())
}

fn seal(domain: &Domain, line: &str) -> Result<Call> {
    let line: Line = serde_json::from_str(line)?;
    let occurred_at = line.occurred_on.as_deref().map(domain_time).transpose()?;
    Ok(domain.seal(&Outgoing {
        name: &line.name,
        version: line.version,
        kind: kind(&line.kind)?,
        id: line.id.as_deref(),
        occurred_at,
        meta: &line.meta,
        body: &|format, out| format.encode(&line.attributes, out),
    })?)
}

fn domain_time(text: &str) -> Result<tidings::Timestamp> {
    tidings::domain::parse_time(text).with_context(|| format!("`{text}` is no time"))
}

fn answer(call: &Call) -> Result<Value> {
    let format: Value = serde_json::from_slice(&call.envelope.payload.bytes)?;
    Ok(json!({ "routing_key": &*call.address.key, "format": format }))
}
