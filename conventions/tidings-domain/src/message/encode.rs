//! Writes a message: one buffer, members in the wire's order, in the wire's byte style.
//!
//! What depends only on the name, the version and the kind is written once, as a [`Head`].

use std::sync::Arc;

use jiff::Timestamp;
use tidings_core::{
    Kind,
    codec::Format,
    convention::Outgoing,
    error::{Error, ErrorKind, Result},
};
use uuid::Uuid;

use super::time;
use crate::names::{self, Names};

const STYLE: Format = Format::PythonJson;

/// What all messages of one name, version and kind have in common.
#[derive(Debug)]
pub(crate) struct Head {
    kind: Kind,
    version: i64,
    /// The routing key.
    pub(crate) key: Arc<str>,
    /// The bytes from the id to the time.
    text: Vec<u8>,
}

impl Head {
    /// The head of messages like this one.
    pub(crate) fn new(names: &Names, message: &Outgoing<'_>) -> Result<Self> {
        let (kind, version) = (message.kind, message.version);
        let key = names.routing_key(kind, version, message.name)?;
        let mut text = Vec::new();
        text.extend_from_slice(br#"", "type": "#);
        STYLE.encode(message.name, &mut text)?;
        text.extend_from_slice(br#", "type_message": ""#);
        text.extend_from_slice(names::type_message(Some(kind)).as_bytes());
        text.extend_from_slice(br#"", "version": "#);
        STYLE.encode(&version, &mut text)?;
        text.extend_from_slice(br#", "occurred_on": ""#);
        Ok(Self {
            kind,
            version,
            key: key.into(),
            text,
        })
    }

    /// Whether it is for this message, which has the right name.
    pub(crate) fn is_of(&self, message: &Outgoing<'_>) -> bool {
        self.kind == message.kind && self.version == message.version
    }
}

/// Appends the bytes of a message. `now` is asked only if the message does not say when it happened.
pub(crate) fn encode(
    message: &Outgoing<'_>,
    head: &Head,
    now: impl Fn() -> Timestamp,
    out: &mut Vec<u8>,
) -> Result<()> {
    out.extend_from_slice(br#"{"data": {"id": ""#);
    id(message, out)?;
    out.extend_from_slice(&head.text);
    let occurred_at = message.occurred_at.unwrap_or_else(now);
    if !time::write(occurred_at, out) {
        return Err(invalid(message, "happened outside the years 1 to 9999"));
    }
    out.extend_from_slice(br#"", "attributes": "#);
    attributes(message, out)?;
    out.extend_from_slice(br#", "meta": "#);
    if message.meta.is_empty() {
        out.extend_from_slice(b"{}");
    } else {
        STYLE.encode(message.meta, out)?;
    }
    out.extend_from_slice(b"}}");
    Ok(())
}

fn id(message: &Outgoing<'_>, out: &mut Vec<u8>) -> Result<()> {
    let Some(id) = message.id else {
        // One system call for each id, on purpose: random bytes that are kept for later are given out twice
        // after a fork or from a snapshot of the machine, and who has seen an id drops the second message.
        let id = Uuid::new_v4();
        out.extend_from_slice(
            id.hyphenated()
                .encode_lower(&mut Uuid::encode_buffer())
                .as_bytes(),
        );
        return Ok(());
    };
    if Uuid::try_parse(id).is_err() {
        return Err(invalid(
            message,
            &format!("has the id `{id}`, which is not a UUID: receivers would refuse it"),
        ));
    }
    out.extend_from_slice(id.as_bytes());
    Ok(())
}

/// Appends the fields, which must be an object: receivers refuse everything else.
fn attributes(message: &Outgoing<'_>, out: &mut Vec<u8>) -> Result<()> {
    let start = out.len();
    (message.body)(STYLE, out)?;
    match out.get(start..) {
        Some([b'{', ..]) => Ok(()),
        // A struct without fields is written as null.
        Some(b"null" | b"") => {
            out.truncate(start);
            out.extend_from_slice(b"{}");
            Ok(())
        }
        _ => Err(invalid(
            message,
            "is not written as an object: make it a struct with named fields",
        )),
    }
}

fn invalid(message: &Outgoing<'_>, what: &str) -> Error {
    Error::new(
        ErrorKind::Invalid,
        format!("message `{}` {what}", message.name),
    )
}
