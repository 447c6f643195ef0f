//! Reads the measured facts, and says in our words what they say in JSON.

use std::{fs, path::Path};

use bytes::Bytes;
use serde_json::Value;
use tidings_core::{Address, Call, Envelope, Error, ErrorKind, HeaderValue, Headers};

pub(crate) fn text(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn json(file: &str) -> Value {
    serde_json::from_str(&text(file)).unwrap()
}

pub(crate) fn cases(file: &str) -> Vec<Value> {
    json(file).as_array().unwrap().clone()
}

pub(crate) fn string<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member]
        .as_str()
        .unwrap_or_else(|| panic!("`{member}` of {value}"))
}

/// A message with this body, as it comes out of a queue.
pub(crate) fn arrived(body: impl Into<Bytes>) -> Call {
    Call::new(Address::queue("q"), Envelope::new(body))
}

pub(crate) fn headers(value: &Value) -> Headers {
    let Some(map) = value.as_object() else {
        return Headers::new();
    };
    map.iter()
        .map(|(name, value)| (name.clone(), header(value)))
        .collect()
}

fn header(value: &Value) -> HeaderValue {
    match value {
        Value::Null => HeaderValue::Null,
        Value::Bool(truth) => HeaderValue::Bool(*truth),
        Value::Number(number) => HeaderValue::Int(number.as_i64().unwrap()),
        Value::String(text) => HeaderValue::from(text.as_str()),
        Value::Array(list) => HeaderValue::List(list.iter().map(header).collect()),
        Value::Object(map) => match map.get("$timestamp") {
            Some(_) => HeaderValue::Timestamp(0),
            None => HeaderValue::Table(headers(value)),
        },
    }
}

/// A message as it was captured on a queue.
pub(crate) fn captured(capture: &Value) -> Call {
    let address = Address::new(string(capture, "exchange"), string(capture, "routing_key"));
    let body = string(&capture["body"], "text").to_owned();
    let envelope = Envelope::new(body).with_headers(headers(&capture["properties"]["headers"]));
    Call::new(address, envelope)
}

/// The headers without ours, which existing systems do not write.
pub(crate) fn of_the_wire(headers: &Headers) -> Headers {
    let mut headers = headers.clone();
    headers.retain(|name| !name.starts_with("tidings-"));
    headers
}

/// Headers in one order, because the wire promises none.
pub(crate) fn sorted(headers: &Headers) -> Vec<(String, HeaderValue)> {
    let mut pairs: Vec<_> = headers
        .iter()
        .map(|(name, value)| {
            let value = match value {
                HeaderValue::List(list) => HeaderValue::List(list.iter().map(in_order).collect()),
                other => in_order(other),
            };
            (name.to_owned(), value)
        })
        .collect();
    pairs.sort_by(|a, b| a.0.cmp(&b.0));
    pairs
}

fn in_order(value: &HeaderValue) -> HeaderValue {
    match value {
        HeaderValue::Table(table) => HeaderValue::Table(sorted(table).into_iter().collect()),
        other => other.clone(),
    }
}

/// What a handler's ordinary failure looks like to a convention.
pub(crate) fn ordinary_failure() -> Error {
    Error::new(ErrorKind::Handler, "the handler failed").with_source("no connection")
}
