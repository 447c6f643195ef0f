//! How messages are named, wrapped and retried, decided apart from what carries them.
//!
//! A convention owns no socket. It turns a contract into an address and an envelope, an interest into a queue
//! with its topology, and a failed handling into a [`Plan`]. A transport never knows which convention is
//! above it, so every convention runs over every transport whose capabilities suffice.

use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::{Map, Value};

pub use crate::metadata::Opened;
use crate::{
    Call, Deadline, Error, Fault, Kind, Reply, Settlement,
    call::Message,
    codec::Format,
    contract::ContractInfo,
    error::Result,
    retry_policy::RetryPolicy,
    topology::{Difference, Exchange, Topology},
};

/// Names, topology, wire shape and failure algorithm of one family of messages.
pub trait Convention: fmt::Debug + Send + Sync + 'static {
    /// How the fields of a message are encoded.
    fn format(&self) -> Format;

    /// How failures are treated unless a subscriber says otherwise.
    fn retry_policy(&self) -> RetryPolicy {
        RetryPolicy::default()
    }

    /// What exists whether or not anybody subscribes: exchanges, stores.
    fn topology(&self) -> Topology;

    /// Wraps a message and addresses it.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) if the message cannot be written,
    /// [`ErrorKind::Misuse`](crate::ErrorKind::Misuse) if this convention has no such kind.
    fn seal(&self, message: &Outgoing<'_>) -> Result<Call>;

    /// What a received message is called, if that can be told without [opening](Self::open) it.
    fn name<'a>(&self, message: &'a Message) -> Option<&'a str> {
        let _ = message;
        None
    }

    /// Reads the outer shape of a received message; the fields stay encoded in [`Opened::body`].
    ///
    /// # Errors
    /// [`ErrorKind::Decode`](crate::ErrorKind::Decode) with the place and the reason.
    fn open<'a>(&self, message: &'a Message, attachment: &Attachment) -> Result<Opened<'a>>;

    /// Finds the queue for a subscriber's interest and what must exist for it.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`](crate::ErrorKind::Misuse) if a name is not allowed or the interest has no queue here.
    fn attach(
        &self,
        subscriber: &str,
        interest: &Interest,
        retry: &RetryPolicy,
    ) -> Result<Attachment>;

    /// What of an attachment's topology only this convention knows, so that nobody else who declares the queues of
    /// this wire declares it. It exists also where the rest is left to others.
    fn additions(&self, attachment: &Attachment) -> Topology {
        let _ = attachment;
        Topology::new()
    }

    /// Says of a refused declaration what to do about these differences, in the words of this convention's settings.
    #[must_use]
    fn explain(&self, refused: Error, differences: &[Difference]) -> Error {
        let _ = differences;
        refused
    }

    /// Whether one queue holds messages of several contracts. The handlers of one subscriber then share a queue, and
    /// the name that [`open`](Self::open) finds decides which of them is called.
    fn shares_queues(&self) -> bool {
        false
    }

    /// When whoever waits for an answer to this delivery stops waiting, as far as it says so. Asked on arrival.
    fn deadline(&self, call: &Call) -> Deadline {
        let _ = call;
        Deadline::NEVER
    }

    /// Whether anybody ever waits for an answer. Where nobody does, [`answer`](Self::answer) and
    /// [`deadline`](Self::deadline) are not asked, and nothing is kept for them.
    fn answers(&self) -> bool {
        false
    }

    /// What answers this delivery, addressed and wrapped, whether its handling went well or not; `None` if nobody
    /// waits for an answer: then a failure is [recovered](Self::recover).
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) if the reply cannot be written. Whoever waits is then answered
    /// with that error.
    fn answer(&self, call: &Call, outcome: Result<&Reply, &Error>) -> Result<Option<Call>> {
        let (_call, _outcome) = (call, outcome);
        Ok(None)
    }

    /// The exchange through which the answer to this sealed call comes back, with the reply address as its routing
    /// key; `None` if it comes to the reply address directly.
    fn returns_through(&self, call: &Call) -> Option<Exchange> {
        let _ = call;
        None
    }

    /// The failure that an answer speaks of, if it speaks of one. Asked where an answer is not what the contract
    /// promises.
    fn fault(&self, answer: &[u8]) -> Option<Fault> {
        let _ = answer;
        None
    }

    /// How long this delivery must still wait although it has arrived: it was deferred for longer than its
    /// detour lasted. The runtime then fails it with [`Outcome::Defer`](crate::Outcome::Defer) of this length and does not call the
    /// handler. `None` for the usual case: handle it.
    fn held_back(&self, call: &Call, now: Timestamp) -> Option<Duration> {
        let _ = (call, now);
        None
    }

    /// Decides what becomes of a delivery whose handling failed.
    fn recover(&self, failed: &Failed<'_>) -> Plan;
}

