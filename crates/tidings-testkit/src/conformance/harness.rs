//! What a transport tells the suite about itself: how to start a broker, reach it again, and restart it.

use std::{fmt, sync::Arc, time::Duration};

use tidings_core::{
    Result,
    transport::{BoxFuture, Transport},
};

/// Starts brokers for the suite: a fresh one for each behaviour.
pub trait Harness: fmt::Debug + Send + Sync + 'static {
    /// Which clock the transport waits by.
    fn time(&self) -> Time;

    /// Whether its broker can be had here. One that cannot is skipped, after it has said why.
    fn is_available(&self) -> bool {
        true
    }

    /// How long behaviours wait for an event before they give up. What takes longer, such as the restart of a broker
    /// that is a program of its own, needs more.
    fn patience(&self) -> Duration {
        match self.time() {
            Time::Real => Duration::from_secs(20),
            Time::Virtual => Duration::from_secs(3_600),
        }
    }

    /// Whether a settlement survives a crash of the broker once its completion has resolved. AMQP 0.9.1 confirms none:
    /// behaviours then give the broker time to notice, and accept that what was acked comes back marked.
    fn settlements_are_confirmed(&self) -> bool {
        true
    }

    /// Whether a message that is nacked goes back to where it was. RabbitMQ's quorum queues put it behind the others, which
    /// [`Ordered`](tidings_core::transport::Capability::Ordered) allows: it speaks of first deliveries.
    fn nacked_messages_keep_their_place(&self) -> bool {
        true
    }

    /// Starts a broker that shares nothing with any other.
    ///
    /// # Errors
    /// Whatever keeps it from starting; the behaviour counts as failed.
    fn open(&self) -> BoxFuture<'_, Result<Box<dyn Broker>>>;
}

/// Which clock a transport waits by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// The operating system's: behaviours really wait, for some tens of milliseconds.
    Real,
    /// Only tokio's, and all its work happens on the runtime: the suite runs in paused time.
    ///
    /// A transport with threads of its own must say [`Real`](Self::Real): paused time runs ahead whenever the
    /// runtime is idle, and it does not know that another thread is busy.
    Virtual,
}

/// One running broker. Dropping it stops it and removes what it wrote.
pub trait Broker: fmt::Debug + Send + Sync + 'static {
    /// Connects to it, for the first time or after a restart.
    fn connect(&self) -> BoxFuture<'_, Result<Arc<dyn Transport>>>;

    /// Connects to it once more, as another process would. `None` if there can only be one connection.
    fn connect_another(&self) -> Option<BoxFuture<'_, Result<Arc<dyn Transport>>>> {
        None
    }

    /// Returns when what was declared so far survives a [`restart`](Self::restart). Most brokers have nothing to wait for:
    /// what they have answered, they keep.
    fn settle_declarations(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    /// Stops it and starts it again, as abruptly as its promises allow, with what it kept, and waits until it can be
    /// connected to. All connections are lost, although publishers, subscribers and ackers of them may still be held;
    /// a transport that mends itself may come back with them. The suite connects again afterwards. `None` if it
    /// keeps nothing.
    fn restart(&self) -> Option<BoxFuture<'_, Result<()>>> {
        None
    }
}
