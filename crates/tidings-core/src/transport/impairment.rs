//! What keeps a transport from working at this moment, while it is mending it by itself.
//!
//! An error ends an operation and has somebody who receives it. An impairment has nobody: the connection is
//! gone and being made again, a subscription waits for its consumer. It is state, asked for by health checks.

use std::{fmt, sync::Arc};

/// One reason why a transport does not do all of its work at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Impairment {
    /// The queue whose subscriptions receive nothing; `None` if it concerns the whole transport.
    pub queue: Option<Arc<str>>,
    /// What it is, since when or how often, and what is being done: one line.
    pub reason: String,
}

impl Impairment {
    /// Something that concerns the whole transport.
    #[must_use]
    pub fn of_transport(reason: impl Into<String>) -> Self {
        Self {
            queue: None,
            reason: reason.into(),
        }
    }

    /// Something that keeps the subscriptions of one queue from receiving.
    #[must_use]
    pub fn of_queue(queue: impl Into<Arc<str>>, reason: impl Into<String>) -> Self {
        Self {
            queue: Some(queue.into()),
            reason: reason.into(),
        }
    }
}

impl fmt::Display for Impairment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.queue {
            Some(queue) => write!(f, "queue `{queue}`: {}", self.reason),
            None => f.write_str(&self.reason),
        }
    }
}
