//! Several processes, one durable file: exactly one of them runs the broker, the others talk to it.
//!
//! The process that holds the lock beside the file ([`election`]) is its owner: it runs the engine and listens
//! on a socket ([`owner`], [`server`], [`connection`]). The others are its clients ([`client`], [`session`]):
//! they speak to it in [`frame`]s. When the owner ends, cleanly or by kill -9, the kernel releases the lock and
//! closes the socket; the clients race for the lock, the winner recovers the file and becomes the owner, the
//! losers become its clients.
//!
//! Nothing that was confirmed is lost, because only the engine confirms, after its commit. No publish is stored
//! twice, because every process numbers its publishes, keeps them until they are answered ([`pending`]) and
//! sends them to the next owner with the same numbers, which the engine stores once. Deliveries that were out
//! when their owner or their client ended come again, marked as redelivered; the [`inbox`] of a subscription
//! moves to the next owner.
//!
//! A [`Link`] hides all of this behind the operations of a broker. Memory mode has no link.
//!
//! Bounds, per process: 4,096 publishes (16 MiB) on the wire and unanswered, 65,536 (256 MiB) waiting in all,
//! beyond which a publish fails with `Full`; payloads of 48 MiB, frames of 64 MiB; 30 seconds without an owner
//! until operations fail with `Unavailable`.

mod client;
mod connection;
mod election;
mod frame;
mod framing;
mod inbox;
mod member;
mod owner;
mod pending;
mod server;
mod session;
mod socket;
mod topology;
mod transient;
mod wire;
mod writing;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tidings_core::{
    Call, Completion, Deadline, Error, ErrorKind, Result,
    tasks::Tasks,
    topology::{Difference, Topology},
    transport::{BoxFuture, QueueStatus, Subscriber, Subscription},
};

use self::{
    client::{Connection, Found, PATIENCE, Pauses, attempt, gave_up, may_pass},
    election::Place,
    member::{Member, Phase, lock},
    owner::{Held, Seat, run},
};
use crate::broker::{Broker, ProducerId};

/// How long the tasks of a link may take to end once they have nothing more to do.
const LEAVING: Duration = Duration::from_secs(1);

/// A durable file, whoever owns it. Cloning it gives another handle; dropping the last one leaves the file.
#[derive(Clone, Debug)]
pub(crate) struct Link(Arc<Inner>);

struct Inner {
    member: Arc<Member>,
    seat: Arc<Seat>,
    tasks: Tasks,
}

impl Link {
    /// Uses the durable file `path`: as its owner if it has none, else through its owner.
    ///
    /// `producer` names this process among those that publish and must be random. `open` opens the engine when
    /// this process becomes the owner, now or later; it keeps the [`Held`] until the file is closed again.
    ///
    /// # Errors
    /// What `open` says, `Unavailable` if the file has an owner that cannot be reached, `Unsupported` if the
    /// owner speaks another version.
    pub(crate) async fn open<F>(
        path: &Path,
        producer: ProducerId,
        open: impl Fn(PathBuf, Held) -> F + Send + Sync + 'static,
    ) -> Result<Self>
    where
        F: Future<Output = Result<Broker>> + Send + 'static,
    {
        let open: owner::Open =
            Arc::new(move |path, held| Box::pin(open(path, held)) as BoxFuture<'static, _>);
        let inner = Inner {
            member: Arc::new(Member::new(Place::of(path)?, producer)),
            seat: Arc::new(Seat::new(open)),
            tasks: Tasks::new(),
        };
        if let Some(connection) = inner.join().await? {
            let (member, seat) = (Arc::clone(&inner.member), Arc::clone(&inner.seat));
            inner.tasks.spawn(
                "embedded link",
                run(member, seat, connection, inner.tasks.clone()),
            );
        }
        Ok(Self(Arc::new(inner)))
    }

    /// See [`Transport::declare`](tidings_core::transport::Transport::declare).
    pub(crate) async fn declare(&self, topology: &Topology) -> Result<()> {
        self.0.member.declare(topology).await
    }

    /// See [`Transport::compare`](tidings_core::transport::Transport::compare).
    pub(crate) async fn compare(&self, topology: &Topology) -> Result<Vec<Difference>> {
        self.0.member.compare(topology).await
    }

    /// See [`Transport::delete`](tidings_core::transport::Transport::delete).
    pub(crate) async fn delete(&self, topology: &Topology) -> Result<()> {
        self.0.member.delete(topology).await
    }

    /// See [`Publisher::publish`](tidings_core::transport::Publisher::publish). All publishes through one link
    /// arrive in the order of the calls to this function, also across a take-over.
    pub(crate) fn publish(&self, call: Call) -> Completion {
        self.0.member.publish(call)
    }

    /// See [`Transport::subscribe`](tidings_core::transport::Transport::subscribe).
    pub(crate) async fn subscribe(&self, to: Subscription) -> Result<Box<dyn Subscriber>> {
        self.0.member.subscribe(to).await
    }

    /// See [`Transport::queues`](tidings_core::transport::Transport::queues).
    pub(crate) async fn queues(&self, named: &[Arc<str>]) -> Result<Vec<QueueStatus>> {
        self.0.member.queues(named).await
    }

    /// See [`Transport::close`](tidings_core::transport::Transport::close). An owner first answers its clients
    /// and says goodbye to them; the file is free when this returns.
    pub(crate) async fn close(&self, deadline: Deadline) -> Result<()> {
        let Inner {
            member,
            seat,
            tasks,
        } = &*self.0;
        member.enter(Phase::Closed);
        let answered = wait_for_answers(member, deadline).await;
        member.fail_publishes("the transport was closed before its owner answered");
        tasks
            .stop(deadline.remaining().unwrap_or(LEAVING).max(LEAVING))
            .await;
        member.end_inboxes();
        let left = seat.leave(deadline).await;
        answered.and(left)
    }
}

impl Inner {
    /// The first search: becomes the owner, or finds it.
    async fn join(&self) -> Result<Option<Connection>> {
        let mut pauses = Pauses::new();
        loop {
            let error = match attempt(&self.member).await {
                Ok(Found::Owner(connection)) => return Ok(Some(connection)),
                // Not tried again: whatever is wrong with the file, the user learns it at once.
                Ok(Found::Nobody(held)) => {
                    return self
                        .seat
                        .take(&self.member, held, &self.tasks)
                        .await
                        .map(|()| None);
                }
                Err(error) if !may_pass(&error) => return Err(error),
                Err(error) => error,
            };
            if pauses.elapsed() > PATIENCE {
                let context = gave_up(&self.member, &error);
                return Err(Error::new(ErrorKind::Unavailable, context).with_source(error));
            }
            pauses.pause().await;
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.member.enter(Phase::Closed);
        self.tasks.abort();
        self.seat.abandon();
        self.member
            .fail_publishes("the transport was dropped before its owner answered");
        self.member.end_inboxes();
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.member.fmt(f)
    }
}

/// Waits until no publish is unanswered.
async fn wait_for_answers(member: &Member, deadline: Deadline) -> Result<()> {
    loop {
        let idle = member.idle.notified();
        tokio::pin!(idle);
        // Before looking, so that a notification between the look and the wait is not missed.
        idle.as_mut().enable();
        if lock(&member.publishes).is_empty() {
            return Ok(());
        }
        tokio::select! {
            () = &mut idle => {}
            () = deadline.passed() => {
                let context = format!(
                    "publishes to `embedded:{}` were still unanswered at the deadline of its close: close later, or allow more time",
                    member.place.file.display()
                );
                return Err(Error::new(ErrorKind::Timeout, context));
            }
        }
    }
}
