//! What is listened to, and what a queue looks like from outside.

use std::{borrow::Cow, sync::Arc};

use crate::headers::{HeaderValue, Headers};

/// A wish to receive from one queue.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscription {
    /// The queue.
    pub queue: Arc<str>,
    /// How many deliveries may be handed out and unsettled at a time: 1 to 65,535.
    pub prefetch: u16,
    /// Whose subscription it is, for logs and for the broker's own tools.
    pub name: Arc<str>,
    /// Further wishes that only some transports understand, for example where in a stream to begin.
    pub arguments: Headers,
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
            arguments: Headers::new(),
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

    /// Sets an argument that only some transports understand.
    #[must_use]
    pub fn with_argument(
        mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<HeaderValue>,
    ) -> Self {
        self.arguments.set(name, value);
        self
    }
}

/// A queue from outside, at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueStatus {
    /// The name.
    pub name: Arc<str>,
    /// Messages waiting to be delivered, those held back by a delay included.
    pub ready: u64,
    /// Messages delivered and not settled; `None` if the transport cannot tell.
    pub unsettled: Option<u64>,
    /// Subscribers attached to it.
    pub consumers: u32,
    /// How fast messages come and go; `None` if the transport cannot tell.
    pub rates: Option<Rates>,
}

impl QueueStatus {
    /// Messages in the queue: ready and, where the transport can tell, unsettled.
    #[must_use]
    pub fn depth(&self) -> u64 {
        self.ready + self.unsettled.unwrap_or_default()
    }
}

/// Messages per second through a queue, lately.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Arriving.
    pub arriving: f64,
    /// Delivered to subscribers, repeated ones included.
    pub delivered: f64,
    /// Acked.
    pub acked: f64,
}
