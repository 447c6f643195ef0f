//! A message as it is shown: JSON with stable names for programs, a few lines for people.

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use serde::Serialize;
use serde_json::{Map, Number, Value, value::RawValue};
use tidings::{
    Call, Headers,
    headers::HeaderValue,
    transport::{Fields, Payload},
};

use crate::{
    json_text::{self, printable},
    output::Output,
    table::Tone,
};

/// A message for programs. The payload is `payload` if it is JSON, else `text`, else `base64`.
#[derive(Debug, Serialize)]
pub(crate) struct Shown {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) queue: String,
    pub(crate) exchange: String,
    pub(crate) key: String,
    pub(crate) redelivered: bool,
    pub(crate) size: usize,
    pub(crate) headers: Map<String, Value>,
    pub(crate) properties: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) payload: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) base64: Option<String>,
}

impl Shown {
    pub(crate) fn of(call: &Call) -> Self {
        let payload = &call.envelope.payload;
        let bytes = &payload.bytes;
        let json = json_text::read(bytes).map(json_text::compact);
        let text = match json {
            None => str::from_utf8(bytes).ok().map(str::to_owned),
            Some(_) => None,
        };
        Self {
            queue: call.queue().to_owned(),
            exchange: call.address.exchange.to_string(),
            key: call.address.key.to_string(),
            redelivered: call.is_redelivered(),
            size: payload.len(),
            headers: headers_json(&call.envelope.headers),
            properties: properties_json(call.envelope.properties.fields(), payload),
            base64: (json.is_none() && text.is_none()).then(|| BASE64.encode(bytes)),
            payload: json,
            text,
        }
    }
}

/// A message for people.
pub(crate) fn people(call: &Call, output: Output) -> String {
    let mut text = head(call, output);
    text.push_str(&body(&call.envelope.payload, output));
    text.push_str("\n\n");
    text
}

/// Where a message went and what it carries beside its payload.
pub(crate) fn head(call: &Call, output: Output) -> String {
    let quiet = |text: &str| Tone::Quiet.paint(text, output.colour());
    let redelivered = if call.is_redelivered() {
        ", redelivered"
    } else {
        ""
    };
    let size = format!("  ({} bytes{redelivered})", call.envelope.payload.len());
    let mut text = format!("{}{}\n", printable(&call.address.to_string()), quiet(&size));
    for (name, value) in call.envelope.headers.iter() {
        let line = format!("{}: {}", printable(name), printable(&header(value)));
        text.push_str(&format!("{}\n", quiet(&line)));
    }
    let properties = call.envelope.properties.fields();
    for (name, value) in properties_json(properties, &call.envelope.payload) {
        let value = match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        let line = format!("{name}: {}", printable(&value));
        text.push_str(&format!("{}\n", quiet(&line)));
    }
    text
}

/// The payload: JSON laid out, text as it is, anything else as its size.
fn body(payload: &Payload, output: Output) -> String {
    if let Some(json) = json_text::read(&payload.bytes) {
        return json_text::pretty(json, output.colour());
    }
    match str::from_utf8(&payload.bytes) {
        Ok(text) => printable(text),
        Err(_) => format!(
            "{} bytes that are not text (--output json shows them as base64)",
            payload.len()
        ),
    }
}

/// The beginning of a payload on one line.
pub(crate) fn start(payload: &Payload, length: usize) -> String {
    let text = match json_text::read(&payload.bytes) {
        Some(json) => json_text::compact(json).get().to_owned(),
        None => String::from_utf8_lossy(&payload.bytes).into_owned(),
    };
    shorten(&printable(&text), length)
}

/// At most so many characters of a text, on one line.
pub(crate) fn shorten(text: &str, length: usize) -> String {
    let text = text.replace(['\n', '\t'], " ");
    if text.chars().count() <= length {
        return text;
    }
    let mut start: String = text.chars().take(length.saturating_sub(1)).collect();
    start.push('…');
    start
}

