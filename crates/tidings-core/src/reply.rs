//! What comes back from a handler: a payload, a fault, or nothing.

use crate::{Fault, Headers, Payload};

/// The answer to a call. Events and commands answer with [`Reply::empty`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reply {
    content: Content,
    headers: Headers,
}

#[derive(Clone, Debug, Default, PartialEq)]
enum Content {
    #[default]
    Empty,
    Payload(Payload),
    Fault(Box<Fault>),
}

impl Reply {
    /// Nothing to say.
    #[must_use]
    pub const fn empty() -> Self {
        Self {
            content: Content::Empty,
            headers: Headers::new(),
        }
    }

    /// A successful answer.
    #[must_use]
    pub fn payload(payload: Payload) -> Self {
        Self {
            content: Content::Payload(payload),
            headers: Headers::new(),
        }
    }

    /// A failed answer that the caller must see.
    #[must_use]
    pub fn fault(fault: Fault) -> Self {
        Self {
            content: Content::Fault(Box::new(fault)),
            headers: Headers::new(),
        }
    }

    /// The headers, for reading and setting.
    pub fn headers_mut(&mut self) -> &mut Headers {
        &mut self.headers
    }

    /// The headers.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// Whether there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self.content, Content::Empty)
    }

    /// The payload or the fault; `None` if there is nothing to send.
    ///
    /// # Errors
    /// The fault, if the reply is one.
    pub fn into_result(self) -> Option<Result<Payload, Fault>> {
        match self.content {
            Content::Empty => None,
            Content::Payload(payload) => Some(Ok(payload)),
            Content::Fault(fault) => Some(Err(*fault)),
        }
    }
}
