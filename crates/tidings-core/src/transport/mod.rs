//! The way in and out: what every broker, protocol or in-process queue promises.
//!
//! Implementers: copy `transports/tidings-embedded`, keep its file names, and run the conformance suite of
//! `tidings-testkit` until it is green. All traits here are object-safe on purpose: a transport is chosen by
//! URL at run time, so the one dynamic dispatch is here and there is no second, erased set of traits.

mod capabilities;
mod impairment;
mod inbox;
mod registry;
mod subscription;

use std::{
    fmt,
    future::{Future, poll_fn, ready},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

pub use self::{
    capabilities::{Capabilities, Capability},
    impairment::Impairment,
    inbox::{Inbox, Returned, Vanished},
    registry::{Registry, redact},
    subscription::{QueueStatus, Rates, Subscription},
};
use crate::{
    Call, Completion, Deadline, Delivery,
    error::{Error, ErrorKind, Result},
    topology::{Difference, Exchange, Queue, Topology},
};

/// A future on a path that is not hot.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A broker, a protocol, or the process itself.
///
/// A transport moves bytes and owns the connection. It knows no convention and decides no policy.
pub trait Transport: fmt::Debug + Send + Sync + 'static {
    /// The scheme of its URLs, for example `embedded`.
    fn scheme(&self) -> &'static str;

    /// What it can do. Constant for the life of the transport.
    fn capabilities(&self) -> Capabilities;

    /// Makes everything in the topology exist. Idempotent: declaring what exists changes nothing and loses nothing.
    ///
    /// # Errors
    /// [`Conflict`](crate::ErrorKind::Conflict) if something exists with other settings (the error names the thing, what it
    /// has and what is wanted), [`Misuse`](crate::ErrorKind::Misuse) if the topology contradicts itself or a binding names
    /// something that does not exist, [`Unsupported`](crate::ErrorKind::Unsupported) if the transport cannot express it.
    fn declare<'a>(&'a self, topology: &'a Topology) -> BoxFuture<'a, Result<()>>;

    /// What [`declare`](Self::declare) would create or be refused for, in the order of the topology. Changes nothing.
    ///
    /// # Errors
    /// [`Misuse`](crate::ErrorKind::Misuse) if the topology contradicts itself, [`Unsupported`](crate::ErrorKind::Unsupported) if the
    /// transport cannot express or cannot look at it, [`Unavailable`](crate::ErrorKind::Unavailable) if the broker cannot be reached.
    fn compare<'a>(&'a self, topology: &'a Topology) -> BoxFuture<'a, Result<Vec<Difference>>> {
        let context = format!(
            "`{}:` cannot compare a topology of {} queues with what exists: declare it to see whether it is refused",
            self.scheme(),
            topology.queues.len()
        );
        Box::pin(ready(Err(Error::new(ErrorKind::Unsupported, context))))
    }

    /// Deletes the exchanges and queues of the topology **with the messages in them**. What is absent is no error.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable) if the broker cannot be reached.
    fn delete<'a>(&'a self, topology: &'a Topology) -> BoxFuture<'a, Result<()>>;

    /// A way in. Publishers may be shared by any number of tasks.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable) if the broker cannot be reached.
    fn publisher(&self) -> BoxFuture<'_, Result<Arc<dyn Publisher>>>;

    /// A way out of one queue. Several subscribers of one queue compete for its messages.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if the queue does not exist, [`Denied`](crate::ErrorKind::Denied) if it belongs exclusively
    /// to another connection.
    fn subscribe(&self, to: Subscription) -> BoxFuture<'_, Result<Box<dyn Subscriber>>>;

    /// An address for replies that belongs to this connection.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) if the transport has no such thing, [`Unavailable`](crate::ErrorKind::Unavailable)
    /// if the broker cannot be reached.
    fn inbox(&self) -> BoxFuture<'_, Result<Inbox>> {
        Box::pin(Inbox::over_exclusive_queue(self))
    }

    /// As [`inbox`](Self::inbox), for replies that come through exchanges: its address is the name of a queue that
    /// [`route_replies`](Self::route_replies) binds.
    ///
    /// # Errors
    /// As [`inbox`](Self::inbox).
    fn reply_queue(&self) -> BoxFuture<'_, Result<Inbox>> {
        Box::pin(Inbox::over_exclusive_queue(self))
    }

    /// Makes replies that are published to `exchange`, with the address of a [`reply_queue`](Self::reply_queue) as
    /// their routing key, arrive there. Declares the exchange. Idempotent; lasts as long as the inbox.
    ///
    /// # Errors
    /// [`Conflict`](crate::ErrorKind::Conflict) if the exchange exists with other settings,
    /// [`Unavailable`](crate::ErrorKind::Unavailable) if the inbox has ended with its connection.
    fn route_replies<'a>(
        &'a self,
        inbox: &'a Arc<str>,
        exchange: &'a Exchange,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let topology = Topology::new()
                .exchange(exchange.clone())
                .queue(Queue::exclusive(Arc::clone(inbox)))
                .bind(
                    Arc::clone(&exchange.name),
                    Arc::clone(inbox),
                    Arc::clone(inbox),
                );
            self.declare(&topology).await
        })
    }

    /// What keeps it from working at this moment, although it is mending it by itself. Empty means all is well.
    fn impairments(&self) -> Vec<Impairment> {
        Vec::new()
    }

    /// The state of all queues, or of those named.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) for a named queue that does not exist,
    /// [`Unsupported`](crate::ErrorKind::Unsupported) if the transport can only look at queues by name.
    fn queues<'a>(&'a self, named: &'a [Arc<str>]) -> BoxFuture<'a, Result<Vec<QueueStatus>>>;

    /// Ends it: waits for publishes under way until the deadline, then closes. Unsettled deliveries come again elsewhere.
    ///
    /// # Errors
    /// [`Timeout`](crate::ErrorKind::Timeout) if publishes were still unconfirmed at the deadline.
    fn close(&self, deadline: Deadline) -> BoxFuture<'_, Result<()>>;
}

