//! A change of the broker's state that may have to be written down before it takes effect.

use std::sync::Arc;

use tidings_core::topology;

use crate::broker::{ProducerId, Sequence, entry::Entry, queue::QueueId};

/// One change. In memory it takes effect at once, in durable mode after its commit.
#[derive(Debug)]
pub(crate) enum Change {
    /// New messages become visible.
    Publish {
        rows: Vec<(QueueId, Entry)>,
        from: Option<From>,
    },
    /// A message is gone from its queue, and its copies become visible in the dead-letter queues.
    Bury {
        gone: Option<u64>,
        rows: Vec<(QueueId, Entry)>,
    },
    /// A message was handled. It has left the queue already.
    Forget { id: u64 },
    /// A message stays out of sight until then. It is hidden already.
    Hide { id: u64, until: i64 },
    /// Exchanges, queues and bindings come or go. In memory they have already.
    Topology(Vec<TopologyChange>),
    /// Consumers may receive from a queue, so what is in it may have been delivered when the broker crashes.
    Attend(QueueId),
    /// Nothing changes: an answer about an earlier publish is wanted, after everything before it is decided.
    Confirm((ProducerId, Sequence)),
    /// The broker closes; these messages may have been delivered, all others have not.
    Close { delivered: Vec<u64> },
}

/// Who published.
#[derive(Debug)]
pub(crate) struct From {
    pub(crate) producer: ProducerId,
    pub(crate) sequence: Sequence,
    /// Earlier publishes of this producer that were refused since the last publish.
    pub(crate) refused: Vec<Sequence>,
}

/// One change of what exists.
#[derive(Debug)]
pub(crate) enum TopologyChange {
    Exchange(topology::Exchange),
    Queue(QueueId, topology::Queue),
    Bind {
        exchange: Arc<str>,
        queue: QueueId,
        pattern: Arc<str>,
    },
    DropExchange(Arc<str>),
    DropQueue(QueueId),
}

impl Change {
    /// Whether it must be written down.
    pub(crate) fn is_stored(&self) -> bool {
        let any_stored = |rows: &[(QueueId, Entry)]| rows.iter().any(|(_, entry)| entry.stored);
        match self {
            Self::Publish { rows, .. } => any_stored(rows),
            Self::Bury { gone, rows } => gone.is_some() || any_stored(rows),
            Self::Confirm(_) => false,
            Self::Forget { .. }
            | Self::Hide { .. }
            | Self::Topology(_)
            | Self::Attend(_)
            | Self::Close { .. } => true,
        }
    }

    /// Whether messages become visible by it, so that nothing may overtake it.
    pub(crate) fn shows_messages(&self) -> bool {
        matches!(self, Self::Publish { .. } | Self::Bury { .. })
    }
}
