//! The work, the same for both: so many tasks publish, each one message after the other's confirm, until time is up;
//! where the whole cycle is measured, one consumer takes and acknowledges everything.

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};
use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{
    runtime::{Builder, Runtime},
    sync::watch,
    task::JoinSet,
};

/// How long messages are published in one turn.
pub const LASTS: Duration = Duration::from_millis(100);

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

/// Messages, and how long they took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Amount {
    pub messages: u32,
    pub took: Duration,
}

/// Who takes part: works for a moment whenever it is its turn.
pub trait Contender {
    /// Works until [`LASTS`] has passed and nothing is under way any more.
    fn turn(&mut self) -> Result<Amount>;

    /// Closes the file.
    fn close(self: Box<Self>) -> Result<()>;
}

/// A queue with publishers and, for the whole cycle, a consumer.
pub struct Served<Q> {
    runtime: Runtime,
    queue: Arc<Q>,
    publishers: u32,
    part: Part,
}

impl<Q: Queue> Served<Q> {
    pub fn new(open: impl Future<Output = Result<Q>>, publishers: u32, part: Part) -> Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        let queue = Arc::new(runtime.block_on(open)?);
        Ok(Self {
            runtime,
            queue,
            publishers,
            part,
        })
    }

    async fn work(&self) -> Result<Amount> {
        let (finished, total) = watch::channel(None);
        let mut consumer = JoinSet::new();
        if self.part == Part::Cycle {
            consumer.spawn(consume(self.queue.consumer().await?, total));
        }
        let start = Instant::now();
        let messages = publish(&self.queue, self.publishers, start + LASTS).await?;
        finished.send_replace(Some(messages));
        while let Some(ended) = consumer.join_next().await {
            ended??;
        }
        let took = start.elapsed();
        Ok(Amount { messages, took })
    }
}

impl<Q: Queue> Contender for Served<Q> {
    fn turn(&mut self) -> Result<Amount> {
        self.runtime.block_on(self.work())
    }

    fn close(self: Box<Self>) -> Result<()> {
        let queue = Arc::into_inner(self.queue);
        let queue = queue.ok_or_else(|| anyhow!("a publisher is still at work"))?;
        self.runtime.block_on(queue.close())
    }
}

async fn publish<Q: Queue>(queue: &Arc<Q>, publishers: u32, until: Instant) -> Result<u32> {
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
