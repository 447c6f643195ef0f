//! What is measured, and what comes out of it.

use serde::{Deserialize, Serialize};
use tidings_benches::{
    watch::{Percentiles, count},
    words,
};

/// How many calls are under way at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// One after the other.
    One,
    /// As many as a busy caller has.
    Many,
    /// The same, each with a lock key of its own, to see what stays behind in memory.
    Memory,
}

/// Who does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Contender {
    /// The client under ours, used as well as we can, on the way that our calls take: an exchange for the action, a reply
    /// queue bound to it, each request acked after its answer was written.
    Lapin,
    /// The same with nothing but the round trip: direct replies, no exchange, no acks.
    Bare,
    /// Another client, with nothing but the round trip.
    Amqprs,
    /// Ours, as a service is written: a client, and a server with a handler.
    Ours,
    /// The Python client and consumer whose wire we speak.
    Python,
}

/// One thing to measure, in one process.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub contender: Contender,
    pub work: Work,
    pub calls: usize,
}

/// What came out of one run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    pub calls: usize,
    pub seconds: f64,
    /// Of the process and the kernel on its behalf, in the same time.
    pub cpu_seconds: f64,
    /// From the call to the reply.
    pub took: Option<Percentiles>,
    /// Of the process, in KiB: after each tenth of the calls.
    pub memory: Vec<u64>,
}

impl Outcome {
    /// Calls per second.
    pub fn rate(&self) -> f64 {
        count(self.calls) / self.seconds
    }

    /// In microseconds.
    pub fn cpu_per_call(&self) -> f64 {
        self.cpu_seconds * 1e6 / count(self.calls)
    }
}

impl Work {
    pub const ALL: [Self; 2] = [Self::One, Self::Many];

    /// For people.
    pub fn title(self) -> &'static str {
        match self {
            Self::One => "one call in flight",
            Self::Many => "sixty-four calls in flight",
            Self::Memory => "sixty-four calls in flight, each with a lock key of its own",
        }
    }

    pub fn in_flight(self) -> usize {
        match self {
            Self::One => 1,
            Self::Many | Self::Memory => 64,
        }
    }
}

impl Contender {
    pub const ALL: [Self; 5] = [
        Self::Lapin,
        Self::Bare,
        Self::Amqprs,
        Self::Ours,
        Self::Python,
    ];

    /// For people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Lapin => "lapin, used well, the same way",
            Self::Bare => "lapin, used well, direct replies",
            Self::Amqprs => "amqprs, direct replies",
            Self::Ours => "Tidings, client and server",
            Self::Python => "Python client and consumer",
        }
    }
}

words!(Work: One = "one", Many = "many", Memory = "memory");
words!(Contender: Lapin = "lapin", Bare = "bare", Amqprs = "amqprs", Ours = "ours", Python = "python");
