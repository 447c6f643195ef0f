//! This process as one of those that use the file: what it has under way, whoever the owner is.
//!
//! It is a client of another process until it becomes the owner itself, and then stays the owner until it ends.
//! The way of a publish changes at one moment, under the lock of the pending publishes: those that waited go to
//! the engine of this process first, in order, and every later one goes there directly.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use tidings_core::{
    Call, Completion, Error, ErrorKind, Result,
    topology::{Difference, Topology},
    transport::{QueueStatus, Subscriber, Subscription},
};
use tokio::sync::{Notify, oneshot, watch};

use super::{
    election::Place,
    frame::Request,
    inbox::{Inbox, LinkSubscriber, Registration},
    pending::{AnswerTo, Publishes},
    session::{Session, Waiter},
    transient::Transient,
};
use crate::broker::{Broker, ConnectionId, ProducerId};

/// The largest payload, whoever the owner is: with its headers it must fit into a frame.
pub(super) const MAX_PAYLOAD: usize = 48 << 20;

/// Where this process stands.
#[derive(Clone, Debug)]
pub(super) enum Phase {
    /// Looking for the owner, or about to become it. Operations wait.
    Seeking,
    /// Another process is the owner.
    Client(Arc<Session>),
    /// This process is the owner.
    Owner,
    /// No owner was found for too long, because of this. Operations fail; the search goes on.
    Unavailable(Arc<str>),
    /// Shut down.
    Closed,
}

/// The engine, once it is in this process.
#[derive(Clone, Debug)]
pub(super) struct Local {
    pub(super) broker: Broker,
    pub(super) connection: ConnectionId,
}

/// One of the processes that use a file.
pub(super) struct Member {
    pub(super) place: Place,
    /// Its name as a producer, the same before and after a take-over.
    pub(super) producer: ProducerId,
    /// Set once and never changed, so that an owner publishes without any lock of ours.
    local: OnceLock<Local>,
    phase: watch::Sender<Phase>,
    pub(super) publishes: Mutex<Publishes>,
    /// Told when no publish is unanswered any more.
    pub(super) idle: Notify,
    subscriptions: Mutex<HashMap<u32, Arc<Inbox>>>,
    next_subscription: AtomicU32,
    /// What this process declared that does not survive its owner.
    pub(super) transient: Transient,
}

/// Whom to ask.
enum Role {
    Owner(Local),
    Client(Arc<Session>),
}

impl Member {
    pub(super) fn new(place: Place, producer: ProducerId) -> Self {
        Self {
            place,
            producer,
            local: OnceLock::new(),
            phase: watch::Sender::new(Phase::Seeking),
            publishes: Mutex::new(Publishes::new(1)),
            idle: Notify::new(),
            subscriptions: Mutex::default(),
            next_subscription: AtomicU32::new(0),
            transient: Transient::default(),
        }
    }

    /// Where this process stands.
    pub(super) fn phase(&self) -> Phase {
        self.phase.borrow().clone()
    }

    /// Changes where this process stands. Closed is for good.
    pub(super) fn enter(&self, next: Phase) {
        self.phase.send_if_modified(|phase| {
            if matches!(phase, Phase::Closed) {
                return false;
            }
            *phase = next;
            true
        });
    }

    /// See [`Publisher::publish`](tidings_core::transport::Publisher::publish).
    pub(super) fn publish(&self, call: Call) -> Completion {
        if call.envelope.payload.len() > MAX_PAYLOAD {
            return Completion::ready(Err(too_large(call.envelope.payload.len())));
        }
        if let Some(local) = self.local.get() {
            return local.broker.publish(None, call);
        }
        let mut publishes = lock(&self.publishes);
        if let Some(local) = self.local.get() {
            drop(publishes);
            return local.broker.publish(None, call);
        }
        match &*self.phase.borrow() {
            Phase::Client(session) => {
                let completion = publishes.push(call);
                session.write(|wire| publishes.send(wire));
                completion
            }
            Phase::Seeking | Phase::Owner => publishes.push(call),
            Phase::Unavailable(why) => {
                Completion::ready(Err(Error::new(ErrorKind::Unavailable, &**why)))
            }
            Phase::Closed => Completion::ready(Err(self.closed())),
        }
    }