/// A message on its way out, before a convention has wrapped it.
#[derive(Clone, Copy)]
pub struct Outgoing<'a> {
    /// The dotted name.
    pub name: &'a str,
    /// The version of its contract.
    pub version: i64,
    /// Event, command or call.
    pub kind: Kind,
    /// Its identity; `None` for a new one.
    pub id: Option<&'a str>,
    /// When it happened; `None` for now.
    pub occurred_at: Option<Timestamp>,
    /// Its context.
    pub meta: &'a Map<String, Value>,
    /// Members that no log, journal or broker may see in clear: paths such as `password` or `database.password`.
    pub secrets: &'a [&'a str],
    /// Appends the encoded fields.
    pub body: &'a (dyn Fn(Format, &mut Vec<u8>) -> Result<()> + 'a),
}

impl fmt::Debug for Outgoing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// What a subscriber wants to receive.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Interest {
    /// Messages of one contract.
    Contract(ContractInfo),
    /// Messages of one contract that is known by name only, for generic subscribers.
    Named {
        /// The dotted name.
        name: String,
        /// The version.
        version: i64,
        /// Event or command.
        kind: Kind,
    },
    /// Every message: the store.
    All,
    /// The dead letters of the queue that another interest of the same subscriber has.
    DeadLetters(Box<Self>),
    /// A queue by its name; `kind` is what its messages are unless they say so themselves.
    Queue {
        /// The queue.
        name: Arc<str>,
        /// What its messages are; `None` for any.
        kind: Option<Kind>,
    },
}

impl Interest {
    /// The kind of message that is expected, `None` for any.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        match self {
            Self::Contract(contract) => Some(contract.kind),
            Self::Named { kind, .. } => Some(*kind),
            Self::All => None,
            Self::DeadLetters(of) => of.kind(),
            Self::Queue { kind, .. } => *kind,
        }
    }
}

/// A subscriber's place: its queue, what must exist for it, and how failures are treated there.
#[derive(Clone, Debug)]
pub struct Attachment {
    /// Whose it is.
    pub subscriber: Arc<str>,
    /// What it is for.
    pub interest: Interest,
    /// The queue to consume.
    pub queue: Arc<str>,
    /// What must exist.
    pub topology: Topology,
    /// How failures are treated.
    pub retry: RetryPolicy,
}

/// A failed handling, as a convention sees it.
#[derive(Clone, Copy, Debug)]
pub struct Failed<'a> {
    /// Where it happened.
    pub attachment: &'a Attachment,
    /// What was being handled.
    pub call: &'a Call,
    /// Why it failed.
    pub error: &'a Error,
    /// Whether the transport can keep a message back by itself.
    pub delayed_nack: bool,
    /// The wall time.
    pub now: Timestamp,
}

/// Why a delivery was not handled: [`Convention::held_back`] said that its time has not come.
///
/// As the source of an error it keeps the rules of a retry policy away: they judge failures, and nothing has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooEarly;

impl fmt::Display for TooEarly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("its time has not come")
    }
}

impl std::error::Error for TooEarly {}

/// What becomes of a delivery whose handling failed.
///
/// A `Forward` is published and confirmed before the original is acked: a crash between the two repeats the
/// message and never loses it.
#[derive(Clone, Debug)]
pub enum Plan {
    /// Publish this copy, wait for the confirm, ack the original.
    Forward {
        /// The copy and where it goes.
        call: Box<Call>,
        /// What that means.
        fate: Fate,
    },
    /// Settle the original.
    Settle {
        /// How.
        settlement: Settlement,
        /// What that means.
        fate: Fate,
    },
}

/// What a plan means for the message: for logs, metrics and tests.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fate {
    /// Comes again and this counts as an attempt.
    Retried {
        /// How many attempts have failed.
        attempts: u32,
        /// How long until it comes again, if known.
        delay: Option<Duration>,
    },
    /// Comes again and nothing is counted.
    Deferred {
        /// How long until it comes again, if known.
        delay: Option<Duration>,
    },
    /// Given back untouched.
    Requeued,
    /// Became a dead letter.
    DeadLettered {
        /// Why: `max_retries`, `fatal`, `undecodable`, …
        reason: Cow<'static, str>,
    },
    /// Dropped, because its queue has no dead letters.
    Dropped,
}
