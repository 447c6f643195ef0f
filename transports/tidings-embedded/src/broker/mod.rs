//! The broker: exchanges, queues and everything that is owed to consumers, behind one lock.
//!
//! It is the engine of both modes. In memory it stands alone; in durable mode every change that must survive a
//! crash goes through the [journal](crate::journal) first and becomes visible after its commit. The local
//! transport and the link server use it through the same [`Broker`] handle, so a client in another process
//! gets exactly what a client in this one gets.
//!
//! The state is plain data behind a `Mutex` that is locked for one expression at a time; nothing in here is
//! async, and wakers are called after the lock is released. It deliberately knows no URL, socket or file.

use std::{fmt, sync::Arc};

use tidings_core::{
    Call, Completion, Deadline, Error, ErrorKind, Result,
    clock::Clock,
    topology::Topology,
    transport::{QueueStatus, Subscription},
};

use crate::subscriber::LocalSubscriber;

/// Who publishes, across reconnects and restarts: chosen at random by each publishing session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProducerId(pub u128);

/// The number of a publish within its [`ProducerId`]: 1, 2, 3, … in the order of publishing.
///
/// A number that was confirmed is not stored a second time; a number that was refused (full, unroutable) is
/// tried again when it comes again. A session must not have more than [`DEDUPE_WINDOW`] unanswered.
pub type Sequence = u64;

/// How far behind its newest publish the outcome of a producer's older publishes is still known.
pub const DEDUPE_WINDOW: u64 = 65_536;

/// One user of the broker: owner of exclusive queues and of its unsettled deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub(crate) u64);

/// A handle on the broker. Cloning it gives another handle on the same broker.
#[derive(Clone)]
pub struct Broker {
    shared: Arc<()>,
}

impl Broker {
    /// An empty broker that keeps everything in memory and forgets it when the last handle goes.
    #[must_use]
    pub fn memory(clock: Clock) -> Self {
        let _ = clock;
        Self {
            shared: Arc::new(()),
        }
    }

    /// Makes a connection, which owns its exclusive queues and its deliveries until [`disconnect`](Self::disconnect).
    #[must_use]
    pub fn connect(&self) -> ConnectionId {
        ConnectionId(0)
    }

    /// Ends a connection: its subscribers end, its unsettled deliveries go back marked as redelivered, its
    /// exclusive queues disappear. Ackers that are still out answer [`Closed`](ErrorKind::Closed) from now on.
    /// Unknown connections are no error.
    pub fn disconnect(&self, connection: ConnectionId) {
        let _ = connection;
    }

    /// Makes everything in the topology exist, or nothing. Exclusive queues will belong to `connection`.
    /// The completion resolves once the declaration survives a crash (at once in memory).
    ///
    /// # Errors
    /// [`Misuse`](ErrorKind::Misuse) for what no broker accepts, [`Conflict`](ErrorKind::Conflict) if something exists with other
    /// settings, [`NotFound`](ErrorKind::NotFound) if a binding names something that does not exist,
    /// [`Denied`](ErrorKind::Denied) for another connection's exclusive queue.
    pub fn declare(&self, connection: ConnectionId, topology: &Topology) -> Completion {
        let _ = (connection, topology);
        Completion::ready(Err(unfinished()))
    }

    /// Deletes the exchanges and queues of the topology with the messages in them. What is absent is no error.
    ///
    /// # Errors
    /// [`Denied`](ErrorKind::Denied) for another connection's exclusive queue; then nothing is deleted.
    pub fn delete(&self, connection: ConnectionId, topology: &Topology) -> Completion {
        let _ = (connection, topology);
        Completion::ready(Err(unfinished()))
    }

    /// Publishes a call. Calls of one thread of control become visible in the order of these calls.
    ///
    /// `from` makes it idempotent: a publish that is sent again with the same producer and sequence after a lost
    /// connection or a crash of the broker is confirmed and not stored twice.
    ///
    /// # Errors
    /// As [`Publisher::publish`](tidings_core::transport::Publisher::publish).
    pub fn publish(&self, from: Option<(ProducerId, Sequence)>, call: Call) -> Completion {
        let _ = (from, call);
        Completion::ready(Err(unfinished()))
    }

    /// A subscriber for one queue. It can be polled from any task and any thread, by one at a time.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound), [`Denied`](ErrorKind::Denied) for another connection's exclusive queue,
    /// [`Closed`](ErrorKind::Closed).
    pub fn subscribe(&self, connection: ConnectionId, to: Subscription) -> Result<LocalSubscriber> {
        let _ = (connection, to);
        Err(unfinished())
    }

    /// The state of all queues, in the order of their names, or of those named, in the order given.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) for a named queue that does not exist.
    pub fn queues(&self, named: &[Arc<str>]) -> Result<Vec<QueueStatus>> {
        let _ = named;
        Err(unfinished())
    }

    /// Refuses new work with [`Closed`](ErrorKind::Closed), ends all subscribers, gives back all unsettled deliveries and
    /// waits until everything that was handed over is committed. Closing twice is no error.
    ///
    /// # Errors
    /// [`Timeout`](ErrorKind::Timeout) if commits were still outstanding at the deadline.
    ///
    /// # Cancel safety
    /// Yes: the broker closes all the same.
    pub async fn close(&self, deadline: Deadline) -> Result<()> {
        let _ = deadline;
        std::future::ready(Ok(())).await
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker")
            .field("handles", &Arc::strong_count(&self.shared))
            .finish_non_exhaustive()
    }
}

fn unfinished() -> Error {
    Error::new(ErrorKind::Unsupported, "not yet")
}
