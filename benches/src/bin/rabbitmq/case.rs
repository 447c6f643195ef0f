//! What is measured, and what comes out of it.

use serde::{Deserialize, Serialize};
use tidings_benches::{
    watch::{Percentiles, count},
    words,
};

/// Which part of a message's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Published and confirmed; nobody consumes.
    Publish,
    /// Delivered and acknowledged; everything was published before.
    Consume,
    /// Both at once, until everything that was published has been acknowledged.
    Both,
}

/// The type of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Classic,
    Quorum,
}

/// Who does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Contender {
    /// The client under ours, used as well as we can.
    Lapin,
    /// Another client.
    Amqprs,
    /// Ours, by the traits of a transport.
    Transport,
    /// Ours, as a service is written: a client, and a server with a handler.
    Service,
    /// The Python system whose wire we speak.
    Petisco,
}

/// One thing to measure, in one process.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub contender: Contender,
    pub work: Work,
    pub kind: Kind,
    pub messages: usize,
}

/// What came out of one run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    pub messages: usize,
    pub seconds: f64,
    /// Of the process and the kernel on its behalf, in the same time.
    pub cpu_seconds: f64,
    /// From the call to the confirm; `None` where nothing is published.
    pub confirmed_after: Option<Percentiles>,
}

impl Outcome {
    /// Messages per second.
    pub fn rate(&self) -> f64 {
        count(self.messages) / self.seconds
    }

    /// In microseconds.
    pub fn cpu_per_message(&self) -> f64 {
        self.cpu_seconds * 1e6 / count(self.messages)
    }
}

impl Work {
    pub const ALL: [Self; 3] = [Self::Publish, Self::Consume, Self::Both];

    /// For people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Publish => "confirmed publish",
            Self::Consume => "consume with ack",
            Self::Both => "publish and consume together",
        }
    }
}

impl Contender {
    pub const ALL: [Self; 5] = [
        Self::Lapin,
        Self::Amqprs,
        Self::Transport,
        Self::Service,
        Self::Petisco,
    ];

    /// For people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Lapin => "lapin, used well",
            Self::Amqprs => "amqprs",
            Self::Transport => "Tidings, transport",
            Self::Service => "Tidings, client and server",
            Self::Petisco => "petisco",
        }
    }

    /// petisco knows only classic queues, and takes one message after the other: publishing and consuming are apart.
    pub fn can(self, work: Work, kind: Kind) -> bool {
        self != Self::Petisco || (work != Work::Both && kind == Kind::Classic)
    }
}

impl Kind {
    pub const ALL: [Self; 2] = [Self::Classic, Self::Quorum];
}

words!(Work: Publish = "publish", Consume = "consume", Both = "both");
words!(Kind: Classic = "classic", Quorum = "quorum");
words!(Contender: Lapin = "lapin", Amqprs = "amqprs", Transport = "transport", Service = "service", Petisco = "petisco");
