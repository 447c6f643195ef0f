//! Inboxes for replies: a consumer without acks that ends with its connection.
//!
//! There are two kinds. A [`direct`] one needs no queue, but only replies through the default exchange reach it; the
//! [`queue`] of the other can be bound to exchanges. What they have in common is here. Nothing that concerns an inbox is
//! made again after a reconnect: replies that were on their way are lost, which whoever waits for one has to bear anyway.

pub(crate) mod direct;
pub(crate) mod queue;
mod replies;
mod requests;
mod ways;

use std::{
    future::poll_fn,
    sync::{Arc, Weak},
    time::Duration,
};

use lapin::{Channel, Consumer, options::BasicConsumeOptions, types::ShortString};
use tidings_core::{
    Completion, Error, ErrorKind, Result, Settlement, acker::Settle, transport::Inbox,
};
use tokio::time::timeout;

use crate::{
    connection::{Generation, Reactor, Supervised},
    consuming::{handover::Handover, pump::Pump},
    error,
    subscriber::RabbitSubscriber,
};

/// How long it may take to open one, the wait for a connection included.
const PATIENCE: Duration = Duration::from_secs(10);

/// Opens an inbox on the next generation that is up. `open` is given up when that ends, and begun again on the next.
///
/// # Errors
/// [`Unavailable`](ErrorKind::Unavailable) if the broker blocks the connection, or if it takes longer than ten seconds, else
/// what `open` says.
///
/// # Cancel safety
/// Yes: an inbox that nobody receives is closed.
async fn open<F>(
    connection: &Supervised,
    reactor: &Arc<Reactor>,
    open: impl Fn(Generation, Weak<Reactor>) -> F + Send + 'static,
) -> Result<Inbox>
where
    F: Future<Output = Result<Inbox>> + Send,
{
    let (connection, tasks) = (connection.clone(), Arc::downgrade(reactor));
    let opening = async move {
        loop {
            let generation = connection.up().await?;
            let over = generation.clone();
            let opened = tokio::select! {
                // Cancel-safe: a channel that nobody gets is closed.
                opened = open(generation, tasks.clone()) => opened,
                // Cancel-safe: both only look.
                () = over.over() => Err(ended(&over.why())),
                reason = over.blocking() => return Err(blocked(&reason)),
            };
            // A connection that is up may be lost already, and nobody knows.
            if opened.is_ok() || !over.is_over() {
                return opened;
            }
        }
    };
    let opening = async move {
        timeout(PATIENCE, opening)
            .await
            .unwrap_or_else(|_| Err(too_slow()))
    };
    reactor
        .run("open an inbox for replies", opening)
        .await
        .unwrap_or_else(|| Err(error::closed()))
}

/// The consumer of an inbox, and where it lives.
struct Line {
    generation: Generation,
    channel: Channel,
    consumer: Consumer,
}

impl Line {
    /// Consumes without acks.
    async fn consume(generation: Generation, channel: Channel, queue: ShortString) -> Result<Self> {
        let options = BasicConsumeOptions {
            no_ack: true,
            ..BasicConsumeOptions::default()
        };
        let consumer = channel
            .basic_consume(queue, "".into(), options, <_>::default())
            .await
            .map_err(|failed| {
                generation.suspect(&failed);
                error::of_channel(&failed, "cannot receive replies")
            })?;
        Ok(Self {
            generation,
            channel,
            consumer,
        })
    }

    /// Hands over what comes. Once the reader has left, `leave` tidies up on the broker.
    fn serve<F>(
        self,
        name: &Arc<str>,
        reactor: &Reactor,
        leave: impl FnOnce(Channel, ShortString) -> F + Send + 'static,
    ) -> RabbitSubscriber
    where
        F: Future<Output = lapin::Result<()>> + Send,
    {
        let handover = Arc::new(Handover::new(Arc::new(Settled), None));
        let replies = RabbitSubscriber::new(Arc::clone(&handover), Arc::clone(name));
        reactor.spawn("RabbitMQ replies", async move {
            let Self {
                generation,
                channel,
                consumer,
            } = self;
            let mut pump = Pump::new(consumer);
            let guard = EndsWith(Arc::clone(&handover));
            tokio::select! {
                // Cancel-safe: when the reader has left, nobody wants what may come.
                reason = receive(&mut pump, &handover, &generation) => handover.end(Some(ended(&reason))),
                () = handover.left() => {
                    if let Err(failed) = leave(channel, pump.tag()).await {
                        generation.suspect(&failed);
                    }
                }
            }
            drop(guard);
        });
        replies
    }
}

/// Hands replies over until there can be no more; returns why.
async fn receive(pump: &mut Pump, handover: &Handover, generation: &Generation) -> String {
    tokio::select! {
        biased;
        // Cancel-safe: what the pump has taken it has given away.
        failed = poll_fn(|cx| pump.poll(cx, |batch| handover.give(batch))) => match failed {
            Some(failed) => {
                generation.suspect(&failed);
                error::said(&failed)
            }
            None => "its channel was closed".to_owned(),
        },
        () = generation.over() => generation.why(),
    }
}

fn blocked(reason: &str) -> Error {
    let context = format!(
        "there is no way for replies, the broker reads nothing from publishers: free memory or disk space on it ({reason})"
    );
    Error::new(ErrorKind::Unavailable, context)
}

fn too_slow() -> Error {
    let context = format!(
        "RabbitMQ gives no inbox for replies within {PATIENCE:?}: see its log, and whether the connection is up"
    );
    Error::new(ErrorKind::Unavailable, context)
}

fn ended(reason: &str) -> Error {
    let context = format!(
        "the inbox for replies has ended with its channel, and replies on their way are lost: open another and ask again ({reason})"
    );
    Error::new(ErrorKind::Unavailable, context)
}

/// However the task ends, nobody waits for replies any more.
struct EndsWith(Arc<Handover>);

impl Drop for EndsWith {
    fn drop(&mut self) {
        self.0.end(None);
    }
}

/// For deliveries that count as settled when they are sent.
#[derive(Debug)]
struct Settled;

impl Settle for Settled {
    fn settle(&self, _: u64, _: Settlement) -> Completion {
        Completion::ready(Ok(()))
    }

    fn abandon(&self, _: u64) {}
}
