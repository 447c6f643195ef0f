//! Messages that expire or become visible by themselves, and the one task that sees to it.
//!
//! Every message with a deadline is in one ordered set, so expiry is exact for each of them, not only for the
//! first of a queue. The task sleeps until the next deadline; it is started when there is a first one, because
//! a broker may be made outside of a runtime, and again if its runtime has gone.

use std::{
    collections::BTreeSet,
    sync::{Arc, Weak},
    time::Duration,
};

use tidings_core::{clock::Clock, tasks::Tasks};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use crate::broker::{Shared, queue::QueueId};

/// How many messages are seen to before others get the lock.
const AT_A_TIME: usize = 256;
/// How long the task sleeps at most, so that it notices when somebody sets the wall clock.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// What is due when.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    due: BTreeSet<(i64, QueueId, u64)>,
    /// For when the task is set; `None` if it is not running.
    armed: Option<i64>,
}

/// What must be done about the task after an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arm {
    Nothing,
    Wake,
    Start,
}

impl Timers {
    pub(crate) fn add(&mut self, at: i64, queue: QueueId, entry: u64) {
        self.due.insert((at, queue, entry));
    }

    pub(crate) fn remove(&mut self, at: i64, queue: QueueId, entry: u64) {
        self.due.remove(&(at, queue, entry));
    }

    /// Takes one that is due.
    pub(crate) fn pop(&mut self, now: i64) -> Option<(QueueId, u64)> {
        let (at, queue, entry) = *self.due.first()?;
        if at > now {
            return None;
        }
        self.due.pop_first();
        Some((queue, entry))
    }

    /// Compares the next deadline with that for which the task is set.
    pub(crate) fn arm(&self) -> Arm {
        match (self.due.first(), self.armed) {
            (None, _) => Arm::Nothing,
            (Some(_), None) => Arm::Start,
            (Some((next, ..)), Some(armed)) if *next < armed => Arm::Wake,
            _ => Arm::Nothing,
        }
    }

    /// Sets the task to the next deadline; `i64::MAX` if there is none.
    pub(crate) fn set(&mut self) -> i64 {
        let next = self.due.first().map_or(i64::MAX, |(at, ..)| *at);
        self.armed = Some(next);
        next
    }

    /// Takes the right to start the task, if it is not running.
    pub(crate) fn claim(&mut self) -> bool {
        let claimed = self.armed.is_none();
        if claimed {
            self.set();
        }
        claimed
    }

    pub(crate) fn stopped(&mut self) {
        self.armed = None;
    }
}

/// The task's handle.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    changed: Arc<Notify>,
    tasks: Tasks,
}

impl Alarm {
    pub(crate) fn wake(&self) {
        self.changed.notify_one();
    }

    pub(crate) fn start(&self, shared: Weak<Shared>, clock: Clock) {
        let stopped = Stopped(Weak::clone(&shared));
        let changed = Arc::clone(&self.changed);
        self.tasks.spawn("expiry", async move {
            let _stopped = stopped;
            run(&shared, &changed, clock).await;
        });
    }

    pub(crate) fn stop(&self) {
        self.tasks.abort();
    }
}

/// Tells the broker that the task is gone, also when that is because its runtime is.
struct Stopped(Weak<Shared>);

impl Drop for Stopped {
    fn drop(&mut self) {
        if let Some(shared) = self.0.upgrade() {
            shared.lock().timers.stopped();
        }
    }
}

async fn run(shared: &Weak<Shared>, changed: &Notify, clock: Clock) {
    loop {
        // Upgraded for one statement only: the task must not keep the broker alive.
        let Some(next) = shared
            .upgrade()
            .map(|shared| shared.with(|state| state.expire(AT_A_TIME)))
        else {
            return;
        };
        if next == i64::MAX {
            changed.notified().await;
            continue;
        }
        let longest = Instant::now() + LONGEST_SLEEP;
        tokio::select! {
            // Cancel-safe: a sleep forgets nothing.
            () = sleep_until(clock.instant_of(next).min(longest)) => {}
            // Cancel-safe: a permit that was not taken stays for the next call.
            () = changed.notified() => {}
        }
        tokio::task::yield_now().await;
    }
}
