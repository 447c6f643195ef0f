//! What went through, counted so that tests can wait for it instead of sleeping.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tidings_core::{Error, ErrorKind, Result};
use tokio::{sync::Notify, time::timeout};

use super::faults::Direction;

/// After this long, what a test waits for will not come.
const PATIENCE: Duration = Duration::from_secs(30);

/// Stands for "no limit" in a budget.
const UNLIMITED: u64 = u64::MAX;

/// What went through a proxy since it was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections that clients made, those included that ended.
    pub accepted: u64,
    /// Connections that are open to both sides.
    pub open: u64,
    /// Bytes passed on to the server.
    pub upstream: u64,
    /// Bytes passed on to clients.
    pub downstream: u64,
    /// Bytes that a black hole swallowed, in both directions.
    pub swallowed: u64,
}

impl Counts {
    /// Bytes passed on in one direction.
    #[must_use]
    pub fn passed(&self, direction: Direction) -> u64 {
        match direction {
            Direction::Upstream => self.upstream,
            Direction::Downstream => self.downstream,
        }
    }
}

/// The numbers behind [`Counts`], and what may still pass before a cut.
#[derive(Debug)]
pub(super) struct Counters {
    accepted: AtomicU64,
    open: AtomicU64,
    passed: [AtomicU64; 2],
    swallowed: AtomicU64,
    budgets: [AtomicU64; 2],
    changed: Notify,
}

impl Counters {
    pub(super) fn new() -> Self {
        Self {
            accepted: AtomicU64::new(0),
            open: AtomicU64::new(0),
            passed: [AtomicU64::new(0), AtomicU64::new(0)],
            swallowed: AtomicU64::new(0),
            budgets: [AtomicU64::new(UNLIMITED), AtomicU64::new(UNLIMITED)],
            changed: Notify::new(),
        }
    }

    pub(super) fn read(&self) -> Counts {
        let [upstream, downstream] = &self.passed;
        Counts {
            accepted: self.accepted.load(Ordering::SeqCst),
            open: self.open.load(Ordering::SeqCst),
            upstream: upstream.load(Ordering::SeqCst),
            downstream: downstream.load(Ordering::SeqCst),
            swallowed: self.swallowed.load(Ordering::SeqCst),
        }
    }

    /// Waits until the counts are as wanted; `what` completes "waited for … ".
    pub(super) async fn until(&self, what: &str, wanted: impl Fn(&Counts) -> bool) -> Result<()> {
        let waiting = async {
            loop {
                // Before the look: a change between the look and the wait must wake it.
                let changed = self.changed.notified();
                if wanted(&self.read()) {
                    return;
                }
                changed.await;
            }
        };
        timeout(PATIENCE, waiting).await.map_err(|_| {
            let context = format!(
                "the proxy waited {PATIENCE:?} for {what}, which did not come: it counted {:?}",
                self.read()
            );
            Error::new(ErrorKind::Timeout, context)
        })
    }

    pub(super) fn accept(&self) {
        self.add(&self.accepted, 1);
    }

    /// Counts a connection as open until the guard is dropped.
    pub(super) fn open(&self) -> OpenGuard<'_> {
        self.add(&self.open, 1);
        OpenGuard(self)
    }

    pub(super) fn pass(&self, direction: Direction, bytes: u64) {
        self.add(&self.passed[direction.index()], bytes);
    }

    pub(super) fn swallow(&self, bytes: u64) {
        self.add(&self.swallowed, bytes);
    }

    fn add(&self, counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::SeqCst);
        self.changed.notify_waiters();
    }

    /// Sets after how many further bytes a connection is cut; `None` means never.
    pub(super) fn set_budget(&self, direction: Direction, bytes: Option<u64>) {
        self.budgets[direction.index()].store(bytes.unwrap_or(UNLIMITED), Ordering::SeqCst);
    }

    /// Takes `wanted` bytes from the budget. `Some(fewer)` means that only those may pass and the connection is to be
    /// cut after them; the budget is unlimited again then.
    pub(super) fn spend(&self, direction: Direction, wanted: u64) -> Option<u64> {
        let left = |budget: u64| match budget {
            UNLIMITED => None,
            few if few <= wanted => Some(UNLIMITED),
            many => Some(many - wanted),
        };
        self.budgets[direction.index()]
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, left)
            .ok()
            .filter(|before| *before <= wanted)
    }
}

/// One open connection.
#[derive(Debug)]
pub(super) struct OpenGuard<'a>(&'a Counters);

impl Drop for OpenGuard<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
        self.0.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_spent_once() {
        let counters = Counters::new();
        let spend = |bytes| counters.spend(Direction::Upstream, bytes);
        assert_eq!(spend(1_000), None, "unlimited at first");
        counters.set_budget(Direction::Upstream, Some(10));
        assert_eq!(counters.spend(Direction::Downstream, 1_000), None);
        assert_eq!((spend(4), spend(5)), (None, None));
        assert_eq!(spend(3), Some(1));
        assert_eq!(spend(1_000), None, "unlimited afterwards");
        counters.set_budget(Direction::Upstream, Some(5));
        assert_eq!(spend(5), Some(5), "cut right after the last byte");
        counters.set_budget(Direction::Upstream, Some(0));
        assert_eq!(spend(7), Some(0));
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_what_does_not_come_says_what_was_counted() {
        let counters = Counters::new();
        counters.accept();
        let wanted = |counts: &Counts| counts.open == 2;
        let error = counters
            .until("2 open connections", wanted)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
        let text = error.to_string();
        assert!(text.contains("2 open connections"), "{text}");
        assert!(text.contains("accepted: 1, open: 0"), "{text}");
    }
}
