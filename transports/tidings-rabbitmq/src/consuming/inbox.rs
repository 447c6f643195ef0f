//! Replies without a queue: RabbitMQ's direct reply-to.
//!
//! A channel that consumes from a pseudo-queue without acks gets every reply that is addressed to it, and the requests
//! have to be published on that same channel. So an inbox is a channel, and it ends with it: replies that were on
//! their way are lost, which whoever waits for one has to bear anyway. Nothing is published again.

use std::{
    future::poll_fn,
    sync::{Arc, Weak},
    time::Duration,
};

use lapin::{
    options::{BasicCancelOptions, BasicConsumeOptions},
    types::FieldTable,
};
use tidings_core::{
    Completion, Error, ErrorKind, Result, Settlement, acker::Settle, transport::Inbox,
};
use tokio::time::timeout;

use crate::{
    config::RabbitMqConfig,
    connection::{Generation, Reactor, Supervised},
    consuming::{handover::Handover, pump::Pump},
    error,
    publisher::RabbitMqPublisher,
    publishing::Publishing,
    subscriber::RabbitSubscriber,
};

/// Where the broker delivers replies to; it puts an address of ours in its place on the way to whoever replies.
const REPLY_TO: &str = "amq.rabbitmq.reply-to";

/// How long it may take to open one, the wait for a connection included.
const PATIENCE: Duration = Duration::from_secs(10);

/// Opens an inbox on this connection.
///
/// # Errors
/// [`Unavailable`](ErrorKind::Unavailable) if the connection is lost meanwhile or blocked by the broker, or if it takes
/// longer than ten seconds, else what the broker says.
///
/// # Cancel safety
/// Yes: an inbox that nobody receives is closed.
pub(crate) async fn open(
    connection: &Supervised,
    config: &Arc<RabbitMqConfig>,
    reactor: &Arc<Reactor>,
) -> Result<Inbox> {
    let (connection, config) = (connection.clone(), Arc::clone(config));
    let tasks = Arc::downgrade(reactor);
    let opening = async move {
        let generation = connection.up().await?;
        if let Some(reason) = generation.blocked() {
            return Err(blocked(&reason));
        }
        let over = generation.clone();
        tokio::select! {
            // Cancel-safe: a channel that nobody gets is closed.
            opened = consume(generation, &config, &tasks) => opened,
            () = over.over() => Err(ended(&over.why())),
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

async fn consume(
    generation: Generation,
    config: &RabbitMqConfig,
    reactor: &Weak<Reactor>,
) -> Result<Inbox> {
    let channel = generation.channel().await?;
    let options = BasicConsumeOptions {
        no_ack: true,
        ..BasicConsumeOptions::default()
    };
    let (queue, arguments) = (REPLY_TO.into(), FieldTable::default());
    let consumer = channel
        .basic_consume(queue, "".into(), options, arguments)
        .await
        .map_err(|failed| {
            generation.suspect(&failed);
            error::of_channel(&failed, "cannot receive direct replies")
        })?;
    let reactor = reactor.upgrade().ok_or_else(error::closed)?;
    let publishing =
        Publishing::over(channel.clone(), generation.clone(), config, &reactor).await?;
    let reply_to: Arc<str> = REPLY_TO.into();
    let handover = Arc::new(Handover::new(Arc::new(Settled)));
    let replies = RabbitSubscriber::new(Arc::clone(&handover), Arc::clone(&reply_to));
    reactor.spawn("RabbitMQ replies", async move {
        let mut pump = Pump::new(consumer);
        let guard = EndsWith(Arc::clone(&handover));
        tokio::select! {
            // Cancel-safe: when the reader has left, nobody wants what may come.
            reason = receive(&mut pump, &handover, &generation) => handover.end(Some(ended(&reason))),
            () = handover.left() => {
                let cancelled = channel.basic_cancel(pump.tag(), BasicCancelOptions::default()).await;
                if let Err(failed) = cancelled {
                    generation.suspect(&failed);
                }
            }
        }
        drop(guard);
    });
    Ok(Inbox {
        reply_to,
        publisher: Arc::new(RabbitMqPublisher::new(publishing)),
        replies: Box::new(replies),
    })
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
        "cannot open an inbox for replies, the broker reads nothing from publishers: free memory or disk space on it ({reason})"
    );
    Error::new(ErrorKind::Unavailable, context)
}

fn too_slow() -> Error {
    let context = format!(
        "RabbitMQ gives no inbox for replies within {PATIENCE:?}: see its log, and whether the connection is up or blocked"
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
