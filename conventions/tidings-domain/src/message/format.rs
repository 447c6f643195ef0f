//! A message as the JSON value that the wire would carry, for tools and tests.

use jiff::Timestamp;
use serde_json::{Value, json};
use tidings_core::{
    AnyMessage,
    error::{Error, ErrorKind, Result},
};

use super::time;

/// The whole message as the wire spells it: one object with the member `data`.
///
/// It is made of what was understood, so a member that was missing has its default and unknown ones are gone.
///
/// # Errors
/// [`ErrorKind::Decode`] if the fields are no JSON.
pub fn format(message: &AnyMessage) -> Result<Value> {
    let metadata = &message.metadata;
    Ok(json!({ "data": {
        "id": metadata.id,
        "type": metadata.name,
        "type_message": metadata.kind,
        "version": metadata.version,
        "occurred_on": format_time(metadata.occurred_at),
        "attributes": message.fields()?,
        "meta": metadata.meta,
    }}))
}

/// A time as the wire spells it: UTC, `YYYY-MM-DD HH:MM:SS.ffffff`.
#[must_use]
pub fn format_time(time: Timestamp) -> String {
    let mut text = Vec::with_capacity(26);
    time::write(time, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// Reads a time that is spelled as on the wire.
///
/// # Errors
/// [`ErrorKind::Decode`] that says what is expected.
pub fn parse_time(text: &str) -> Result<Timestamp> {
    let expected = || {
        Error::new(
            ErrorKind::Decode,
            format!(
                "`{text}` is no time of this wire: expected {}",
                time::EXPECTED
            ),
        )
    };
    time::read(text).ok_or_else(expected)
}
