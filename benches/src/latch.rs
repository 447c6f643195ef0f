//! Counts handled messages down and wakes whoever waits for the last one.
//!
//! Handlers reach it as their state. It costs one decrement per message, and one wake per run.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::Notify;

/// A handle on the count.
#[derive(Clone, Debug, Default)]
pub struct Latch(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    missing: AtomicUsize,
    drained: Notify,
}

impl Latch {
    /// Waits for this many messages from now on.
    pub fn expect(&self, messages: usize) {
        self.0.missing.store(messages, Ordering::Release);
    }

    /// One has been handled.
    pub fn arrived(&self) {
        if self.0.missing.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.drained.notify_one();
        }
    }

    /// How many are missing.
    pub fn missing(&self) -> usize {
        self.0.missing.load(Ordering::Acquire)
    }

    /// Resolves once none is missing.
    pub async fn drained(&self) {
        while self.missing() > 0 {
            self.0.drained.notified().await;
        }
    }
}
