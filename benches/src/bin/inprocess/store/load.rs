//! The work, the same for both: so many tasks publish, each one message after the other's confirm, until time is up;
//! where the whole cycle is measured, one consumer takes and acknowledges everything.

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};
use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{runtime::Builder, sync::watch, task::JoinSet};

/// How long messages are published.
const LASTS: Duration = Duration::from_millis(1_000);

/// How many deliveries the consumer has unsettled at most.
pub const WINDOW: u16 = 256;

/// The body of every message.
pub static BODY: [u8; 256] = [b'x'; 256];

/// Which part is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Published and confirmed.
    Enqueue,
    /// Published, confirmed, delivered, acknowledged.
    Cycle,
}

impl Part {
    /// For tables and programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Enqueue => "enqueue",
            Self::Cycle => "enqueue, deliver, ack",
        }
    }
}

/// Something that keeps messages.
pub trait Queue: Send + Sync + 'static {
    type Consumer: Consumer;

    /// Resolves once the message is stored.
    fn publish(&self) -> impl Future<Output = Result<()>> + Send;

    /// The only consumer. Without one, messages stay.
    fn consumer(&self) -> impl Future<Output = Result<Self::Consumer>> + Send;

    /// Closes the file.
    fn close(self) -> impl Future<Output = Result<()>> + Send;
}

/// Who takes messages.
pub trait Consumer: Send + 'static {
    type Ack: Future<Output = Result<()>> + Send;

    /// Takes the next message and acknowledges it; the answer resolves once that is stored.
    fn next(&mut self) -> impl Future<Output = Result<Self::Ack>> + Send;
}

/// Messages per second.
pub fn run<Q: Queue>(
    open: impl Future<Output = Result<Q>>,
    publishers: usize,
    part: Part,
) -> Result<f64> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let queue = Arc::new(open.await?);
        let (finished, total) = watch::channel(None);
        let mut consumer = JoinSet::new();
        if part == Part::Cycle {
            consumer.spawn(consume(queue.consumer().await?, total));
        }
        let start = Instant::now();
        let published = publish(&queue, publishers, start + LASTS).await?;
        finished.send_replace(Some(published));
        while let Some(ended) = consumer.join_next().await {
            ended??;
        }
        let took = start.elapsed();
        let queue =
            Arc::into_inner(queue).ok_or_else(|| anyhow!("a publisher is still at work"))?;
        queue.close().await?;
        Ok(f64::from(published) / took.as_secs_f64())
    })
}

async fn publish<Q: Queue>(queue: &Arc<Q>, publishers: usize, until: Instant) -> Result<u32> {
    let mut tasks = JoinSet::new();
    for _ in 0..publishers {
        let queue = Arc::clone(queue);
        tasks.spawn(async move {
            let mut published = 0;
            while Instant::now() < until {
                queue.publish().await?;
                published += 1;
            }
            Ok::<u32, anyhow::Error>(published)
        });
    }
    let mut published = 0;
    while let Some(ended) = tasks.join_next().await {
        published += ended??;
    }
    Ok(published)
}

/// Acknowledges until everything that was published has been.
async fn consume<C: Consumer>(
    mut consumer: C,
    mut total: watch::Receiver<Option<u32>>,
) -> Result<()> {
    let (mut acknowledged, mut expected) = (0, None);
    let mut under_way = FuturesUnordered::new();
    while expected.is_none_or(|expected| acknowledged < expected) {
        tokio::select! {
            ack = consumer.next(), if under_way.len() < usize::from(WINDOW) => under_way.push(ack?),
            Some(acked) = under_way.next() => {
                acked?;
                acknowledged += 1;
            }
            changed = total.changed(), if expected.is_none() => {
                changed.map_err(|_| anyhow!("the publishers failed"))?;
                expected = *total.borrow();
            }
        }
    }
    Ok(())
}
