//! Raw messages out of the command line or a file. A line of a file has the shape that `tidings tail --output json` prints.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use clap::Args;
use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};
use tidings::{
    Address, Call, Envelope, Error, ErrorKind, Headers, headers::HeaderValue, transport::Fields,
};

use super::{
    domain::unreadable,
    sending::{Outbox, Sending, read_stdin},
};
use crate::exit;

/// What a raw message has beside its body.
#[derive(Clone, Debug, Args)]
#[group(skip)]
#[command(next_help_heading = "Raw messages")]
pub(crate) struct Options {
    /// A header, several times if need be; `name:=7` gives it a JSON value instead of text
    #[arg(long = "header", short = 'H', value_name = "NAME=VALUE")]
    headers: Vec<String>,
    /// The media type of the body, for example application/json
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// How the body is encoded, for example gzip
    #[arg(long, value_name = "ENCODING")]
    content_encoding: Option<String>,
    /// The identity of the message
    #[arg(long, value_name = "ID")]
    message_id: Option<String>,
    /// What ties a reply to its request
    #[arg(long, value_name = "ID")]
    correlation_id: Option<String>,
    /// Where a reply is expected
    #[arg(long, value_name = "QUEUE")]
    reply_to: Option<String>,
    /// A type name of the application's own choosing
    #[arg(long = "type", value_name = "NAME")]
    kind: Option<String>,
    /// Which application sent it
    #[arg(long, value_name = "NAME")]
    app_id: Option<String>,
    /// Which user sent it; brokers may verify it
    #[arg(long, value_name = "NAME")]
    user_id: Option<String>,
    /// When it was sent, in seconds since 1970
    #[arg(long, value_name = "SECONDS")]
    timestamp: Option<i64>,
    /// 0 to 255, for queues that have priorities
    #[arg(long, value_name = "N")]
    priority: Option<u8>,
    /// How long it may wait in a queue, in milliseconds
    #[arg(long, value_name = "MS")]
    expiration: Option<u64>,
    /// Lets the broker forget it in a restart
    #[arg(long)]
    transient: bool,
}

/// A message as one line of a file. What only describes how it was found is read and not used.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    exchange: Option<String>,
    key: Option<String>,
    #[serde(default)]
    headers: Map<String, Value>,
    #[serde(default)]
    properties: Properties,
    payload: Option<Box<RawValue>>,
    text: Option<String>,
    base64: Option<String>,
    #[serde(default, rename = "queue")]
    _queue: Value,
    #[serde(default, rename = "redelivered")]
    _redelivered: Value,
    #[serde(default, rename = "size")]
    _size: Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Properties {
    content_type: Option<String>,
    content_encoding: Option<Arc<str>>,
    message_id: Option<Arc<str>>,
    correlation_id: Option<Arc<str>>,
    reply_to: Option<Arc<str>>,
    #[serde(rename = "type")]
    kind: Option<Arc<str>>,
    app_id: Option<Arc<str>>,
    user_id: Option<Arc<str>>,
    timestamp: Option<i64>,
    priority: Option<u8>,
    expiration_ms: Option<u64>,
}

/// What is to be sent.
pub(crate) fn outbox(options: &Options, words: Vec<String>, sending: &Sending) -> Result<Outbox> {
    let envelope = options.envelope()?;
    let mut words = words.into_iter();
    let to = match (words.next(), words.next()) {
        (Some(exchange), Some(key)) => Some(Address::new(exchange, key)),
        (None, _) if sending.reads_file() => None,
        _ => {
            return Err(exit::usage(
                "say where to: EXCHANGE KEY [BODY], or --organization, --service and --name for a domain event",
            ));
        }
    };
    let body = words.next();
    if let Some(more) = words.next() {
        return Err(exit::usage(format!(
            "`{more}` is one argument too many: quote the body"
        )));
    }
    if sending.reads_file() {
        if body.is_some() {
            return Err(exit::usage(
                "the bodies are in the file: leave the body out here",
            ));
        }
        return sending.lines(move |line| read(line, to.clone(), &envelope));
    }
    let mut envelope = envelope;
    envelope.payload.bytes = match body {
        Some(dash) if dash == "-" => read_stdin()?.into(),
        Some(body) => body.into(),
        None => Default::default(),
    };
    let to = to.unwrap_or_else(|| Address::queue(""));
    let copies = sending.copies();
    Ok(Box::new(
        (0..copies).map(move |_| Ok(Call::new(to.clone(), envelope.clone()))),
    ))
}

