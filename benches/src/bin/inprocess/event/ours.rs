//! The event through Tidings: the client, the embedded broker in memory, the server with its default stack.

use std::{hint::black_box, sync::Arc};

use anyhow::Result;
use tidings::{
    Call, Client, Contract, RetryPolicy, Router, Running, Server, State,
    convention::{Convention, Interest, Outgoing},
};
use tidings_benches::latch::Latch;
use tidings_core::{codec::Format, message::FromMessage};
use tidings_embedded::Embedded;
use tokio::runtime::Runtime;

use super::{
    ORDER, OrderPlaced,
    scenario::{self, Path},
};
use crate::measured::{Allocated, measure};

const SUBSCRIBER: &str = "count";

/// Runs one path over so many messages.
pub fn run(
    convention: impl Convention,
    path: Path,
    concurrency: Option<u16>,
    messages: usize,
) -> Result<Allocated> {
    let runtime = scenario::runtime()?;
    if path == Path::Decode {
        return decode(&convention, messages);
    }
    let latch = Latch::default();
    let running = runtime.block_on(serve(convention, concurrency, latch.clone()))?;
    latch.expect(messages);
    match path {
        Path::Publish => {
            runtime.block_on(running.pause(SUBSCRIBER))?;
            measure(|| runtime.block_on(publish(running.client(), messages)))
        }
        Path::Receive => receive(&runtime, &running, &latch, messages),
        _ => measure(|| {
            runtime.block_on(async {
                publish(running.client(), messages).await?;
                latch.drained().await;
                Ok(())
            })
        }),
    }
    .map(|((), allocated)| allocated)
}

async fn serve(
    convention: impl Convention,
    concurrency: Option<u16>,
    latch: Latch,
) -> tidings::Result<Running> {
    async fn count(State(latch): State<Latch>, event: OrderPlaced) {
        black_box((event.id, event.quantity));
        latch.arrived();
    }
    let mut server = Server::builder(Arc::new(Embedded::memory()), convention);
    if let Some(concurrency) = concurrency {
        server = server.concurrency(concurrency);
    }
    let router = Router::new().on(SUBSCRIBER, count).with_state(latch);
    server.start(router).await
}

async fn publish(client: &Client, messages: usize) -> Result<()> {
    for _ in 0..messages {
        client.publish(black_box(&ORDER)).await?;
    }
    Ok(())
}

/// Everything has been published before; measured is from resuming to the last handling.
fn receive(
    runtime: &Runtime,
    running: &Running,
    latch: &Latch,
    messages: usize,
) -> Result<((), Allocated)> {
    runtime.block_on(running.pause(SUBSCRIBER))?;
    runtime.block_on(publish(running.client(), messages))?;
    measure(|| {
        runtime.block_on(async {
            running.resume(SUBSCRIBER).await?;
            latch.drained().await;
            Ok(())
        })
    })
}

/// What the handler's arguments cost alone: reading the envelope and the fields, with nothing around it.
fn decode(convention: &impl Convention, messages: usize) -> Result<Allocated> {
    let interest = Interest::Contract(OrderPlaced::info());
    let attachment = convention.attach(SUBSCRIBER, &interest, &RetryPolicy::default())?;
    let sealed = seal(convention)?;
    let format = convention.format();
    let (_, allocated) = measure(|| {
        for _ in 0..messages {
            let opened = convention.open(black_box(sealed.message()), &attachment)?;
            black_box(OrderPlaced::from_message(&opened, format)?);
        }
        Ok(())
    })?;
    Ok(allocated)
}

/// How many bytes the event has as a domain message.
pub fn body_of_domain() -> Result<usize> {
    Ok(seal(&scenario::domain()?)?.envelope.payload.len())
}

fn seal(convention: &impl Convention) -> tidings::Result<Call> {
    convention.seal(&Outgoing {
        name: OrderPlaced::NAME,
        version: i64::from(OrderPlaced::VERSION),
        kind: OrderPlaced::KIND,
        id: None,
        occurred_at: None,
        meta: &serde_json::Map::new(),
        secrets: &[],
        body: &|format: Format, out: &mut Vec<u8>| format.encode(&ORDER, out),
    })
}