/// The half of a transport that sends.
pub trait Publisher: fmt::Debug + Send + Sync + 'static {
    /// Hands a call over. The completion resolves once the broker has taken responsibility for it: from then
    /// on it survives a crash of this process, and of the broker if the transport is durable.
    ///
    /// Publishes of one task arrive in the order of the calls to this function; nobody has to await one before the next.
    ///
    /// # Errors
    /// The completion fails with [`Unroutable`](crate::ErrorKind::Unroutable) if no queue would receive it (unless
    /// [`Call::unroutable_is_fine`]), with [`NotFound`](crate::ErrorKind::NotFound) if the exchange does not exist,
    /// [`Full`](crate::ErrorKind::Full) if there is no room, [`Unconfirmed`](crate::ErrorKind::Unconfirmed) if the outcome is not known.
    ///
    /// # Cancel safety
    /// Dropping the completion gives up the answer, not the publish.
    fn publish(&self, call: Call) -> Completion;
}

/// The half of a transport that receives. It is a stream that is polled by one task at a time.
///
/// Dropping it stops the deliveries: those not yet handed out go back; ackers already handed out stay valid.
pub trait Subscriber: Send + 'static {
    /// The next delivery. `None` means closed for good, `Some(Err(_))` that the subscription is broken and why.
    ///
    /// At most [`Subscription::prefetch`] deliveries are handed out and unsettled at any time.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Delivery>>>;
}

impl dyn Subscriber {
    /// The next delivery, as a future.
    ///
    /// # Errors
    /// As [`Subscriber::poll_next`].
    ///
    /// # Cancel safety
    /// Yes: a dropped future loses no delivery.
    #[expect(
        clippy::should_implement_trait,
        reason = "it is the `next` of a stream, which no iterator has"
    )]
    pub fn next(&mut self) -> impl Future<Output = Option<Result<Delivery>>> + Send + '_ {
        poll_fn(move |cx| self.poll_next(cx))
    }
}
