//! What the publish task needs of a connection. AMQP is one implementation, a fake for tests the other: the states that
//! matter most (a channel that dies under a thousand publishes) are the ones that a real broker shows least.

use std::sync::Arc;

use tidings_core::{Error, Result, call::Message, transport::BoxFuture};

/// Where channels come from.
pub(super) trait Source: Send + 'static {
    /// A channel.
    type Line: Line;

    /// The next channel, as soon as there is one. An error means that there will never be another.
    fn open(&mut self) -> BoxFuture<'static, Result<Self::Line>>;

    /// Why there is none at the moment.
    fn trouble(&self) -> String;

    /// Whether there is none because the broker does not read at the moment.
    fn is_blocked(&self) -> bool;

    /// What is said to publishes that come when there will never be another.
    fn ended(&self) -> Error;
}

/// A channel in confirm mode, on a connection that somebody watches.
pub(super) trait Line: Send + Sync + 'static {
    /// Publishes one message. The frames are queued when the future is polled for the first time; it resolves with the
    /// broker's answer.
    fn send(
        &self,
        message: &Arc<Message>,
        mandatory: bool,
    ) -> impl Future<Output = Verdict> + Send + 'static;

    /// Publishes one message in a way that cannot harm the others, at the price of being slow. A precious channel only
    /// asks whether the exchange is there.
    fn probe(&self, message: &Arc<Message>, mandatory: bool) -> BoxFuture<'static, Verdict>;

    /// Whether an exchange must be probed before the first publish to it, because the channel cannot be replaced.
    fn is_precious(&self) -> bool;

    /// The number of the connection it is on.
    fn generation(&self) -> u64;

    /// Resolves when the connection has ended.
    fn over(&self) -> BoxFuture<'static, ()>;

    /// Why it ended.
    fn why(&self) -> String;

    /// Why the broker does not read from the connection at the moment.
    fn blocked(&self) -> Option<String>;

    /// Resolves when the broker reads again; at once if it does.
    fn unblocked(&self) -> BoxFuture<'static, ()>;

    /// Ends the connection, so that another is made.
    fn condemn(&self, why: String);
}

/// What became of one publish on one channel.
#[derive(Debug)]
pub(super) enum Verdict {
    /// The broker has taken responsibility.
    Confirmed(Option<Box<Returned>>),
    /// The broker has not.
    Nacked(Option<Box<Returned>>),
    /// Nothing was sent yet: the exchange is there.
    Welcome,
    /// It cannot be written as AMQP: nothing was sent.
    Unwritable(Error),
    /// The channel died before the broker answered.
    Lost(Loss),
}

impl Verdict {
    /// The returned message that came with the answer. It may be another publish's: see `window`.
    pub(super) fn take_returned(&mut self) -> Option<Box<Returned>> {
        match self {
            Self::Confirmed(returned) | Self::Nacked(returned) => returned.take(),
            Self::Welcome | Self::Unwritable(_) | Self::Lost(_) => None,
        }
    }
}

/// A message that no queue would receive.
#[derive(Debug, PartialEq)]
pub(super) struct Returned {
    pub(super) exchange: String,
    pub(super) key: String,
    pub(super) payload: Vec<u8>,
}

impl Returned {
    pub(super) fn is_of(&self, message: &Message) -> bool {
        *self.key == *message.address.key
            && *self.exchange == *message.address.exchange
            && self.payload == message.envelope.payload.bytes
    }
}

/// How a channel died.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Loss {
    /// With the connection, or because somebody closed it: nobody's fault.
    Gone(String),
    /// Because the broker objects to something that was published on it.
    Refused(Refusal),
}

/// The broker's objection.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Refusal {
    pub(super) code: u16,
    pub(super) text: String,
}