    pub(super) async fn declare(&self, topology: &Topology) -> Result<()> {
        loop {
            let session = match self.role().await? {
                Role::Owner(local) => {
                    return local.broker.declare(local.connection, topology).await;
                }
                Role::Client(session) => session,
            };
            let wanted = topology.clone();
            let asked = ask(&session, Waiter::Result, |id| Request::Declare {
                id,
                topology: wanted,
            })
            .await?;
            if let Some(result) = asked {
                if result.is_ok() {
                    self.transient.remember(topology);
                }
                return result;
            }
        }
    }

    pub(super) async fn delete(&self, topology: &Topology) -> Result<()> {
        loop {
            let session = match self.role().await? {
                Role::Owner(local) => return local.broker.delete(local.connection, topology).await,
                Role::Client(session) => session,
            };
            self.transient.forget(topology);
            let topology = topology.clone();
            let asked = ask(&session, Waiter::Result, |id| Request::Delete {
                id,
                topology,
            })
            .await?;
            if let Some(result) = asked {
                return result;
            }
        }
    }

    pub(super) async fn compare(&self, topology: &Topology) -> Result<Vec<Difference>> {
        loop {
            let session = match self.role().await? {
                Role::Owner(local) => return local.broker.compare(local.connection, topology),
                Role::Client(session) => session,
            };
            let topology = topology.clone();
            let request = |id| Request::Compare { id, topology };
            if let Some(result) = ask(&session, Waiter::Differences, request).await? {
                return result;
            }
        }
    }

    pub(super) async fn queues(&self, named: &[Arc<str>]) -> Result<Vec<QueueStatus>> {
        loop {
            let session = match self.role().await? {
                Role::Owner(local) => return local.broker.queues(named),
                Role::Client(session) => session,
            };
            let named = named.to_vec();
            let asked = ask(&session, Waiter::Queues, |id| Request::Queues { id, named }).await?;
            if let Some(result) = asked {
                return result;
            }
        }
    }

    pub(super) async fn subscribe(
        self: &Arc<Self>,
        to: Subscription,
    ) -> Result<Box<dyn Subscriber>> {
        let mut registered = None;
        loop {
            let session = match self.role().await? {
                Role::Owner(local) => {
                    let subscriber = local.broker.subscribe(local.connection, to)?;
                    return Ok(Box::new(subscriber));
                }
                Role::Client(session) => session,
            };
            let registration = registered
                .take()
                .unwrap_or_else(|| self.register(to.clone()));
            let (subscription, to) = (registration.id, to.clone());
            let waiter = |answer| Waiter::Subscribe(subscription, answer);
            let request = |id| Request::Subscribe {
                id,
                subscription,
                to,
            };
            match ask(&session, waiter, request).await? {
                Some(result) => {
                    result?;
                    return Ok(Box::new(LinkSubscriber::new(registration)));
                }
                None => registered = Some(registration),
            }
        }
    }

    fn register(self: &Arc<Self>, to: Subscription) -> Registration {
        let id = self.next_subscription.fetch_add(1, Ordering::Relaxed);
        let inbox = Arc::new(Inbox::new(to));
        lock(&self.subscriptions).insert(id, Arc::clone(&inbox));
        Registration {
            member: Arc::clone(self),
            id,
            inbox,
        }
    }

    /// Forgets a subscription, here and at the owner.
    pub(super) fn unsubscribe(&self, subscription: u32) {
        let known = lock(&self.subscriptions).remove(&subscription).is_some();
        if known && let Phase::Client(session) = self.phase() {
            session.tell(&Request::Cancel { subscription });
        }
    }

    /// The inbox of a subscription.
    pub(super) fn inbox(&self, subscription: u32) -> Option<Arc<Inbox>> {
        lock(&self.subscriptions).get(&subscription).map(Arc::clone)
    }

