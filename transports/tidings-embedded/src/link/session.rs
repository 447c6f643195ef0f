//! One connection of a client to the owner: what is to be written, and who waits for which answer.
//!
//! A session belongs to one connection and never comes back: after a reconnect there is another one, so an
//! acker that still holds this one learns that its delivery will come again. Frames are appended to one buffer
//! by whoever has something to say, and written by one task, so everything said meanwhile is one write.
//! Publishes are not kept here but in [`pending`](super::pending), because they outlive the session.

use std::{
    collections::HashMap,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tidings_core::{
    Completion, Error, ErrorKind, Result, Settlement, acker::Settle, topology::Difference,
    transport::QueueStatus,
};
use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    sync::{Notify, oneshot},
};

use super::frame::Request;

/// What an acker learns whose session is over.
const GONE: &str = "the process that delivered the message no longer owns the embedded file: the message will come again";
/// What an acker learns whose session ended while it waited.
const LOST: &str = "the process that owns the embedded file ended before it answered: the message will come again unless it had been settled";

/// How much of a write buffer is kept for the next write.
const KEEP: usize = 1 << 20;

/// Who waits for an answer, and what is to be done with it.
#[derive(Debug)]
pub(super) enum Waiter {
    /// Somebody who wants to know whether it worked.
    Result(oneshot::Sender<Result<()>>),
    /// Somebody who wants to know the state of queues.
    Queues(oneshot::Sender<Result<Vec<QueueStatus>>>),
    /// Somebody who wants to know what is different from a topology.
    Differences(oneshot::Sender<Result<Vec<Difference>>>),
    /// A new subscription, and somebody who wants to know whether it worked.
    Subscribe(u32, oneshot::Sender<Result<()>>),
    /// A subscription that is made again after a reconnect.
    Resubscribe(u32),
    /// A topology that is declared again after a reconnect.
    Redeclare,
}

/// One connection to the owner.
#[derive(Debug)]
pub(super) struct Session {
    state: Mutex<State>,
    written: Notify,
}

#[derive(Debug)]
struct State {
    over: bool,
    wire: Vec<u8>,
    next_id: u64,
    waiters: HashMap<u64, Waiter>,
}

impl Session {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                over: false,
                wire: Vec::new(),
                next_id: 0,
                waiters: HashMap::new(),
            }),
            written: Notify::new(),
        }
    }

    /// Appends frames, unless the session is over.
    pub(super) fn write(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.lock();
        if state.over {
            return;
        }
        write(&mut state.wire);
        drop(state);
        self.written.notify_one();
    }

    /// Sends a request that nobody waits for.
    pub(super) fn tell(&self, request: &Request) {
        self.write(|wire| {
            // These requests are a few bytes long: too large is impossible.
            drop(request.put(wire));
        });
    }

    /// Sends a request whose answer goes to `waiter`. If the session is over, `waiter` is dropped.
    ///
    /// # Errors
    /// `Misuse` if the request is too large.
    pub(super) fn ask(&self, waiter: Waiter, request: impl FnOnce(u64) -> Request) -> Result<()> {
        let mut state = self.lock();
        if state.over {
            return Ok(());
        }
        state.next_id += 1;
        let id = state.next_id;
        request(id).put(&mut state.wire)?;
        state.waiters.insert(id, waiter);
        drop(state);
        self.written.notify_one();
        Ok(())
    }

    /// Whether it has ended.
    pub(super) fn is_over(&self) -> bool {
        self.lock().over
    }

    /// Who waits for the answer `id`.
    pub(super) fn waiter(&self, id: u64) -> Option<Waiter> {
        self.lock().waiters.remove(&id)
    }

    /// Ends it: nothing more is written, and everybody who waits learns that no answer will come.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.over = true;
        let (wire, waiters) = (mem::take(&mut state.wire), mem::take(&mut state.waiters));
        drop(state);
        drop((wire, waiters));
        self.written.notify_one();
    }

    /// Writes what is appended, until the session is over or the other side is gone.
    ///
    /// # Cancel safety
    /// **Not**: a frame may have been written in part. Cancel it only to end the connection.
    pub(super) async fn write_to(&self, mut to: impl AsyncWrite + Unpin) {
        let mut wire = Vec::new();
        loop {
            // The two buffers take turns: one is appended to while the other is written.
            wire.clear();
            wire.shrink_to(KEEP);
            {
                let mut state = self.lock();
                if state.over {
                    return;
                }
                mem::swap(&mut state.wire, &mut wire);
            }
            if wire.is_empty() {
                self.written.notified().await;
                continue;
            }
            if to.write_all(&wire).await.is_err() {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Settles deliveries of one session; one value serves all its subscriptions.
#[derive(Debug)]
pub(super) struct SessionSettle(pub(super) Arc<Session>);

impl Settle for SessionSettle {
    fn settle(&self, tag: u64, how: Settlement) -> Completion {
        if self.0.is_over() {
            return Completion::ready(Err(Error::new(ErrorKind::Closed, GONE)));
        }
        let (answer, completion) = oneshot::channel();
        match self.0.ask(Waiter::Result(answer), |id| Request::Settle {
            id,
            tag,
            how,
        }) {
            Ok(()) => Completion::waiting(completion, LOST),
            Err(error) => Completion::ready(Err(error)),
        }
    }

    fn abandon(&self, tag: u64) {
        self.0.tell(&Request::Abandon { tag });
    }
}