/// A header value for people.
pub(crate) fn header(value: &HeaderValue) -> String {
    match value {
        HeaderValue::Text(text) => text.to_string(),
        HeaderValue::Timestamp(seconds) => jiff::Timestamp::from_second(*seconds)
            .map_or_else(|_| seconds.to_string(), |time| time.to_string()),
        other => header_json(other).to_string(),
    }
}

/// A header value for programs.
fn header_json(value: &HeaderValue) -> Value {
    match value {
        HeaderValue::Bool(truth) => Value::Bool(*truth),
        HeaderValue::Int(int) | HeaderValue::Timestamp(int) => Value::from(*int),
        HeaderValue::Float(float) => Number::from_f64(*float).map_or(Value::Null, Value::Number),
        HeaderValue::Text(text) => Value::String(text.to_string()),
        HeaderValue::Bytes(bytes) => Value::String(BASE64.encode(bytes)),
        HeaderValue::List(list) => list.iter().map(header_json).collect(),
        HeaderValue::Table(table) => Value::Object(headers_json(table)),
        _ => Value::Null,
    }
}

fn headers_json(headers: &Headers) -> Map<String, Value> {
    headers
        .iter()
        .map(|(name, value)| (name.to_owned(), header_json(value)))
        .collect()
}

fn properties_json(fields: Option<&Fields>, payload: &Payload) -> Map<String, Value> {
    let mut properties = Map::new();
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            properties.insert(name.to_owned(), value);
        }
    };
    let text = |text: &Option<std::sync::Arc<str>>| text.as_deref().map(Value::from);
    let content_type = payload.content_type.as_deref().map(Value::from);
    set("content_type", content_type);
    if let Some(fields) = fields {
        set("content_encoding", text(&fields.content_encoding));
        set("message_id", text(&fields.message_id));
        set("correlation_id", text(&fields.correlation_id));
        set("reply_to", text(&fields.reply_to));
        set("app_id", text(&fields.app_id));
        set("user_id", text(&fields.user_id));
        set("type", text(&fields.kind));
        set("timestamp", fields.timestamp.map(Value::from));
        set("priority", fields.priority.map(Value::from));
        let expiration = fields.expiration.map(|span| span.as_millis());
        let expiration = expiration.and_then(|millis| u64::try_from(millis).ok());
        set("expiration_ms", expiration.map(Value::from));
    }
    properties
}

/// `1 message`, `2 messages`.
pub(crate) fn count(number: u64, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tidings::{Address, Envelope};

    use super::*;

    fn shown(bytes: &'static [u8]) -> Value {
        let call = Call::new(Address::new("e", "k"), Envelope::new(bytes));
        serde_json::to_value(Shown::of(&call)).unwrap()
    }

    #[test]
    fn a_payload_has_one_of_three_forms() {
        assert_eq!(shown(b"{\"a\": 1}")["payload"], json!({ "a": 1 }));
        assert_eq!(shown(b"hello")["text"], "hello");
        assert_eq!(shown(b"\xff")["base64"], "/w==");
        for (bytes, forms) in [(&b"1"[..], 1), (b"x", 1), (b"\xff", 1), (b"", 1)] {
            let shown = shown(bytes);
            let has = |name: &&str| shown.get(*name).is_some();
            assert_eq!(
                ["payload", "text", "base64"]
                    .iter()
                    .filter(|it| has(it))
                    .count(),
                forms
            );
        }
    }

    #[test]
    fn headers_keep_their_types() {
        let table = Headers::new()
            .with("count", 2)
            .with("at", HeaderValue::Timestamp(1));
        let headers = Headers::new()
            .with("deaths", HeaderValue::List(vec![HeaderValue::Table(table)]))
            .with("none", HeaderValue::Null);
        assert_eq!(
            Value::Object(headers_json(&headers)),
            json!({ "deaths": [{ "count": 2, "at": 1 }], "none": null })
        );
    }

    #[test]
    fn the_start_of_a_payload_is_one_short_line() {
        let payload = Payload::new(&b"{\n \"a\": \"0123456789\" }"[..]);
        assert_eq!(start(&payload, 8), "{\"a\":\"0…");
        assert_eq!(start(&Payload::new(&b"a\nb"[..]), 8), "a b");
    }
}
