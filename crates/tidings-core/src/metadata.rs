//! What is known about a message beside its payload.

use std::borrow::Cow;

use jiff::Timestamp;
use serde_json::Value;

/// The metadata of a message, as its convention wrote it.
///
/// Handlers take it as an argument; publishers fill in what they want to say themselves.
#[derive(Clone, Debug, PartialEq)]
pub struct Metadata {
    /// The message's identity, kept through retries, dead letters and redrives.
    pub id: String,
    /// The dotted name, for example `user.created`.
    pub name: String,
    /// The version of its contract.
    pub version: i64,
    /// The kind as the wire spells it, for example `domain_event`.
    pub kind: String,
    /// When the fact happened or the command was given.
    pub occurred_at: Timestamp,
    /// Free-form context: correlation, causation, trace, caller. An object unless a foreign publisher sent something else.
    pub meta: Value,
}

impl Metadata {
    /// The member of [`meta`](Self::meta) that ties together everything one request caused.
    #[must_use]
    pub fn correlation_id(&self) -> Option<&str> {
        self.meta.get(CORRELATION_ID).and_then(Value::as_str)
    }

    /// The id of the message whose handling caused this one.
    #[must_use]
    pub fn causation_id(&self) -> Option<&str> {
        self.meta.get(CAUSATION_ID).and_then(Value::as_str)
    }
}

/// The member of `meta` that carries the correlation id.
pub const CORRELATION_ID: &str = "correlation_id";
/// The member of `meta` that carries the id of the causing message.
pub const CAUSATION_ID: &str = "causation_id";
/// The member of `meta` that carries the W3C trace context.
pub const TRACE_PARENT: &str = "traceparent";

/// What a convention found in an envelope, borrowed from its payload.
///
/// The convention reads the outer shape once; the handler's extractor decodes [`body`](Self::body) into its type.
#[derive(Clone, Debug)]
pub struct Opened<'a> {
    /// The message's identity.
    pub id: Cow<'a, str>,
    /// The dotted name.
    pub name: Cow<'a, str>,
    /// The version of its contract.
    pub version: i64,
    /// The kind as the wire spells it.
    pub kind: Cow<'a, str>,
    /// When it happened, or when it was opened if the wire did not say.
    pub occurred_at: Timestamp,
    /// The JSON of `meta`.
    pub meta: Cow<'a, str>,
    /// The encoded fields of the message itself.
    pub body: Cow<'a, [u8]>,
}

impl Opened<'_> {
    /// An owned copy of the metadata.
    #[must_use]
    pub fn to_metadata(&self) -> Metadata {
        Metadata {
            id: self.id.clone().into_owned(),
            name: self.name.clone().into_owned(),
            version: self.version,
            kind: self.kind.clone().into_owned(),
            occurred_at: self.occurred_at,
            meta: serde_json::from_str(&self.meta).unwrap_or(Value::Null),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(meta: &str) -> Metadata {
        Opened {
            id: "1".into(),
            name: "user.created".into(),
            version: 1,
            kind: "domain_event".into(),
            occurred_at: Timestamp::UNIX_EPOCH,
            meta: meta.into(),
            body: Cow::Borrowed(b"{}"),
        }
        .to_metadata()
    }

    #[test]
    fn reads_correlation_and_causation_from_meta() {
        let both = metadata(r#"{"correlation_id": "c", "causation_id": "k"}"#);
        assert_eq!(both.correlation_id(), Some("c"));
        assert_eq!(both.causation_id(), Some("k"));
    }

    #[test]
    fn accepts_whatever_a_foreign_publisher_put_there() {
        for foreign in [
            "{}",
            "null",
            "[1]",
            r#"{"correlation_id": 7}"#,
            "not json",
            "",
        ] {
            let metadata = metadata(foreign);
            assert_eq!(metadata.correlation_id(), None, "{foreign}");
            assert_eq!(metadata.causation_id(), None, "{foreign}");
        }
        assert_eq!(metadata("[1]").meta, serde_json::json!([1]));
    }
}