/// A line as a message; the command line wins over it.
fn read(line: &str, to: Option<Address>, usual: &Envelope) -> Result<Call> {
    let line: Line = serde_json::from_str(line).map_err(|error| unreadable(&error))?;
    let to = match (to, &line.exchange, &line.key) {
        (Some(to), _, _) => to,
        (None, Some(exchange), Some(key)) => Address::new(exchange.as_str(), key.as_str()),
        _ => {
            return Err(exit::usage(
                "the line does not say where to: give it `exchange` and `key`, or say EXCHANGE KEY",
            ));
        }
    };
    let mut envelope = line.properties.envelope();
    for (name, value) in line.headers {
        envelope.headers.set(name, header(value));
    }
    for (name, value) in usual.headers.iter() {
        envelope.headers.set(name.to_owned(), value.clone());
    }
    overlay(&mut envelope, usual);
    envelope.payload.bytes = match (line.payload, line.text, line.base64) {
        (Some(json), None, None) => json.get().to_owned().into(),
        (None, Some(text), None) => text.into(),
        (None, None, Some(text)) => BASE64
            .decode(text)
            .map_err(|error| Error::new(ErrorKind::Invalid, format!("`base64` is none: {error}")))?
            .into(),
        (None, None, None) => Default::default(),
        _ => {
            let context = "the line has more than one of `payload`, `text` and `base64`: leave one";
            return Err(Error::new(ErrorKind::Invalid, context).into());
        }
    };
    Ok(Call::new(to, envelope))
}

/// Puts what the command line says over what a line says.
fn overlay(envelope: &mut Envelope, usual: &Envelope) {
    envelope.persistent &= usual.persistent;
    if usual.payload.content_type.is_some() {
        envelope.payload.content_type = usual.payload.content_type.clone();
    }
    let Some(over) = usual.properties.fields() else {
        return;
    };
    let fields = envelope.properties.fields_mut();
    let text = |to: &mut Option<Arc<str>>, from: &Option<Arc<str>>| {
        if from.is_some() {
            to.clone_from(from);
        }
    };
    text(&mut fields.message_id, &over.message_id);
    text(&mut fields.correlation_id, &over.correlation_id);
    text(&mut fields.reply_to, &over.reply_to);
    text(&mut fields.content_encoding, &over.content_encoding);
    text(&mut fields.app_id, &over.app_id);
    text(&mut fields.user_id, &over.user_id);
    text(&mut fields.kind, &over.kind);
    fields.timestamp = over.timestamp.or(fields.timestamp);
    fields.priority = over.priority.or(fields.priority);
    fields.expiration = over.expiration.or(fields.expiration);
}

impl Options {
    /// Whether something here was said.
    pub(crate) fn is_given(&self) -> bool {
        let envelope = self.envelope();
        envelope.is_ok_and(|envelope| envelope != Envelope::default())
    }

    fn envelope(&self) -> Result<Envelope> {
        let text = |text: &Option<String>| text.as_deref().map(Arc::from);
        let properties = Properties {
            content_type: self.content_type.clone(),
            content_encoding: text(&self.content_encoding),
            message_id: text(&self.message_id),
            correlation_id: text(&self.correlation_id),
            reply_to: text(&self.reply_to),
            kind: text(&self.kind),
            app_id: text(&self.app_id),
            user_id: text(&self.user_id),
            timestamp: self.timestamp,
            priority: self.priority,
            expiration_ms: self.expiration,
        };
        let mut envelope = properties.envelope();
        envelope.persistent = !self.transient;
        for option in &self.headers {
            let (name, value) = parse_header(option)?;
            envelope.headers.set(name, value);
        }
        Ok(envelope)
    }
}

