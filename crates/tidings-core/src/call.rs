//! A message on its way to a handler, on either shore.

use std::sync::Arc;

use crate::{Address, Deadline, Envelope, extensions::Extensions};

/// What every layer and every handler receives. Cloning is cheap: the payload is shared.
#[derive(Clone, Debug)]
pub struct Call {
    /// Where it goes, or on arrival where it was sent to.
    pub address: Address,
    /// What travels.
    pub envelope: Envelope,
    /// How it arrived; `None` for a call that has not been delivered.
    pub origin: Option<Origin>,
    /// When whoever waits for it stops waiting.
    pub deadline: Deadline,
    /// Whether a publish that no queue would receive is an error. True unless said otherwise.
    pub mandatory: bool,
    /// What layers tell one another.
    pub extensions: Extensions,
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
        Self {
            address,
            envelope,
            origin: None,
            deadline: Deadline::NEVER,
            mandatory: true,
            extensions: Extensions::default(),
        }
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
