//! A call as one line of JSON, and back: what a file spool keeps.
//!
//! Readable with any text tool, because in the hour in which somebody looks into a spool nothing else may be
//! working. Floating-point numbers are written as text: JSON has no infinity, and not every
//! JSON reader returns every number bit for bit.

use std::{sync::Arc, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tidings_core::{
    Address, Call, Envelope, Error, ErrorKind, HeaderValue, Headers, Properties, error::Result,
    properties::Fields,
};

/// How deep header lists and tables may nest: far more than any broker sees, and little enough for any JSON reader.
const MAX_DEPTH: usize = 32;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    exchange: String,
    key: String,
    mandatory: bool,
    persistent: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    headers: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    properties: Option<Standard>,
    payload: String,
}

/// [`Fields`] as JSON members.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Standard {
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_encoding: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    app_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration: Option<Duration>,
}

/// Writes a call as one line.
///
/// # Errors
/// [`ErrorKind::Invalid`] if a header nests too deep, [`ErrorKind::Unsupported`] if it has a kind that is unknown here.
pub(super) fn encode(call: &Call) -> Result<Vec<u8>> {
    let envelope = &call.envelope;
    let properties = envelope.properties.fields();
    let record = Record {
        exchange: call.address.exchange.to_string(),
        key: call.address.key.to_string(),
        mandatory: call.mandatory,
        persistent: envelope.persistent,
        content_type: envelope.payload.content_type.as_deref().map(str::to_owned),
        headers: table_to_json(&envelope.headers, MAX_DEPTH)
            .map_err(|error| error.within(format_args!("call to {}", call.address)))?,
        properties: properties
            .filter(|fields| **fields != Fields::default())
            .map(Standard::from),
        payload: BASE64_STANDARD.encode(&envelope.payload.bytes),
    };
    let mut line = serde_json::to_vec(&record).map_err(|error| {
        let context = format!("the call to {} cannot be written as JSON", call.address);
        Error::new(ErrorKind::Invalid, context).with_source(error)
    })?;
    line.push(b'\n');
    Ok(line)
}

/// Reads what [`encode`] wrote.
///
/// # Errors
/// [`ErrorKind::Corrupt`] with the place and the reason.
pub(super) fn decode(line: &[u8]) -> Result<Call> {
    let record: Record =
        serde_json::from_slice(line).map_err(|error| corrupt("it is no kept call", error))?;
    let bytes = BASE64_STANDARD
        .decode(&record.payload)
        .map_err(|error| corrupt("its payload is no base64", error))?;
    let mut envelope = Envelope::new(bytes);
    envelope.payload.content_type = record.content_type.map(Into::into);
    envelope.headers = table_from_json(record.headers)?;
    envelope.properties = record
        .properties
        .map(Fields::from)
        .map_or_else(Properties::new, Into::into);
    envelope.persistent = record.persistent;
    let mut call = Call::new(Address::new(record.exchange, record.key), envelope);
    call.mandatory = record.mandatory;
    Ok(call)
}

fn corrupt(detail: &str, source: impl std::error::Error + Send + Sync + 'static) -> Error {
    let context = format!(
        "the record cannot be read, {detail}: it was written by another version or by hand"
    );
    Error::new(ErrorKind::Corrupt, context).with_source(source)
}

fn table_to_json(table: &Headers, depth: usize) -> Result<Map<String, Value>> {
    table
        .iter()
        .map(|(name, value)| Ok((name.to_owned(), value_to_json(value, depth)?)))
        .collect()
}

fn value_to_json(value: &HeaderValue, depth: usize) -> Result<Value> {
    let Some(depth) = depth.checked_sub(1) else {
        let context = format!("a header nests more than {MAX_DEPTH} deep: flatten it");
        return Err(Error::new(ErrorKind::Invalid, context));
    };
    Ok(match value {
        HeaderValue::Null => Value::Null,
        HeaderValue::Bool(truth) => json!(truth),
        HeaderValue::Int(int) => json!(int),
        HeaderValue::Text(text) => json!(&**text),
        HeaderValue::Float(float) => json!({ "float": float.to_string() }),
        HeaderValue::Bytes(bytes) => json!({ "bytes": BASE64_STANDARD.encode(bytes) }),
        HeaderValue::Timestamp(seconds) => json!({ "timestamp": seconds }),
        HeaderValue::List(list) => {
            let list: Result<Vec<Value>> =
                list.iter().map(|item| value_to_json(item, depth)).collect();
            Value::Array(list?)
        }
        HeaderValue::Table(table) => json!({ "table": table_to_json(table, depth)? }),
        other => {
            let context = format!("a header has a kind that spools do not know: {other:?}");
            return Err(Error::new(ErrorKind::Unsupported, context));
        }
    })
}

