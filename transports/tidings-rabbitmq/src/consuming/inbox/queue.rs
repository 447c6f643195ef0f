//! Replies through a queue that exchanges can lead to.
//!
//! The broker gives the queue its name, `amq.gen-…`: that is what the users of deployed clients have permission for. It is
//! exclusive to the outbound connection and goes with it. It is in no record: under another connection it would have
//! another name, and whoever replies knows only the old one.
//!
//! Requests and replies share one connection, so that a call depends on no other and pays for no second thread. While the
//! broker reads nothing from it, replies still come: they need no acks.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use lapin::{
    Channel,
    options::{QueueDeclareOptions, QueueDeleteOptions},
    types::ShortString,
};
use tidings_core::{Error, ErrorKind, Result, topology::Exchange, transport::Inbox};
use tokio::time::timeout;

use super::{Line, PATIENCE, blocked, replies::Replies, requests::Requests};
use crate::{
    connection::{Generation, Reactor, Supervised},
    declaring::Declaring,
    error,
};

/// The reply queues of one transport.
#[derive(Debug)]
pub(crate) struct ReplyQueues {
    connection: Supervised,
    reactor: Arc<Reactor>,
    open: Arc<Open>,
}

/// The queues that are there, and the way out of the inbox of each, on the connection that it belongs to.
#[derive(Debug, Default)]
struct Open(Mutex<HashMap<Arc<str>, Requests>>);

impl ReplyQueues {
    /// On the outbound connection.
    pub(crate) fn new(connection: Supervised, reactor: Arc<Reactor>) -> Self {
        Self {
            connection,
            reactor,
            open: Arc::default(),
        }
    }

    /// Opens another. Its requests have channels of their own.
    ///
    /// # Errors
    /// [`Unavailable`](ErrorKind::Unavailable) if the connection is lost meanwhile or blocked by the broker, or if it takes
    /// longer than ten seconds, else what the broker says.
    ///
    /// # Cancel safety
    /// Yes: an inbox that nobody receives is closed, and its queue deleted.
    pub(crate) async fn open(&self) -> Result<Inbox> {
        let open = Arc::clone(&self.open);
        super::open(
            &self.connection,
            &self.reactor,
            move |generation, reactor| {
                let open = Arc::clone(&open);
                async move { inbox(&open, generation, reactor).await }
            },
        )
        .await
    }

    /// Lets an exchange lead to a queue, for messages that have its name as their key.
    ///
    /// # Errors
    /// [`Unavailable`](ErrorKind::Unavailable) if the inbox has ended or the broker blocks its connection,
    /// [`Conflict`](ErrorKind::Conflict) if the exchange has other settings, [`Timeout`](ErrorKind::Timeout) if the broker
    /// does not answer within ten seconds, else what it says.
    ///
    /// # Cancel safety
    /// It is idempotent; dropped halfway, the exchange may exist without leading there.
    pub(crate) async fn route(
        &self,
        inbox: &Arc<str>,
        exchange: &Exchange,
        declaring: &Declaring,
    ) -> Result<()> {
        let Some(requests) = self.open.owner(inbox) else {
            return Err(gone(inbox));
        };
        let generation = requests.generation();
        let routing = declaring.route(generation, exchange, inbox);
        let leading = async {
            routing.await?;
            requests.lead_to(&exchange.name).await;
            Ok(())
        };
        let routed = tokio::select! {
            // Cancel-safe: as documented here.
            routed = timeout(PATIENCE, leading) => routed.unwrap_or_else(|_| Err(silent(exchange))),
            // Cancel-safe: it only looks.
            reason = generation.blocking() => Err(blocked(&reason)),
        };
        match routed {
            // Whatever the broker said: the queue is gone with its connection, or with its reader.
            Err(_) if self.open.owner(inbox).is_none() => Err(gone(inbox)),
            routed => routed,
        }
    }
}

/// A queue, what reads it, and the way out for requests.
async fn inbox(open: &Arc<Open>, generation: Generation, reactor: Weak<Reactor>) -> Result<Inbox> {
    let (requests, returned) = Requests::over(generation.channel().await?, generation.clone());
    let (name, line) = declare(generation.clone()).await?;
    let entry = open.add(&name, requests.clone());
    let Line {
        channel, consumer, ..
    } = line;
    let leaving = generation.clone();
    let leave = move || {
        if let Some(reactor) = reactor.upgrade() {
            reactor.spawn("close a reply queue", leave(channel, entry, leaving));
        }
    };
    let replies = Replies::new(consumer, returned, generation, Arc::clone(&name), leave);
    Ok(Inbox {
        reply_to: name,
        publisher: Arc::new(requests),
        replies: Box::new(replies),
    })
}

/// Deletes the queue and closes its channel: it would not be deleted by itself before its connection ends, which may be
/// in a year.
async fn leave(channel: Channel, entry: Entry, generation: Generation) {
    let (name, options) = (entry.leave(), QueueDeleteOptions::default());
    let left = async {
        channel.queue_delete(name, options).await?;
        channel.close(200, "done".into()).await
    };
    tokio::select! {
        // Cancel-safe: with its connection, the queue goes, too.
        left = left => if let Err(failed) = left {
            generation.suspect(&failed);
        },
        () = generation.over() => {}
    }
}

/// Declares the queue and consumes from it.
async fn declare(generation: Generation) -> Result<(Arc<str>, Line)> {
    let channel = generation.channel().await?;
    let options = QueueDeclareOptions {
        exclusive: true,
        ..QueueDeclareOptions::default()
    };
    let declared = channel
        .queue_declare("".into(), options, <_>::default())
        .await;
    let queue = declared.map_err(|failed| {
        generation.suspect(&failed);
        error::of_channel(&failed, "cannot declare a queue for replies")
    })?;
    let line = Line::consume(generation, channel, queue.name().clone()).await?;
    Ok((queue.name().as_str().into(), line))
}

impl Open {
    fn add(self: &Arc<Self>, name: &Arc<str>, requests: Requests) -> Entry {
        self.queues().insert(Arc::clone(name), requests);
        Entry {
            name: Arc::clone(name),
            open: Arc::clone(self),
        }
    }

    /// The way out of the inbox that has this queue, while its connection lasts.
    fn owner(&self, name: &str) -> Option<Requests> {
        let open = self.queues().get(name).cloned();
        open.filter(|requests| !requests.generation().is_over())
    }

    fn queues(&self) -> MutexGuard<'_, HashMap<Arc<str>, Requests>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A queue that is in the table until this is dropped.
struct Entry {
    name: Arc<str>,
    open: Arc<Open>,
}

impl Entry {
    /// Takes it out, and tells what the queue is called.
    fn leave(self) -> ShortString {
        self.name.as_ref().into()
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.open.queues().remove(&self.name);
    }
}

fn gone(inbox: &str) -> Error {
    let context = format!(
        "no replies can be routed to `{inbox}`: it has ended with its connection or its reader, open another reply queue and ask again"
    );
    Error::new(ErrorKind::Unavailable, context)
}

fn silent(exchange: &Exchange) -> Error {
    let context = format!(
        "RabbitMQ has not answered within {PATIENCE:?} whether exchange `{}` leads to a queue for replies: see its log",
        exchange.name
    );
    Error::new(ErrorKind::Timeout, context)
}
