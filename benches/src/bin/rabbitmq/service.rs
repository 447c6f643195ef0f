//! Ours, as a service is written: a client publishes domain events, and a server has a handler for them.
//!
//! Each event is written and read as JSON, goes through a topic exchange, and passes the layers that trace, count,
//! retry and dead-letter. The store, which would keep a copy of each, is off: the others keep none.

use std::sync::Arc;

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidings::{
    Client, Contract, Deadline, Domain, Event, RetryPolicy, Router, Running, Server, State,
    convention::{Attachment, Convention, Interest, Outgoing},
    topology::Topology,
    transport::Transport,
};
use tidings_benches::latch::Latch;
use tidings_benches::watch::Stopwatch;
use tidings_core::codec::Format;

use crate::{
    case::{Case, Kind, Outcome, Work},
    load::{self, BODY, PREFETCH, pipeline},
    stage,
    transport::GRACE,
};

const SUBSCRIBER: &str = "count";

/// What is published.
#[derive(Clone, Event, Serialize, Deserialize, JsonSchema)]
struct OrderPlaced {
    text: String,
}

/// Runs one case in exchanges and queues of its own.
pub async fn run(url: &str, case: Case) -> Result<Outcome> {
    let domain = Domain::builder("tidings_bench", "service")
        .without_store()
        .build()?;
    let interest = Interest::Contract(OrderPlaced::info());
    let place = domain.attach(SUBSCRIBER, &interest, &RetryPolicy::default())?;
    let event = event(&domain)?;
    let all = domain.clear(std::slice::from_ref(&place));
    let transport = tidings::open(&with_type(url, case.kind)).await?;
    transport.delete(&all).await?;
    let latch = Latch::default();
    let running = serve(Arc::clone(&transport), domain, latch.clone()).await?;
    let outcome = measure(&running, &event, &latch, case).await?;
    running.drain(GRACE).await;
    leave(&*transport, all, &place).await?;
    stage::finish(url, case, &place.queue).await?;
    Ok(outcome)
}

async fn serve(
    transport: Arc<dyn Transport>,
    domain: Domain,
    latch: Latch,
) -> tidings::Result<Running> {
    async fn count(State(latch): State<Latch>, event: OrderPlaced) {
        std::hint::black_box(event.text);
        latch.arrived();
    }
    let router = Router::new().on(SUBSCRIBER, count).with_state(latch);
    let running = Server::builder(transport, domain)
        .prefetch(PREFETCH)
        .start(router)
        .await?;
    running.pause(SUBSCRIBER).await?;
    Ok(running)
}

async fn measure(
    running: &Running,
    event: &OrderPlaced,
    latch: &Latch,
    case: Case,
) -> Result<Outcome> {
    latch.expect(case.messages);
    let publishing = || publish(running.client(), event, case.messages);
    if case.work == Work::Consume {
        publishing().await?;
    }
    let watch = Stopwatch::start()?;
    if case.work != Work::Publish {
        running.resume(SUBSCRIBER).await?;
    }
    let confirmed = match case.work {
        Work::Publish | Work::Both => publishing().await?,
        Work::Consume => Vec::new(),
    };
    if case.work != Work::Publish {
        latch.drained().await;
    }
    load::stop(watch, case.messages, confirmed)
}

async fn publish(
    client: &Client,
    event: &OrderPlaced,
    messages: usize,
) -> Result<Vec<std::time::Duration>> {
    let publish = || {
        let confirmed = client.publish(event);
        async move { Ok(confirmed.await?) }
    };
    pipeline(messages, publish).await
}

/// Removes everything but the queue, whose messages are to be counted, and closes the transport.
async fn leave(transport: &dyn Transport, mut all: Topology, place: &Attachment) -> Result<()> {
    all.queues.retain(|queue| queue.name != place.queue);
    transport.delete(&all).await?;
    transport.close(Deadline::after(GRACE)).await?;
    Ok(())
}

/// An event whose body has the size that all have here.
fn event(domain: &Domain) -> Result<OrderPlaced> {
    let mut event = OrderPlaced {
        text: String::new(),
    };
    let empty = domain.seal(&Outgoing {
        name: OrderPlaced::NAME,
        version: i64::from(OrderPlaced::VERSION),
        kind: OrderPlaced::KIND,
        id: None,
        occurred_at: None,
        meta: &serde_json::Map::new(),
        secrets: &[],
        body: &|format: Format, out: &mut Vec<u8>| format.encode(&event, out),
    })?;
    let missing = BODY.len().saturating_sub(empty.envelope.payload.len());
    event.text = "x".repeat(missing);
    Ok(event)
}

/// The domain leaves the type of its queues to the broker; the URL of the transport can say it.
fn with_type(url: &str, kind: Kind) -> String {
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}queue_type={kind}")
}
