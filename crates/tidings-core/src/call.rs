//! A message on its way to a handler, on either shore.

use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
};

use crate::{Address, Deadline, Envelope, extensions::Extensions};

/// What every layer and every handler receives. Cloning it copies a pointer to the message, so a layer may keep a
/// clone for the case of a failure.
///
/// The [`Message`] is read and changed through the call; a change of a shared message makes a copy first:
///
/// ```
/// use tidings_core::{Address, Call, Envelope};
///
/// let call = Call::new(Address::queue("store"), Envelope::new("{}"));
/// let mut copy = call.clone();
/// copy.envelope.headers.set("attempt", 2);
/// assert!(call.envelope.headers.is_empty());
/// ```
#[derive(Clone, Debug)]
pub struct Call {
    message: Arc<Message>,
    /// How it arrived; `None` for a call that has not been delivered.
    pub origin: Option<Origin>,
    /// When whoever waits for it stops waiting.
    pub deadline: Deadline,
    /// Whether a publish that no queue would receive is an error. True unless said otherwise.
    pub mandatory: bool,
    /// Whether a publish of it waits for as long as the broker takes no publishes, because a delivery stays unsettled until
    /// it is known, and would only come again and be handled again if it failed. Once nobody waits for it any more, it may
    /// be forgotten. False unless said otherwise.
    pub patient: bool,
    /// What layers tell one another.
    pub extensions: Extensions,
}

/// An envelope and where it goes: what a call is about and what a queue keeps.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Where it goes, or on arrival where it was sent to.
    pub address: Address,
    /// What travels.
    pub envelope: Envelope,
}

/// How a call arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The queue it came out of.
    pub queue: Arc<str>,
    /// Whether the broker may have delivered it before. False means certainly not.
    pub redelivered: bool,
}

impl Call {
    /// An envelope for an address, without a deadline.
    #[must_use]
    pub fn new(address: Address, envelope: Envelope) -> Self {
        Self::of(Arc::new(Message { address, envelope }))
    }

    /// A shared message, without a deadline.
    #[must_use]
    pub fn of(message: Arc<Message>) -> Self {
        Self {
            message,
            origin: None,
            deadline: Deadline::NEVER,
            mandatory: true,
            patient: false,
            extensions: Extensions::default(),
        }
    }

    /// The message, shared.
    #[must_use]
    pub fn message(&self) -> &Arc<Message> {
        &self.message
    }

    /// The message, without the call around it.
    #[must_use]
    pub fn into_message(self) -> Arc<Message> {
        self.message
    }

    /// Marks the call as delivered.
    #[must_use]
    pub fn with_origin(mut self, queue: Arc<str>, redelivered: bool) -> Self {
        self.origin = Some(Origin { queue, redelivered });
        self
    }

    /// Accepts that no queue may receive it.
    #[must_use]
    pub fn unroutable_is_fine(mut self) -> Self {
        self.mandatory = false;
        self
    }

    /// Waits for as long as the broker takes no publishes: for what becomes of a delivery.
    #[must_use]
    pub fn patiently(mut self) -> Self {
        self.patient = true;
        self
    }

    /// The queue it came out of, or the empty text.
    #[must_use]
    pub fn queue(&self) -> &str {
        self.origin.as_ref().map_or("", |origin| &origin.queue)
    }

    /// Whether the broker may have delivered it before.
    #[must_use]
    pub fn is_redelivered(&self) -> bool {
        self.origin
            .as_ref()
            .is_some_and(|origin| origin.redelivered)
    }
}

impl Deref for Call {
    type Target = Message;

    fn deref(&self) -> &Message {
        &self.message
    }
}

impl DerefMut for Call {
    fn deref_mut(&mut self) -> &mut Message {
        Arc::make_mut(&mut self.message)
    }
}
