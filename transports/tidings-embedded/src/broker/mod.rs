//! The broker: exchanges, queues and everything that is owed to consumers, behind one lock.
//!
//! It is the engine of both modes. In memory it stands alone; in durable mode every change that must survive a
//! crash goes through the journal first and becomes visible after its commit. The local
//! transport and the link server use it through the same [`Broker`] handle, so a client in another process
//! gets exactly what a client in this one gets.
//!
//! The state is plain data behind a `Mutex` that is locked for one expression at a time; nothing in here is
//! async, and wakers are called after the lock is released. It deliberately knows no URL, socket or file.

pub(crate) mod change;
mod consume;
pub(crate) mod consumer;
mod dead_letter;
mod declare;
mod difference;
pub(crate) mod entry;
mod exchange;
mod expiry;
pub(crate) mod producers;
mod publish;
pub(crate) mod queue;
pub(crate) mod state;
mod unsettled;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Poll, Waker},
};

use tidings_core::{
    Call, Completion, Deadline, Error, ErrorKind, Result, Settlement,
    clock::Clock,
    topology::{Difference, Topology},
    transport::{QueueStatus, Subscription},
};
use tokio::runtime::Handle;

use crate::{
    acker::LocalSettle,
    broker::{
        consume::Handout,
        consumer::ConsumerId,
        expiry::{Alarm, Arm},
        state::State,
    },
    config::FileConfig,
    journal::Writer,
    subscriber::LocalSubscriber,
};

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
    shared: Arc<Shared>,
}

/// What all handles of a broker share.
#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    clock: Clock,
    alarm: Alarm,
    /// The last handle on a durable broker waits for its end.
    writer: Option<Writer>,
}

impl Broker {
    /// An empty broker that keeps everything in memory and forgets it when the last handle goes.
    #[must_use]
    pub fn memory(clock: Clock) -> Self {
        Self::over(State::new(clock), None)
    }

    /// A broker that keeps everything that must survive a crash in a file. The caller makes sure that no other
    /// broker, in this process or in another, has the file open.
    ///
    /// # Errors
    /// [`Corrupt`](ErrorKind::Corrupt) if the file is damaged, not ours or newer than this program; it is then left as it is.
    /// [`Unavailable`](ErrorKind::Unavailable) or [`Full`](ErrorKind::Full) if it cannot be opened.
    ///
    /// # Cancel safety
    /// Yes: the file is closed again.
    pub async fn durable(config: FileConfig) -> Result<Self> {
        Self::durable_holding(config, ()).await
    }

    /// As [`durable`](Self::durable), and drops `held` when the file is closed, however that comes about: so it can be
    /// the right to have the file open.
    pub(crate) async fn durable_holding(
        config: FileConfig,
        held: impl Send + 'static,
    ) -> Result<Self> {
        let (mut state, writer) = Writer::open(config, held).await?;
        let inbox = Arc::clone(&writer.inbox);
        state.journal = Some(Arc::clone(&inbox));
        let broker = Self::over(state, Some(writer));
        inbox.serve(Arc::downgrade(&broker.shared));
        broker.shared.start_alarm();
        Ok(broker)
    }

    fn over(state: State, writer: Option<Writer>) -> Self {
        let shared = Shared {
            clock: state.clock,
            state: Mutex::new(state),
            alarm: Alarm::default(),
            writer,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Makes a connection, which owns its exclusive queues and its deliveries until [`disconnect`](Self::disconnect).
    #[must_use]
    pub fn connect(&self) -> ConnectionId {
        self.shared.start_alarm();
        self.shared.with(|state| ConnectionId(state.next_id()))
    }

    /// Ends a connection: its subscribers end, its unsettled deliveries go back marked as redelivered, its
    /// exclusive queues disappear. Ackers that are still out answer [`Closed`](ErrorKind::Closed) from now on.
    /// Unknown connections are no error.
    pub fn disconnect(&self, connection: ConnectionId) {
        self.shared.with(|state| state.disconnect(connection));
    }

    /// Makes everything in the topology exist, or nothing. Exclusive queues will belong to `connection`.
    /// The completion resolves once the declaration survives a crash (at once in memory).
    ///
    /// # Errors
    /// [`Misuse`](ErrorKind::Misuse) for what no broker accepts, [`Conflict`](ErrorKind::Conflict) if something exists with other
    /// settings, [`NotFound`](ErrorKind::NotFound) if a binding names something that does not exist,
    /// [`Denied`](ErrorKind::Denied) for another connection's exclusive queue.
    pub fn declare(&self, connection: ConnectionId, topology: &Topology) -> Completion {
        self.shared
            .with(|state| state.declare(connection, topology))
    }

    /// What [`declare`](Self::declare) would create or be refused for.
    ///
    /// # Errors
    /// As [`declare`](Self::declare) for what no settings could mend.
    pub fn compare(
        &self,
        connection: ConnectionId,
        topology: &Topology,
    ) -> Result<Vec<Difference>> {
        self.shared
            .with(|state| state.compare(connection, topology))
    }

    /// Deletes the exchanges and queues of the topology with the messages in them. What is absent is no error.
    ///
    /// # Errors
    /// [`Denied`](ErrorKind::Denied) for another connection's exclusive queue; then nothing is deleted.
    pub fn delete(&self, connection: ConnectionId, topology: &Topology) -> Completion {
        self.shared.with(|state| state.delete(connection, topology))
    }

    /// Publishes a call. Calls of one thread of control become visible in the order of these calls.
    ///
    /// `from` makes it idempotent: a publish that is sent again with the same producer and sequence after a lost
    /// connection or a crash of the broker is confirmed and not stored twice.
    ///
    /// # Errors
    /// As [`Publisher::publish`](tidings_core::transport::Publisher::publish).
    pub fn publish(&self, from: Option<(ProducerId, Sequence)>, call: Call) -> Completion {
        self.shared.with(|state| state.publish(from, call))
    }

    /// A subscriber for one queue. It can be polled from any task and any thread, by one at a time.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound), [`Denied`](ErrorKind::Denied) for another connection's exclusive queue,
    /// [`Closed`](ErrorKind::Closed).
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a subscription belongs to its subscriber, as in `Transport::subscribe`"
    )]
    pub fn subscribe(&self, connection: ConnectionId, to: Subscription) -> Result<LocalSubscriber> {
        let consumer = self.shared.with(|state| state.subscribe(connection, &to))?;
        let settle = Arc::new(LocalSettle::new(self.clone()));
        Ok(LocalSubscriber::new(self.clone(), consumer, settle))
    }