    /// The subscriptions that an owner has accepted.
    pub(super) fn established(&self) -> Vec<(u32, Arc<Inbox>)> {
        lock(&self.subscriptions)
            .iter()
            .filter(|(_, inbox)| inbox.is_established())
            .map(|(id, inbox)| (*id, Arc::clone(inbox)))
            .collect()
    }

    /// Forgets what the last session delivered and nobody took.
    pub(super) fn clear_inboxes(&self) {
        let inboxes: Vec<_> = lock(&self.subscriptions).values().map(Arc::clone).collect();
        for inbox in inboxes {
            inbox.clear();
        }
    }

    /// Ends all subscriptions.
    pub(super) fn end_inboxes(&self) {
        let inboxes: Vec<_> = lock(&self.subscriptions)
            .drain()
            .map(|(_, inbox)| inbox)
            .collect();
        for inbox in inboxes {
            inbox.clear();
            inbox.end(None);
        }
    }

    /// Makes this process the owner, for publishes: hands the pending ones to its engine and lets all later
    /// ones follow. Returns the answers that are to be passed on.
    pub(super) fn go_local(&self, local: Local) -> Vec<(Completion, AnswerTo)> {
        let mut publishes = lock(&self.publishes);
        let answers = publishes
            .take()
            .into_iter()
            .map(|(seq, call, answer)| {
                (
                    local.broker.publish(Some((self.producer, seq)), call),
                    answer,
                )
            })
            .collect();
        // Cannot be set already: a process becomes the owner once.
        drop(self.local.set(local));
        drop(publishes);
        self.enter(Phase::Owner);
        answers
    }

    /// Fails everything that waits, and everything to come until an owner is found.
    pub(super) fn give_up(&self, why: &str) {
        self.enter(Phase::Unavailable(why.into()));
        self.fail_publishes(why);
    }

    /// Fails the pending publishes.
    pub(super) fn fail_publishes(&self, why: &str) {
        lock(&self.publishes).fail(why);
        self.idle.notify_waiters();
    }

    /// What operations say after the end.
    pub(super) fn closed(&self) -> Error {
        Error::new(
            ErrorKind::Closed,
            format!(
                "the transport `embedded:{}` is closed",
                self.place.file.display()
            ),
        )
    }

    /// Whom to ask, as soon as that is known.
    async fn role(&self) -> Result<Role> {
        let mut phases = self.phase.subscribe();
        let settled = |phase: &Phase| match phase {
            Phase::Seeking => false,
            // Over, and about to be replaced.
            Phase::Client(session) => !session.is_over(),
            Phase::Owner | Phase::Unavailable(_) | Phase::Closed => true,
        };
        let Ok(phase) = phases.wait_for(settled).await.map(|phase| phase.clone()) else {
            return Err(self.closed());
        };
        match (phase, self.local.get()) {
            (Phase::Client(session), _) => Ok(Role::Client(session)),
            (Phase::Unavailable(why), _) => Err(Error::new(ErrorKind::Unavailable, &*why)),
            (Phase::Owner, Some(local)) => Ok(Role::Owner(local.clone())),
            _ => Err(self.closed()),
        }
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member")
            .field("place", &self.place)
            .field("phase", &*self.phase.borrow())
            .finish_non_exhaustive()
    }
}

/// Asks the owner. `None` means that the session ended first: ask whoever is the owner next.
async fn ask<T>(
    session: &Session,
    waiter: impl FnOnce(oneshot::Sender<T>) -> Waiter,
    request: impl FnOnce(u64) -> Request,
) -> Result<Option<T>> {
    let (answer, answered) = oneshot::channel();
    session.ask(waiter(answer), request)?;
    Ok(answered.await.ok())
}

fn too_large(len: usize) -> Error {
    Error::new(
        ErrorKind::Misuse,
        format!(
            "the payload has {len} bytes, at most {MAX_PAYLOAD} are possible on a durable embedded broker: make it smaller, or publish a reference to it"
        ),
    )
}

/// Locks plain data. A panic elsewhere leaves it as whole as any early return would.
pub(super) fn lock<T>(data: &Mutex<T>) -> MutexGuard<'_, T> {
    data.lock().unwrap_or_else(PoisonError::into_inner)
}
