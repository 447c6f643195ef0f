//! The bytes of a message and what they are.

use std::{borrow::Cow, fmt};

use bytes::Bytes;

/// Bytes with an optional content type. Cloning is cheap; the bytes are shared.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Payload {
    /// The bytes as they travel.
    pub bytes: Bytes,
    /// The media type, for example `application/json`; `None` where the wire carries none.
    pub content_type: Option<Cow<'static, str>>,
}

impl Payload {
    /// Bytes whose content type is known by agreement rather than said on the wire.
    #[must_use]
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self {
            bytes: bytes.into(),
            content_type: None,
        }
    }

    /// JSON, said so on the wire.
    #[must_use]
    pub fn json(bytes: impl Into<Bytes>) -> Self {
        Self {
            bytes: bytes.into(),
            content_type: Some(Cow::Borrowed("application/json")),
        }
    }

    /// How many bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// Shows the size, never the content: payloads do not belong in logs.
impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Payload")
            .field("len", &self.len())
            .field("content_type", &self.content_type)
            .finish()
    }
}
