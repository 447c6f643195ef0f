//! Ours, as a service is written: a contract, a handler, a server, and a client that calls it.
//!
//! Client and server have a transport each, as they have in two services.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidings::{
    Deadline, Request, Router, Server, Subscriber,
    rpc::{Client, Response, Rpc},
};

use crate::{
    case::{Case, Outcome, Work},
    load::{self, TEXT},
};

const QUEUE: &str = "tidings-bench-ours";

/// How many requests are handled at a time: as many as are in flight.
const CONCURRENCY: u16 = 64;

/// Answers with what it was asked.
#[derive(Debug, Serialize, Deserialize, JsonSchema, Request)]
#[request(exchange = "bench_echo", response = Echoed, lock = off)]
struct Echo {
    text: String,
}

/// The same, with a key of its own for each call.
#[derive(Debug, Serialize, Deserialize, JsonSchema, Request)]
#[request(exchange = "bench_locked", response = Echoed, lock = "number")]
struct Locked {
    text: String,
    number: u64,
}

/// What both answer.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Echoed {
    text: String,
}

async fn echo(request: Echo) -> Response<Echoed> {
    Response::success("Echoed", Echoed { text: request.text })
}

async fn locked(request: Locked) -> Response<Echoed> {
    Response::success("Echoed", Echoed { text: request.text })
}

/// Runs one case.
pub async fn run(url: &str, case: Case) -> Result<Outcome> {
    let (serving, calling) = (tidings::open(url).await?, tidings::open(url).await?);
    let handlers = Subscriber::new(QUEUE).on(echo).on(locked);
    let server = Server::builder(Arc::clone(&serving), Rpc::new(QUEUE)?)
        .concurrency(CONCURRENCY)
        .start(Router::new().subscriber(handlers))
        .await?;
    let client = Client::over(Arc::clone(&calling), Rpc::new(QUEUE)?);
    let outcome = load::run(case, |number| {
        let client = client.clone();
        async move { call(&client, case.work, number).await }
    })
    .await?;
    server.drain(Duration::from_secs(5)).await;
    for transport in [serving, calling] {
        transport
            .close(Deadline::after(Duration::from_secs(5)))
            .await?;
    }
    Ok(outcome)
}

async fn call(client: &Client, work: Work, number: u64) -> Result<()> {
    let text = TEXT.to_owned();
    let reply = match work {
        Work::Memory => client.call(&Locked { text, number }).await?,
        _ => client.call(&Echo { text }).await?,
    };
    ensure!(
        reply.data.is_some_and(|data| data.text == TEXT),
        "another reply"
    );
    Ok(())
}
