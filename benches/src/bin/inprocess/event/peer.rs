//! The event through RustStream's memory broker, driven as its own benchmarks drive it.

use std::{convert::Infallible, hint::black_box};

use anyhow::Result;
use ruststream::memory::{
    MemoryPublisher,
    prelude::{
        AppInfo, HandlerOutcome, MemoryBroker, PublishExt, RunningApp, RustStream, subscriber,
    },
};
use tidings_benches::latch::Latch;

use super::{
    ORDER, OrderPlaced,
    scenario::{self, Path},
};
use crate::measured::{Allocated, measure};

#[subscriber("orders")]
async fn count(order: &OrderPlaced, context: &mut Context<'_, (), Latch>) -> HandlerOutcome {
    black_box((order.id, order.quantity));
    context.state().arrived();
    HandlerOutcome::ack()
}

/// Runs one path over so many messages.
pub fn run(path: Path, messages: usize) -> Result<Allocated> {
    if path == Path::Decode {
        return decode(messages);
    }
    let runtime = scenario::runtime()?;
    let (latch, broker) = (Latch::default(), MemoryBroker::new());
    let publisher = broker.publisher();
    let _running = runtime.block_on(serve(broker, latch.clone()))?;
    latch.expect(messages);
    let ((), allocated) = match path {
        Path::Publish => measure(|| runtime.block_on(publish(&publisher, messages)))?,
        Path::Receive => {
            runtime.block_on(publish(&publisher, messages))?;
            anyhow::ensure!(latch.missing() == messages, "some were handled too early");
            measure(|| {
                runtime.block_on(latch.drained());
                Ok(())
            })?
        }
        _ => measure(|| {
            runtime.block_on(async {
                publish(&publisher, messages).await?;
                latch.drained().await;
                Ok(())
            })
        })?,
    };
    Ok(allocated)
}

async fn serve(broker: MemoryBroker, latch: Latch) -> Result<RunningApp> {
    let app = RustStream::new(AppInfo::new("bench", "0.0.0"))
        .on_startup(async move |()| Ok::<_, Infallible>(latch))
        .with_broker(broker, |scope| {
            scope.include(count);
        });
    Ok(app.start().await?)
}

async fn publish(publisher: &MemoryPublisher, messages: usize) -> Result<()> {
    for _ in 0..messages {
        publisher.message(black_box(&ORDER)).publish().await?;
    }
    Ok(())
}

fn decode(messages: usize) -> Result<Allocated> {
    let body = body()?;
    let ((), allocated) = measure(|| {
        for _ in 0..messages {
            black_box(serde_json::from_slice::<OrderPlaced>(black_box(&body))?);
        }
        Ok(())
    })?;
    Ok(allocated)
}

/// The fields and nothing else.
pub fn body() -> Result<Vec<u8>> {
    Ok(serde_json::to_vec(&ORDER)?)
}
