//! The standard properties of an envelope: what most brokers have a field for.
//!
//! Most messages set none of them, so they live behind one pointer that is null until the first is set.

use std::{sync::Arc, time::Duration};

/// Optional, well-known facts about a message. None of them is written unless it was set.
#[derive(Clone, Debug, Default)]
pub struct Properties(Option<Box<Fields>>);

/// The properties, one by one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// The message's identity at the transport.
    pub message_id: Option<Arc<str>>,
    /// Ties a reply to its request.
    pub correlation_id: Option<Arc<str>>,
    /// Where a reply is expected, in the transport's own notation.
    pub reply_to: Option<Arc<str>>,
    /// How the bytes are encoded, for example `gzip`.
    pub content_encoding: Option<Arc<str>>,
    /// Which application sent it.
    pub app_id: Option<Arc<str>>,
    /// Which user sent it; brokers may verify it.
    pub user_id: Option<Arc<str>>,
    /// A type name of the application's own choosing.
    pub kind: Option<Arc<str>>,
    /// When it was sent, in seconds since the Unix epoch.
    pub timestamp: Option<i64>,
    /// 0 (lowest) to 255; honoured only by queues that have priorities.
    pub priority: Option<u8>,
    /// How long it may wait in a queue before it expires.
    pub expiration: Option<Duration>,
}

impl Properties {
    /// No properties.
    #[must_use]
    pub const fn new() -> Self {
        Self(None)
    }

    /// Whether none is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0
            .as_deref()
            .is_none_or(|fields| *fields == Fields::default())
    }

    /// The properties, if any was ever set.
    #[must_use]
    pub fn fields(&self) -> Option<&Fields> {
        self.0.as_deref()
    }

    /// The properties, for setting them.
    pub fn fields_mut(&mut self) -> &mut Fields {
        self.0.get_or_insert_default()
    }

    /// The message's identity at the transport.
    #[must_use]
    pub fn message_id(&self) -> Option<&Arc<str>> {
        self.0.as_ref()?.message_id.as_ref()
    }

    /// Ties a reply to its request.
    #[must_use]
    pub fn correlation_id(&self) -> Option<&Arc<str>> {
        self.0.as_ref()?.correlation_id.as_ref()
    }

    /// Where a reply is expected.
    #[must_use]
    pub fn reply_to(&self) -> Option<&Arc<str>> {
        self.0.as_ref()?.reply_to.as_ref()
    }

    /// How long it may wait in a queue before it expires.
    #[must_use]
    pub fn expiration(&self) -> Option<Duration> {
        self.0.as_ref()?.expiration
    }
}

/// Equal if the same properties are set to the same values: having been asked for is no difference.
impl PartialEq for Properties {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(a), Some(b)) => a == b,
            _ => self.is_empty() && other.is_empty(),
        }
    }
}

impl Eq for Properties {}

impl From<Fields> for Properties {
    fn from(fields: Fields) -> Self {
        Self(Some(Box::new(fields)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn are_empty_until_one_is_set() {
        let mut properties = Properties::new();
        assert!(properties.is_empty() && properties.fields().is_none());
        properties.fields_mut();
        assert!(properties.is_empty(), "looking is not setting");
        assert_eq!(properties, Properties::new());

        properties.fields_mut().priority = Some(0);
        assert!(!properties.is_empty());
        assert_ne!(properties, Properties::new());
        assert_ne!(Properties::new(), properties);
    }

    #[test]
    fn read_back_what_was_set() {
        let properties = Properties::from(Fields {
            message_id: Some("m".into()),
            correlation_id: Some("c".into()),
            reply_to: Some("r".into()),
            expiration: Some(Duration::from_secs(1)),
            ..Fields::default()
        });
        assert_eq!(properties.message_id().map(|id| &**id), Some("m"));
        assert_eq!(properties.correlation_id().map(|id| &**id), Some("c"));
        assert_eq!(properties.reply_to().map(|to| &**to), Some("r"));
        assert_eq!(properties.expiration(), Some(Duration::from_secs(1)));
        assert_eq!(properties.clone(), properties);
        assert_eq!(Properties::new().expiration(), None);
    }
}