fn table_from_json(table: Map<String, Value>) -> Result<Headers> {
    table
        .into_iter()
        .map(|(name, value)| Ok((name, value_from_json(value)?)))
        .collect()
}

fn value_from_json(value: Value) -> Result<HeaderValue> {
    Ok(match value {
        Value::Null => HeaderValue::Null,
        Value::Bool(truth) => HeaderValue::Bool(truth),
        Value::Number(number) => HeaderValue::Int(number.as_i64().ok_or_else(|| unknown(&number))?),
        Value::String(text) => HeaderValue::Text(text.into()),
        Value::Array(list) => HeaderValue::List(
            list.into_iter()
                .map(value_from_json)
                .collect::<Result<_>>()?,
        ),
        Value::Object(tagged) => tagged_from_json(tagged)?,
    })
}

/// The kinds that JSON does not have are objects with one member, which is named after the kind.
fn tagged_from_json(tagged: Map<String, Value>) -> Result<HeaderValue> {
    let mut members = tagged.into_iter();
    let (Some((tag, value)), None) = (members.next(), members.next()) else {
        return Err(unknown(&"an object without exactly one member"));
    };
    match (tag.as_str(), value) {
        ("float", Value::String(text)) => text
            .parse()
            .map(HeaderValue::Float)
            .map_err(|error| corrupt("a header is no floating-point number", error)),
        ("bytes", Value::String(text)) => BASE64_STANDARD
            .decode(text)
            .map(|bytes| HeaderValue::Bytes(bytes.into()))
            .map_err(|error| corrupt("a header is no base64", error)),
        ("timestamp", Value::Number(seconds)) => seconds
            .as_i64()
            .map(HeaderValue::Timestamp)
            .ok_or_else(|| unknown(&seconds)),
        ("table", Value::Object(table)) => Ok(HeaderValue::Table(table_from_json(table)?)),
        (tag, _) => Err(unknown(&tag)),
    }
}

fn unknown(what: &dyn std::fmt::Display) -> Error {
    let context = format!("the record has a header of no known kind: {what}");
    Error::new(ErrorKind::Corrupt, context)
}

impl From<&Fields> for Standard {
    fn from(fields: &Fields) -> Self {
        let text = |value: &Option<Arc<str>>| value.as_deref().map(str::to_owned);
        Self {
            message_id: text(&fields.message_id),
            correlation_id: text(&fields.correlation_id),
            reply_to: text(&fields.reply_to),
            content_encoding: text(&fields.content_encoding),
            app_id: text(&fields.app_id),
            user_id: text(&fields.user_id),
            kind: text(&fields.kind),
            timestamp: fields.timestamp,
            priority: fields.priority,
            expiration: fields.expiration,
        }
    }
}

