//! What a child process is told to do, in one environment variable.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tidings_testkit::broken::Defect;

/// The variable in which a child finds its orders. The test process itself has none.
pub(super) const VARIABLE: &str = "TIDINGS_CRASH_ORDERS";

/// Everything that a child process needs to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Orders {
    /// What it is called, in ids of messages and in histories. Unique among all processes of a test.
    pub(super) name: String,
    /// The broker.
    pub(super) url: String,
    /// Where it writes its history. The file must not exist.
    pub(super) history: PathBuf,
    /// For everything that it decides at random.
    pub(super) seed: u64,
    /// Which promise its transport breaks.
    pub(super) breach: Option<Breach>,
    /// What it does.
    pub(super) role: Role,
}

/// What a child does until it is killed, or asked to end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Role {
    /// Publishes one message after the other.
    Publisher {
        /// The length of its messages beside the id.
        filling: usize,
        /// How many messages may wait in the queue until it stops for a moment.
        most_waiting: u64,
        /// Whether it ends at the first message that finds no room.
        until_full: bool,
    },
    /// Handles whatever comes.
    Consumer {
        /// The share of messages that it fails on purpose.
        refuses: f64,
        /// How many messages must wait in the queue, or it stops for a moment.
        least_waiting: u64,
    },
    /// Publishes a few messages, handles them, and stops for ever at a certain point.
    Stopping {
        /// Where.
        at: Point,
    },
}

/// The places in the life of a message at which a process is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Point {
    /// The handler has begun.
    InHandler,
    /// The handler has succeeded, nothing is acked.
    BeforeAck,
    /// The handler has failed, the copy for the next attempt is confirmed, the original is not acked.
    AfterRetryCopy,
    /// The handler has failed for good, the dead letter is confirmed, the original is not acked.
    AfterDeadLetter,
    /// Asked to end: some handlers have finished, others have not.
    InDrain,
}

/// A broken promise, as a test orders it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) enum Breach {
    /// Some messages are confirmed and not stored.
    Loses,
    /// Some messages are stored twice, and no copy is marked.
    Doubles,
    /// Redelivered messages look like new ones.
    HidesRedelivery,
}

impl Orders {
    /// The orders of this process, if it is a child.
    pub(super) fn given() -> Option<Self> {
        #[expect(
            clippy::disallowed_methods,
            reason = "a child learns from its environment that it is one"
        )]
        let orders = std::env::var(VARIABLE).ok()?;
        Some(serde_json::from_str(&orders).expect("the parent wrote them"))
    }

    pub(super) fn to_text(&self) -> String {
        serde_json::to_string(self).expect("orders can be written as JSON")
    }
}

impl Breach {
    pub(super) fn defect(self) -> Defect {
        match self {
            // Often: each process counts from the start, and under load it may live for a few messages only.
            Self::Loses => Defect::LosesEvery(3),
            Self::Doubles => Defect::DoublesEvery(3),
            Self::HidesRedelivery => Defect::HidesRedelivery,
        }
    }
}
