//! One message in one queue.

use std::sync::Arc;

use tidings_core::call::Message;

use crate::broker::dead_letter::History;

/// A message as its queue keeps it. Fan-out to several queues makes one entry each; they share the message.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Its position: unique in the broker and growing with every publish. Also its row in the journal.
    pub(crate) id: u64,
    /// What travels, and where it was sent to.
    pub(crate) message: Arc<Message>,
    /// When it expires, in milliseconds since the Unix epoch.
    pub(crate) expires_at: Option<i64>,
    /// Where it has died since it was published.
    pub(crate) history: History,
    /// Whether the journal has a row for it.
    pub(crate) stored: bool,
    /// Whether it may have been delivered before.
    pub(crate) redelivered: bool,
    /// Whether a waiting consumer was there when it came, so that a lifetime of zero does not end it.
    pub(crate) immediate: bool,
}

impl Entry {
    /// Whether its time is over.
    pub(crate) fn is_expired(&self, now: i64) -> bool {
        !self.immediate && self.expires_at.is_some_and(|at| at <= now)
    }
}