impl From<Standard> for Fields {
    fn from(standard: Standard) -> Self {
        Self {
            message_id: standard.message_id.map(Into::into),
            correlation_id: standard.correlation_id.map(Into::into),
            reply_to: standard.reply_to.map(Into::into),
            content_encoding: standard.content_encoding.map(Into::into),
            app_id: standard.app_id.map(Into::into),
            user_id: standard.user_id.map(Into::into),
            kind: standard.kind.map(Into::into),
            timestamp: standard.timestamp,
            priority: standard.priority,
            expiration: standard.expiration,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, option, prelude::*};

    use super::*;

    /// Every kind of header value, nested; floats of every bit pattern.
    fn header_value() -> impl Strategy<Value = HeaderValue> {
        let leaf = prop_oneof![
            Just(HeaderValue::Null),
            any::<bool>().prop_map(HeaderValue::Bool),
            any::<i64>().prop_map(HeaderValue::Int),
            any::<u64>().prop_map(|bits| HeaderValue::Float(f64::from_bits(bits))),
            any::<f64>().prop_map(HeaderValue::Float),
            any::<String>().prop_map(|text| HeaderValue::Text(text.into())),
            vec(any::<u8>(), 0..20).prop_map(|bytes| HeaderValue::Bytes(bytes.into())),
            any::<i64>().prop_map(HeaderValue::Timestamp),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                vec(inner.clone(), 0..4).prop_map(HeaderValue::List),
                vec((any::<String>(), inner), 0..4)
                    .prop_map(|pairs| HeaderValue::Table(pairs.into_iter().collect())),
            ]
        })
    }

    fn headers() -> impl Strategy<Value = Headers> {
        vec((any::<String>(), header_value()), 0..5).prop_map(|pairs| pairs.into_iter().collect())
    }

    fn text() -> impl Strategy<Value = Option<Arc<str>>> {
        option::of(any::<String>().prop_map(Arc::from))
    }

    prop_compose! {
        fn fields()(
            (message_id, correlation_id, reply_to, content_encoding) in (text(), text(), text(), text()),
            (app_id, user_id, kind) in (text(), text(), text()),
            timestamp in option::of(any::<i64>()),
            priority in option::of(any::<u8>()),
            expiration in option::of(any::<Duration>()),
        ) -> Fields {
            Fields {
                message_id, correlation_id, reply_to, content_encoding, app_id, user_id, kind,
                timestamp, priority, expiration,
            }
        }
    }

    prop_compose! {
        fn call()(
            (exchange, key) in (any::<String>(), any::<String>()),
            payload in vec(any::<u8>(), 0..200),
            content_type in option::of(any::<String>()),
            headers in headers(),
            fields in fields(),
            (mandatory, persistent) in any::<(bool, bool)>(),
        ) -> Call {
            let mut envelope = Envelope::new(payload)
                .with_headers(headers)
                .with_properties(fields);
            envelope.payload.content_type = content_type.map(Into::into);
            envelope.persistent = persistent;
            let mut call = Call::new(Address::new(exchange, key), envelope);
            call.mandatory = mandatory;
            call
        }
    }

    /// NaN equals nothing, so headers are compared as they are shown.
    fn shown(headers: &Headers) -> String {
        format!("{headers:?}")
    }

    proptest! {
        #[test]
        fn every_call_comes_back_as_it_was(call in call()) {
            let line = encode(&call).expect("it nests no deeper than allowed");
            prop_assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
            let back = decode(&line).expect("it was just written");
            prop_assert_eq!(&back.address, &call.address);
            prop_assert_eq!(back.mandatory, call.mandatory);
            prop_assert_eq!(back.envelope.persistent, call.envelope.persistent);
            prop_assert_eq!(&back.envelope.payload, &call.envelope.payload);
            let fields = |call: &Call| call.envelope.properties.fields().cloned().unwrap_or_default();
            prop_assert_eq!(fields(&back), fields(&call));
            prop_assert_eq!(shown(&back.envelope.headers), shown(&call.envelope.headers));
        }

        #[test]
        fn no_bytes_make_the_reader_panic(line in vec(any::<u8>(), 0..300)) {
            prop_assert_eq!(decode(&line).err().map(|error| error.kind()), Some(ErrorKind::Corrupt));
        }
    }

    #[test]
    fn a_record_is_readable() {
        let envelope = Envelope::new(&b"{}"[..]).with_headers(Headers::new().with("queue", "a.b"));
        let line = encode(&Call::new(Address::new("acme", "a.b"), envelope)).expect("it is plain");
        let expected = concat!(
            r#"{"exchange":"acme","key":"a.b","mandatory":true,"persistent":true,"#,
            r#""headers":{"queue":"a.b"},"payload":"e30="}"#,
            "\n"
        );
        assert_eq!(String::from_utf8_lossy(&line), expected);
    }

    #[test]
    fn a_header_that_nests_too_deep_is_refused_when_it_is_kept_not_when_it_is_replayed() {
        let nested = |depth| {
            let mut value = HeaderValue::Null;
            for _ in 0..depth {
                value = HeaderValue::Table([("t", value)].into_iter().collect());
            }
            let envelope = Envelope::new("").with_headers(Headers::new().with("deep", value));
            encode(&Call::new(Address::queue("q"), envelope))
        };
        let line = nested(MAX_DEPTH - 1).expect("as deep as allowed");
        decode(&line).expect("it was just written");
        let error = nested(MAX_DEPTH).expect_err("deeper than allowed");
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
}
