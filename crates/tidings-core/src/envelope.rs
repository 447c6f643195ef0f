//! The envelope: everything of a message that travels, in no transport's own notation.

use bytes::Bytes;

use crate::{headers::Headers, payload::Payload, properties::Properties};

/// Payload, headers and properties of a message. Cloning shares the payload.
///
/// ```
/// use tidings_core::Envelope;
///
/// let envelope = Envelope::new(&b"{}"[..]);
/// assert!(envelope.headers.is_empty(), "a fresh message carries no headers");
/// assert!(envelope.persistent, "and survives a restart of the broker");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Envelope {
    /// The bytes.
    pub payload: Payload,
    /// Named values beside the payload.
    pub headers: Headers,
    /// Standard properties.
    pub properties: Properties,
    /// Whether the broker must keep it across a restart. True unless said otherwise.
    pub persistent: bool,
}

impl Envelope {
    /// A persistent envelope around these bytes, with no headers and no properties.
    #[must_use]
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self {
            payload: Payload::new(bytes),
            headers: Headers::new(),
            properties: Properties::new(),
            persistent: true,
        }
    }

    /// Replaces the headers.
    #[must_use]
    pub fn with_headers(mut self, headers: Headers) -> Self {
        self.headers = headers;
        self
    }

    /// Replaces the properties.
    #[must_use]
    pub fn with_properties(mut self, properties: impl Into<Properties>) -> Self {
        self.properties = properties.into();
        self
    }

    /// Lets the broker forget it in a restart.
    #[must_use]
    pub fn transient(mut self) -> Self {
        self.persistent = false;
        self
    }
}

impl Default for Envelope {
    fn default() -> Self {
        Self::new(Bytes::new())
    }
}