impl Properties {
    fn envelope(self) -> Envelope {
        let fields = Fields {
            message_id: self.message_id,
            correlation_id: self.correlation_id,
            reply_to: self.reply_to,
            content_encoding: self.content_encoding,
            app_id: self.app_id,
            user_id: self.user_id,
            kind: self.kind,
            timestamp: self.timestamp,
            priority: self.priority,
            expiration: self.expiration_ms.map(Duration::from_millis),
        };
        let mut envelope = Envelope::default();
        if fields != Fields::default() {
            envelope.properties = fields.into();
        }
        envelope.payload.content_type = self.content_type.map(Into::into);
        envelope
    }
}

/// `name=text` or `name:=json`.
fn parse_header(option: &str) -> Result<(String, HeaderValue)> {
    let Some((name, text)) = option.split_once('=') else {
        return Err(exit::usage(format!(
            "header `{option}` has no value: write NAME=VALUE"
        )));
    };
    match name.strip_suffix(':') {
        None => Ok((name.to_owned(), text.into())),
        Some(name) => {
            let json = serde_json::from_str(text).map_err(|error| unreadable(&error));
            let json = json.with_context(|| format!("the value of header `{name}` is no JSON"))?;
            Ok((name.to_owned(), header(json)))
        }
    }
}

/// JSON as a header value. Integers beyond 64 bits become floats, as JSON itself allows.
fn header(json: Value) -> HeaderValue {
    match json {
        Value::Null => HeaderValue::Null,
        Value::Bool(truth) => HeaderValue::Bool(truth),
        Value::Number(number) => match number.as_i64() {
            Some(int) => HeaderValue::Int(int),
            None => HeaderValue::Float(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => text.into(),
        Value::Array(items) => HeaderValue::List(items.into_iter().map(header).collect()),
        Value::Object(members) => {
            let members = members.into_iter().map(|(name, it)| (name, header(it)));
            HeaderValue::Table(members.collect::<Headers>())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Shown;

    #[test]
    fn what_tail_prints_can_be_published_again() {
        for bytes in [&b"{\"a\":1e400}"[..], b"hello", b"\xff\x00", b""] {
            let mut call = Call::new(Address::new("e", "k"), Envelope::new(bytes));
            call.envelope
                .headers
                .set("list", HeaderValue::List(vec![1.into()]));
            call.envelope.properties.fields_mut().priority = Some(3);
            call.envelope.payload.content_type = Some("a/b".into());
            let line = serde_json::to_string(&Shown::of(&call)).unwrap();
            let again = read(&line, None, &Envelope::default()).unwrap();
            assert_eq!(again.message(), call.message(), "{line}");
        }
    }

    #[test]
    fn the_command_line_wins_over_a_line() {
        let mut usual = Envelope::default();
        usual.headers.set("h", "usual");
        usual.properties.fields_mut().priority = Some(9);
        let line = r#"{"exchange": "e", "key": "k", "headers": {"h": "line"}, "properties": {"priority": 1, "app_id": "a"}}"#;
        let call = read(line, Some(Address::queue("q")), &usual).unwrap();
        assert_eq!(call.address.to_string(), "q");
        assert_eq!(call.envelope.headers.text("h"), Some("usual"));
        let fields = call.envelope.properties.fields().unwrap();
        assert_eq!(
            (fields.priority, fields.app_id.as_deref()),
            (Some(9), Some("a"))
        );
    }

    #[test]
    fn headers_are_text_unless_json_is_asked_for() {
        let check = |option: &str, name: &str, value: HeaderValue| {
            assert_eq!(parse_header(option).unwrap(), (name.to_owned(), value));
        };
        check("a=7", "a", "7".into());
        check("a=b=c", "a", "b=c".into());
        check("a:=7", "a", 7.into());
        check("a:=null", "a", HeaderValue::Null);
        assert!(parse_header("a").is_err());
        assert!(parse_header("a:=x").is_err());
    }
}
