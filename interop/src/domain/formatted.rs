//! A received message as existing systems would format it again: a handler's argument.
//!
//! `tidings::domain::format` gives the same as a value, which would round integers beyond 64 bits.

use std::str;

use serde::Serialize;
use serde_json::value::RawValue;
use tidings::{
    Error, ErrorKind, Result, domain,
    extract::{FromCall, Scope},
};

/// The message as one line of JSON, with one member, `data`.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct Formatted(Box<RawValue>);

#[derive(Serialize)]
struct Envelope<'a> {
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    name: &'a str,
    type_message: &'a str,
    version: i64,
    occurred_on: String,
    attributes: Box<RawValue>,
    meta: Box<RawValue>,
}

impl<S> FromCall<S> for Formatted {
    fn from_call(scope: &Scope<'_, S>) -> Result<Self> {
        let opened = scope.opened;
        let attributes = str::from_utf8(&opened.body).map_err(undecodable)?;
        let envelope = Envelope {
            data: Data {
                id: &opened.id,
                name: &opened.name,
                type_message: &opened.kind,
                version: opened.version,
                occurred_on: domain::format_time(opened.occurred_at),
                attributes: one_line(attributes)?,
                meta: one_line(&opened.meta)?,
            },
        };
        serde_json::value::to_raw_value(&envelope)
            .map(Self)
            .map_err(undecodable)
    }
}

/// The same JSON without line breaks, which valid JSON has between its tokens only.
fn one_line(json: &str) -> Result<Box<RawValue>> {
    RawValue::from_string(json.replace(['\n', '\r'], " ")).map_err(undecodable)
}

fn undecodable(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Decode, "the message cannot be formatted again").with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_breaks_go_and_numbers_stay() {
        let line = one_line("{\n  \"a\\n\": 1180591620717411303424,\r\n\"b\": 1e400}").unwrap();
        assert_eq!(
            line.get(),
            r#"{   "a\n": 1180591620717411303424,  "b": 1e400}"#
        );
    }
}
