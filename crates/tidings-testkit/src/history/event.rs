//! The events of a history, as they stand in a file: one JSON object a line.

use serde::{Deserialize, Serialize};

/// One thing that a publisher or a handler saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// A publish is about to be handed over. Written before it is, so that nothing handled is unexpected.
    Attempted {
        /// The message.
        id: String,
    },
    /// The transport took responsibility for it.
    Confirmed {
        /// The message.
        id: String,
    },
    /// The transport did not: it may have been stored or not.
    Failed {
        /// The message.
        id: String,
    },
    /// A handler has it. Written before anything is settled.
    Handled {
        /// The message.
        id: String,
        /// Whether the delivery said that it may have been handled before.
        redelivered: bool,
        /// Whose handler.
        by: String,
    },
    /// Its ack has been completed: it must never come again.
    Acked {
        /// The message.
        id: String,
    },
}

impl Event {
    /// A publish is about to be handed over.
    #[must_use]
    pub fn attempted(id: impl Into<String>) -> Self {
        Self::Attempted { id: id.into() }
    }

    /// The transport took responsibility.
    #[must_use]
    pub fn confirmed(id: impl Into<String>) -> Self {
        Self::Confirmed { id: id.into() }
    }

    /// The transport did not take responsibility.
    #[must_use]
    pub fn failed(id: impl Into<String>) -> Self {
        Self::Failed { id: id.into() }
    }

    /// A handler has it.
    #[must_use]
    pub fn handled(id: impl Into<String>, redelivered: bool, by: impl Into<String>) -> Self {
        Self::Handled {
            id: id.into(),
            redelivered,
            by: by.into(),
        }
    }

    /// Its ack has been completed.
    #[must_use]
    pub fn acked(id: impl Into<String>) -> Self {
        Self::Acked { id: id.into() }
    }
}
