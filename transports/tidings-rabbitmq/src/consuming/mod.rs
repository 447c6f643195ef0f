//! Consumers that stay: through reconnects, closed channels and deleted queues.
//!
//! Every subscription has a channel of its own, so that an error of one does not end the others, and a task that keeps
//! it alive ([`keeper`]). Deliveries pass through a [`handover`] to whoever polls the subscriber; acks are gathered in
//! a [`book`]. This does not decide what becomes of a delivery, and it declares nothing but what was declared before.

pub(crate) mod attachment;
pub(crate) mod board;
pub(crate) mod book;
pub(crate) mod handover;
pub(crate) mod inbox;
mod keeper;
mod offsets;
mod pump;
mod source;
pub(crate) mod unwritten;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tidings_core::{
    Deadline, Error, ErrorKind, Result,
    transport::{Impairment, Subscriber, Subscription},
};
use tokio::time::{Instant, timeout_at};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{attachment::Attachment, board::Board, handover::Handover, keeper::Keeper};
use crate::{
    connection::{Reactor, Supervised},
    declaring::Record,
    error,
    publishing::Publishing,
    subscriber::RabbitSubscriber,
};

/// How long a new subscription waits for a connection that is being made again.
const PATIENCE: Duration = Duration::from_secs(30);

/// The consuming half of a transport. Cloning it gives another handle.
#[derive(Clone)]
pub(crate) struct Consuming {
    shared: Arc<Shared>,
    reactor: Arc<Reactor>,
}

struct Shared {
    connection: Supervised,
    /// What deliveries are answered through.
    publishing: Publishing,
    record: Arc<Record>,
    board: Arc<Board>,
    closing: CancellationToken,
    keepers: TaskTracker,
    /// The number of the next subscription.
    next: AtomicU64,
}

impl Consuming {
    /// Over this connection; queues that vanish are declared again from the record.
    pub(crate) fn new(
        connection: Supervised,
        publishing: Publishing,
        record: Arc<Record>,
        reactor: Arc<Reactor>,
    ) -> Self {
        let shared = Shared {
            connection,
            publishing,
            record,
            board: Arc::default(),
            closing: CancellationToken::new(),
            keepers: TaskTracker::new(),
            next: AtomicU64::new(0),
        };
        Self {
            shared: Arc::new(shared),
            reactor,
        }
    }

    /// A subscriber that stays.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if the queue does not exist, [`Denied`](ErrorKind::Denied) if it belongs to another
    /// connection, [`Full`](ErrorKind::Full) if the connection has no channel left, [`Unavailable`](ErrorKind::Unavailable) if
    /// it is not done within half a minute.
    ///
    /// # Cancel safety
    /// Yes: a subscriber that nobody receives gives its deliveries back.
    pub(crate) async fn subscribe(&self, to: Subscription) -> Result<Box<dyn Subscriber>> {
        if self.shared.closing.is_cancelled() {
            return Err(error::closed());
        }
        let (shared, reactor) = (Arc::clone(&self.shared), Arc::downgrade(&self.reactor));
        let attaching = async move {
            let attachment = shared.attach(&to).await?;
            let reactor = reactor.upgrade().ok_or_else(error::closed)?;
            Ok(shared.keep(attachment, to, &reactor))
        };
        self.reactor
            .run("subscribe to a RabbitMQ queue", attaching)
            .await
            .unwrap_or_else(|| Err(error::closed()))
    }

    /// The subscriptions that have no consumer at the moment.
    pub(crate) fn impairments(&self) -> Vec<Impairment> {
        self.shared.board.impairments()
    }

    /// Ends all subscribers and sends all acks that are recorded; waits until the broker has read them, or the deadline
    /// has passed. Deliveries that are not settled by then go back to their queues.
    pub(crate) async fn close(&self, deadline: Deadline) {
        self.shared.closing.cancel();
        self.shared.keepers.close();
        tokio::select! {
            // Cancel-safe: it only waits.
            () = self.shared.keepers.wait() => {}
            () = deadline.passed() => {
                let left = self.shared.keepers.len();
                tracing::warn!(left, "some subscriptions could not be ended in time: their last acks may be lost, then the messages come again");
            }
        }
    }
}

impl Shared {
    /// The first attachment of a subscription. Only a lost connection is worth another attempt.
    async fn attach(&self, to: &Subscription) -> Result<Attachment> {
        let until = Instant::now() + PATIENCE;
        loop {
            let generation = timeout_at(until, self.connection.up())
                .await
                .map_err(|_| not_connected(&self.connection))??;
            let opening = Attachment::open(generation.clone(), to, &self.publishing);
            // What takes longer here has a limit of its own, unless the connection came up late.
            let opened = timeout_at(until, opening)
                .await
                .unwrap_or_else(|_| Err(attachment::silent(&to.queue)));
            match opened {
                Err(failed) if generation.is_over() && Instant::now() < until => {
                    tracing::debug!(queue = &*to.queue, error = %failed.chain(), "lost while subscribing");
                }
                attached => return attached,
            }
        }
    }

    fn keep(
        &self,
        attachment: Attachment,
        to: Subscription,
        reactor: &Reactor,
    ) -> Box<dyn Subscriber> {
        let (settle, source) = (Arc::clone(&attachment.settle), attachment.source.clone());
        let handover = Arc::new(Handover::new(settle, Some(source)));
        let subscriber = RabbitSubscriber::new(Arc::clone(&handover), Arc::clone(&to.queue));
        let keeper = Keeper {
            number: self.next.fetch_add(1, Ordering::Relaxed),
            subscription: to,
            connection: self.connection.clone(),
            publishing: self.publishing.clone(),
            record: Arc::clone(&self.record),
            board: Arc::clone(&self.board),
            handover,
            closing: self.closing.clone(),
        };
        let keeping = self.keepers.track_future(keeper.run(attachment));
        reactor.spawn("RabbitMQ subscription", keeping);
        Box::new(subscriber)
    }
}

fn not_connected(connection: &Supervised) -> Error {
    let reason = connection.impairment().unwrap_or_default();
    let context = format!("cannot subscribe within {PATIENCE:?}: {reason}");
    Error::new(ErrorKind::Unavailable, context)
}

impl fmt::Debug for Consuming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consuming")
            .field("subscriptions", &self.shared.keepers.len())
            .finish_non_exhaustive()
    }
}
