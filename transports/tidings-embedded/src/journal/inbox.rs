//! Changes on their way to the writer thread.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
    time::{Duration, Instant},
};

use tidings_core::Result;
use tokio::sync::oneshot;

use crate::broker::{Shared, change::Change, state::State};

/// How many changes may wait. A publisher that never awaits its completions reaches it; nobody else does.
const CAPACITY: usize = 262_144;

/// A change and who waits for it.
#[derive(Debug)]
pub(crate) struct Op {
    pub(crate) change: Change,
    pub(crate) done: Option<oneshot::Sender<Result<()>>>,
}

/// The queue in front of the writer thread. Pushing never blocks.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    waiting: Mutex<Waiting>,
    filled: Condvar,
    broker: OnceLock<Weak<Shared>>,
}

#[derive(Debug, Default)]
struct Waiting {
    ops: VecDeque<Op>,
    /// Whether nothing will be pushed any more.
    abandoned: bool,
    /// Whether the writer has ended: what is pushed now is dropped, which answers it.
    ended: bool,
    /// How many changes the sleeping writer waits for; zero while it is awake. Only the push that makes it so many
    /// needs a system call.
    wanted: usize,
}

/// How a batch is gathered.
#[derive(Debug)]
pub(super) struct Gathering {
    /// At most so many.
    pub(super) limit: usize,
    /// How long to wait for the first; for ever if `None`.
    pub(super) patience: Option<Duration>,
    /// Once there is one: for how many more to wait,
    pub(super) expected: usize,
    /// and for how long.
    pub(super) window: Duration,
}

impl Inbox {
    pub(crate) fn push(&self, change: Change, done: Option<oneshot::Sender<Result<()>>>) {
        let mut waiting = self.lock();
        if waiting.ended {
            return;
        }
        waiting.ops.push_back(Op { change, done });
        if waiting.wanted > 0 && waiting.ops.len() >= waiting.wanted {
            waiting.wanted = 0;
            drop(waiting);
            self.filled.notify_one();
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.lock().ops.len() >= CAPACITY
    }

    /// Says that nothing will be pushed any more.
    pub(crate) fn abandon(&self) {
        self.lock().abandoned = true;
        self.filled.notify_one();
    }

    /// Drops what waits, so that the end comes after the commit that is under way. Nobody was told that it is safe.
    pub(crate) fn give_up(&self) {
        let dropped: VecDeque<Op>;
        {
            let mut waiting = self.lock();
            let ends = |op: &Op| matches!(op.change, Change::Close { .. });
            (waiting.ops, dropped) = waiting.ops.drain(..).partition(ends);
        }
        drop(dropped);
    }

    /// Says that nothing will be written any more.
    pub(super) fn end(&self) {
        let late = {
            let mut waiting = self.lock();
            waiting.ended = true;
            std::mem::take(&mut waiting.ops)
        };
        drop(late);
    }

    /// Makes the broker known in which committed changes take effect, before the first change is pushed.
    pub(crate) fn serve(&self, broker: Weak<Shared>) {
        // It is called once, by the broker that was just made; a second one would be ignored.
        self.broker.get_or_init(|| broker);
    }

    /// Runs an operation on the broker's state, or without it if nobody uses the broker any more.
    pub(super) fn with_broker<R>(&self, operation: impl FnOnce(Option<&mut State>) -> R) -> R {
        match self.broker.get().and_then(Weak::upgrade) {
            Some(broker) => broker.with(|state| operation(Some(state))),
            None => operation(None),
        }
    }

    /// Moves the next changes into `batch`, as [`Gathering`] says. Returns false when there is nothing more and
    /// never will be.
    pub(super) fn take(&self, batch: &mut Vec<Op>, how: &Gathering) -> bool {
        let mut waiting = self.lock();
        while waiting.ops.is_empty() {
            if waiting.abandoned {
                return false;
            }
            waiting = self.sleep(waiting, 1, how.patience);
            if how.patience.is_some() && waiting.ops.is_empty() && !waiting.abandoned {
                return true;
            }
        }
        let end = Instant::now() + how.window;
        while waiting.ops.len() < how.expected && !waiting.abandoned {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            waiting = self.sleep(waiting, how.expected, Some(left));
        }
        let count = waiting.ops.len().min(how.limit);
        batch.extend(waiting.ops.drain(..count));
        true
    }

    /// Sleeps until so many changes wait, or for so long.
    fn sleep<'a>(
        &'a self,
        mut waiting: MutexGuard<'a, Waiting>,
        wanted: usize,
        at_most: Option<Duration>,
    ) -> MutexGuard<'a, Waiting> {
        waiting.wanted = wanted;
        let mut waiting = match at_most {
            None => self
                .filled
                .wait(waiting)
                .unwrap_or_else(PoisonError::into_inner),
            Some(at_most) => {
                let woken = self.filled.wait_timeout(waiting, at_most);
                woken.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        waiting.wanted = 0;
        waiting
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