    /// The state of all queues, in the order of their names, or of those named, in the order given.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) for a named queue that does not exist.
    pub fn queues(&self, named: &[Arc<str>]) -> Result<Vec<QueueStatus>> {
        self.shared.with(|state| state.status(named))
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
        let mut flushed = self.shared.with(State::close);
        self.shared.alarm.stop();
        tokio::select! {
            // An answer that is there counts, also at the last moment.
            biased;
            // Cancel-safe: the completion only waits for an answer.
            outcome = &mut flushed => return outcome,
            // Cancel-safe: it only looks at the time.
            () = deadline.passed() => {}
        }
        // The commit that is under way cannot be undone, and nobody may open the file before it is done.
        if let Some(writer) = &self.shared.writer {
            writer.inbox.give_up();
        }
        flushed.await?;
        Err(Error::new(
            ErrorKind::Timeout,
            "publishes were not yet written when the deadline for closing passed: give it longer",
        ))
    }

    pub(crate) fn poll(
        &self,
        consumer: ConsumerId,
        waker: &Waker,
    ) -> Poll<Option<Result<Handout>>> {
        self.shared.with(|state| state.poll(consumer, waker))
    }

    pub(crate) fn unsubscribe(&self, consumer: ConsumerId) {
        self.shared.with(|state| state.unsubscribe(consumer));
    }

    pub(crate) fn settle(&self, tag: u64, how: &Settlement) -> Completion {
        self.shared.with(|state| state.settle(tag, how))
    }

    pub(crate) fn abandon(&self, tag: u64) {
        self.shared.with(|state| state.abandon(tag));
    }
}

impl Shared {
    /// One operation on the state. What it sets in motion outside happens after the lock is released: a waker
    /// may run anything, and the expiry task takes the lock itself.
    pub(crate) fn with<R>(self: &Arc<Self>, operation: impl FnOnce(&mut State) -> R) -> R {
        let (result, wakers, arm) = {
            let mut state = self.lock();
            let result = operation(&mut state);
            state.bury_dying();
            let mut arm = state.timers.arm();
            if arm == Arm::Start {
                // Without a runtime there is nobody to start the task; the next operation in one will.
                let starts = Handle::try_current().is_ok() && state.timers.claim();
                arm = if starts { Arm::Start } else { Arm::Nothing };
            }
            (result, state.wakers.take(), arm)
        };
        if let Some(wakers) = wakers {
            wakers.wake();
        }
        match arm {
            Arm::Nothing => {}
            Arm::Wake => self.alarm.wake(),
            Arm::Start => self.alarm.start(Arc::downgrade(self), self.clock),
        }
        result
    }

    /// Starts the expiry task if it does not run and there is a runtime. In durable mode messages become visible
    /// in a thread without one, so waiting for the first deadline could be too late.
    fn start_alarm(self: &Arc<Self>) {
        if Handle::try_current().is_ok() && self.lock().timers.claim() {
            self.alarm.start(Arc::downgrade(self), self.clock);
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // Operations do not panic; if one did all the same, the others go on with what is there.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.alarm.stop();
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker")
            .field("handles", &Arc::strong_count(&self.shared))
            .finish_non_exhaustive()
    }
}
