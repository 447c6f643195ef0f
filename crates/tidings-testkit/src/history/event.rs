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
        /// How many earlier handlings the message itself says have failed: 0 for the original, more for a copy
        /// that was published for another attempt.
        #[serde(default)]
        failures: u32,
        /// Whose handler.
        by: String,
    },
    /// A handler had it and failed on purpose, so it is to come again: an attempt, not a handling. Written
    /// before the failure is returned.
    Refused {
        /// The message.
        id: String,
        /// Whether the delivery said that it may have been handled before.
        redelivered: bool,
        /// As in [`Handled`](Self::Handled).
        #[serde(default)]
        failures: u32,
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
            failures: 0,
            by: by.into(),
        }
    }

    /// A handler had it and failed on purpose.
    #[must_use]
    pub fn refused(id: impl Into<String>, redelivered: bool, by: impl Into<String>) -> Self {
        Self::Refused {
            id: id.into(),
            redelivered,
            failures: 0,
            by: by.into(),
        }
    }

    /// Says how many earlier handlings have failed, for a copy that was published for another attempt.
    /// Changes nothing but [`Handled`](Self::Handled) and [`Refused`](Self::Refused).
    #[must_use]
    pub fn after_failures(mut self, earlier: u32) -> Self {
        if let Self::Handled { failures, .. } | Self::Refused { failures, .. } = &mut self {
            *failures = earlier;
        }
        self
    }

    /// Its ack has been completed.
    #[must_use]
    pub fn acked(id: impl Into<String>) -> Self {
        Self::Acked { id: id.into() }
    }
}
