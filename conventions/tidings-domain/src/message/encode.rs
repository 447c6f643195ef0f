//! Writes a message: one buffer, members in the wire's order, in the wire's byte style.

use jiff::Timestamp;
use tidings_core::{
    Kind,
    codec::Format,
    convention::Outgoing,
    error::{Error, ErrorKind, Result},
};
use uuid::Uuid;

use super::time;
use crate::names;

/// Room for a usual message, so that writing it does not move the buffer.
const USUAL: usize = 512;

const STYLE: Format = Format::PythonJson;

/// The bytes of a message. `now` is asked only if the message does not say when it happened.
pub(crate) fn encode(message: &Outgoing<'_>, now: impl Fn() -> Timestamp) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(USUAL);
    out.extend_from_slice(br#"{"data": {"id": ""#);
    id(message, &mut out)?;
    out.extend_from_slice(br#"", "type": "#);
    STYLE.encode(message.name, &mut out)?;
    out.extend_from_slice(br#", "type_message": ""#);
    out.extend_from_slice(kind(message)?.as_bytes());
    out.extend_from_slice(br#"", "version": "#);
    STYLE.encode(&message.version, &mut out)?;
    out.extend_from_slice(br#", "occurred_on": ""#);
    let occurred_at = message.occurred_at.unwrap_or_else(now);
    if !time::write(occurred_at, &mut out) {
        return Err(invalid(message, "happened outside the years 1 to 9999"));
    }
    out.extend_from_slice(br#"", "attributes": "#);
    attributes(message, &mut out)?;
    out.extend_from_slice(br#", "meta": "#);
    STYLE.encode(message.meta, &mut out)?;
    out.extend_from_slice(b"}}");
    Ok(out)
}

fn id(message: &Outgoing<'_>, out: &mut Vec<u8>) -> Result<()> {
    let Some(id) = message.id else {
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

fn kind(message: &Outgoing<'_>) -> Result<&'static str> {
    match message.kind {
        Kind::Event | Kind::Command => Ok(names::type_message(Some(message.kind))),
        other => Err(names::misuse(format!(
            "message `{}` is a {other}: the domain wire carries events and commands only",
            message.name
        ))),
    }
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
