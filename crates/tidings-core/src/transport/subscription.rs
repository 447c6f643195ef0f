//! What is listened to, and what a queue looks like from outside.

use std::sync::Arc;

/// A wish to receive from one queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The queue.
    pub queue: Arc<str>,
    /// How many deliveries may be handed out and unsettled at a time: 1 to 65,535.
    pub prefetch: u16,
    /// Whose subscription it is, for logs and for the broker's own tools.
    pub name: Arc<str>,
}

impl Subscription {
    /// A subscription to a queue with the default prefetch of 32.
    #[must_use]
    pub fn to(queue: impl Into<Arc<str>>) -> Self {
        let queue = queue.into();
        Self {
            name: Arc::clone(&queue),
            queue,
            prefetch: 32,
        }
    }

    /// Sets how many deliveries may be unsettled at a time; 0 counts as 1.
    #[must_use]
    pub fn with_prefetch(mut self, prefetch: u16) -> Self {
        self.prefetch = prefetch.max(1);
        self
    }

    /// Names it.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = name.into();
        self
    }
}

/// A queue from outside, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueStatus {
    /// The name.
    pub name: Arc<str>,
    /// Messages waiting to be delivered, those held back by a delay included.
    pub ready: u64,
    /// Messages delivered and not settled.
    pub unsettled: u64,
    /// Subscribers attached to it.
    pub consumers: u32,
}
