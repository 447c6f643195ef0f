//! Reads a message: which members count, what they may be, and what stands for one that is missing.
//!
//! Every refusal names the member, what it is and what is expected, because it becomes the reason of a dead letter.

use std::borrow::Cow;

use jiff::Timestamp;
use tidings_core::{
    Kind,
    codec::Format,
    convention::Opened,
    error::{Error, ErrorKind, Result},
};
use uuid::Uuid;

use super::{
    quoted,
    scan::{Expected, Fix, Scan, Scanner, Span},
    text, time, usual,
};
use crate::names;

/// Reads the bytes of a message. `expected` and `now` stand in for what it does not say.
pub(crate) fn decode(
    bytes: &[u8],
    expected: Option<Kind>,
    now: impl Fn() -> Timestamp,
) -> Result<Opened<'_>> {
    match usual::read(bytes) {
        Some(opened) => Ok(opened),
        None => any(bytes, expected, now),
    }
}

/// Reads what [`usual::read`] leaves to it, which may be everything.
pub(super) fn any(
    bytes: &[u8],
    expected: Option<Kind>,
    now: impl Fn() -> Timestamp,
) -> Result<Opened<'_>> {
    match text::decode(bytes)? {
        Cow::Borrowed(text) => read(text, expected, now),
        Cow::Owned(text) => read(&text, expected, now).map(into_owned),
    }
}

fn read(text: &str, expected: Option<Kind>, now: impl Fn() -> Timestamp) -> Result<Opened<'_>> {
    let mut scanner = Scanner::new(text);
    let data = body(&mut scanner)
        .and_then(|data| scanner.end().map(|()| data))
        .map_err(|expected| not_json(text, scanner.at, expected))?;
    let page = Page {
        text,
        fixes: scanner.fixes,
    };
    let members = match data {
        Data::Members(members) => members,
        Data::Missing => return Err(refuse("data", "missing", "an object")),
        Data::Other(span) => return Err(refuse("data", &page.what(span), "an object")),
        Data::NoObject(span) => {
            let what = page.what(span);
            let context = format!("the body is {what}: expected an object with the member `data`");
            return Err(Error::new(ErrorKind::Decode, context));
        }
    };
    Ok(Opened {
        id: page.id(members.id)?,
        name: members
            .name
            .map_or(Cow::Borrowed("None"), |name| page.text_of(name)),
        version: members
            .version
            .map_or(Ok(1), |version| page.version(version))?,
        kind: members
            .kind
            .map_or(Cow::Borrowed(names::type_message(expected)), |kind| {
                page.text_of(kind)
            }),
        occurred_at: page.occurred_on(members.occurred_on, now)?,
        meta: members
            .meta
            .map_or(Cow::Borrowed("{}"), |meta| page.portable(meta)),
        body: page.attributes(members.attributes)?,
    })
}

/// What the member `data` is.
enum Data {
    Missing,
    Members(Members),
    Other(Span),
    NoObject(Span),
}

/// Where the members of `data` are. Of duplicates the last one counts.
#[derive(Default)]
struct Members {
    id: Option<Span>,
    name: Option<Span>,
    kind: Option<Span>,
    version: Option<Span>,
    occurred_on: Option<Span>,
    attributes: Option<Span>,
    meta: Option<Span>,
}

fn body(scanner: &mut Scanner<'_>) -> Scan<Data> {
    if scanner.upcoming() != Some(b'{') {
        return scanner.value().map(Data::NoObject);
    }
    let mut data = Data::Missing;
    scanner.object(|scanner, key| {
        if *unescaped(key) == *"data" {
            data = members(scanner)?;
        } else {
            scanner.value()?;
        }
        Ok(())
    })?;
    Ok(data)
}

fn members(scanner: &mut Scanner<'_>) -> Scan<Data> {
    if scanner.upcoming() != Some(b'{') {
        return scanner.value().map(Data::Other);
    }
    let mut members = Members::default();
    scanner.object(|scanner, key| {
        let value = scanner.value()?;
        match unescaped(key).as_ref() {
            "id" => members.id = Some(value),
            "type" => members.name = Some(value),
            "type_message" => members.kind = Some(value),
            "version" => members.version = Some(value),
            "occurred_on" => members.occurred_on = Some(value),
            "attributes" => members.attributes = Some(value),
            "meta" => members.meta = Some(value),
            _ => {}
        }
        Ok(())
    })?;
    Ok(Data::Members(members))
}

/// A scanned text.
struct Page<'a> {
    text: &'a str,
    fixes: Vec<Fix>,
}

impl<'a> Page<'a> {
    fn raw(&self, span: Span) -> &'a str {
        &self.text[span.range()]
    }

    /// The value as JSON that every reader accepts.
    fn portable(&self, span: Span) -> Cow<'a, str> {
        if self.fixes.is_empty() {
            return Cow::Borrowed(self.raw(span));
        }
        let first = self.fixes.partition_point(|fix| fix.at.start < span.start);
        let inside = self.fixes[first..]
            .iter()
            .take_while(|fix| fix.at.end <= span.end);
        let mut text = String::new();
        let mut from = span.start;
        for fix in inside {
            text.push_str(&self.text[from..fix.at.start]);
            text.push_str(fix.with);
            from = fix.at.end;
        }
        if from == span.start {
            return Cow::Borrowed(self.raw(span));
        }
        text.push_str(&self.text[from..span.end]);
        Cow::Owned(text)
    }

    /// The content of a text.
    fn string(&self, span: Span) -> Cow<'a, str> {
        match self.portable(span) {
            Cow::Borrowed(quoted) => unescaped(&quoted[1..quoted.len() - 1]),
            Cow::Owned(quoted) => Cow::Owned(unescaped(&quoted[1..quoted.len() - 1]).into_owned()),
        }
    }

    /// Any value as text, as Python writes it; lists and objects as their JSON.
    fn text_of(&self, span: Span) -> Cow<'a, str> {
        let raw = self.raw(span);
        match raw {
            _ if raw.starts_with('"') => self.string(span),
            "null" => Cow::Borrowed("None"),
            "true" => Cow::Borrowed("True"),
            "false" => Cow::Borrowed("False"),
            "NaN" => Cow::Borrowed("nan"),
            "Infinity" => Cow::Borrowed("inf"),
            "-Infinity" => Cow::Borrowed("-inf"),
            "-0" => Cow::Borrowed("0"),
            _ if raw.starts_with(['[', '{']) || !raw.contains(['.', 'e', 'E']) => {
                Cow::Borrowed(raw)
            }
            _ => python_float(raw),
        }
    }

    fn id(&self, span: Option<Span>) -> Result<Cow<'a, str>> {
        let Some(span) = span.filter(|span| !self.is_falsy(*span)) else {
            return Ok(Cow::Owned(Uuid::new_v4().to_string()));
        };
        if self.raw(span).starts_with('"') {
            let id = self.string(span);
            if Uuid::try_parse(&id).is_ok() {
                return Ok(id);
            }
        }
        Err(refuse("data.id", &self.what(span), "a UUID"))
    }

    fn version(&self, span: Span) -> Result<i64> {
        let raw = self.raw(span);
        let version = match raw {
            "true" => Some(1),
            "false" => Some(0),
            _ if raw.starts_with('"') => integer(&self.string(span)),
            _ if raw.starts_with(['[', '{']) => None,
            _ => raw.parse().ok().or_else(|| truncated(raw)),
        };
        version.ok_or_else(|| {
            refuse(
                "data.version",
                &self.what(span),
                "an integer of at most 64 bits",
            )
        })
    }

    fn occurred_on(&self, span: Option<Span>, now: impl Fn() -> Timestamp) -> Result<Timestamp> {
        let Some(span) = span.filter(|span| !self.is_falsy(*span)) else {
            return Ok(now());
        };
        if self.raw(span).starts_with('"')
            && let Some(time) = time::read(&self.string(span))
        {
            return Ok(time);
        }
        Err(refuse("data.occurred_on", &self.what(span), time::EXPECTED))
    }

    fn attributes(&self, span: Option<Span>) -> Result<Cow<'a, [u8]>> {
        let Some(span) = span.filter(|span| self.raw(*span) != "null") else {
            return Ok(Cow::Borrowed(b"{}"));
        };
        if !self.raw(span).starts_with('{') {
            return Err(refuse("data.attributes", &self.what(span), "an object"));
        }
        Ok(match self.portable(span) {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        })
    }

    /// Whether a value counts as missing.
    fn is_falsy(&self, span: Span) -> bool {
        matches!(
            self.raw(span),
            "null" | "\"\"" | "0" | "-0" | "0.0" | "-0.0"
        )
    }

    /// What a value is, in words, for errors. Never the value itself: errors are logged, payloads are not.
    fn what(&self, span: Span) -> String {
        let raw = self.raw(span);
        match raw.as_bytes().first() {
            Some(b'{') => "an object".to_owned(),
            Some(b'[') => "a list".to_owned(),
            Some(b'"') => format!("a text of {} bytes", raw.len().saturating_sub(2)),
            Some(b'-' | b'0'..=b'9') => "a number".to_owned(),
            _ => raw.chars().take(8).collect(),
        }
    }
}

/// The content of a text, given what is between its quotes. Only escapes make a copy.
fn unescaped(inner: &str) -> Cow<'_, str> {
    if quoted::plain(inner.as_bytes()) == inner.len() {
        return Cow::Borrowed(inner);
    }
    // Keys are not fixed, so half a surrogate pair can still be in one: it is then no name that we know.
    serde_json::from_str(&format!("\"{inner}\"")).map_or(Cow::Borrowed(inner), Cow::Owned)
}

/// An integer as Python reads it from text: space around it, a sign, single underscores between digits.
fn integer(text: &str) -> Option<i64> {
    let text = text.trim();
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty()
        || digits
            .split('_')
            .any(|part| part.is_empty() || !part.bytes().all(|b| b.is_ascii_digit()))
    {
        return None;
    }
    text.replace('_', "").parse().ok()
}

/// A float without its fraction.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the bound is checked, and dropping the fraction is the purpose"
)]
fn truncated(raw: &str) -> Option<i64> {
    const BOUND: f64 = 9_223_372_036_854_775_808.0;
    let value: f64 = raw.contains(['.', 'e', 'E']).then(|| raw.parse().ok())??;
    (value.abs() < BOUND).then_some(value as i64)
}

fn python_float(raw: &str) -> Cow<'_, str> {
    let value: f64 = raw.parse().unwrap_or(f64::INFINITY);
    let mut out = Vec::new();
    if value.is_infinite() || Format::PythonJson.encode(&value, &mut out).is_err() {
        return Cow::Borrowed(if value < 0.0 { "-inf" } else { "inf" });
    }
    String::from_utf8(out).map_or(Cow::Borrowed(raw), Cow::Owned)
}

fn refuse(member: &str, what: &str, expected: &str) -> Error {
    let context = format!("member `{member}` is {what}: expected {expected}");
    Error::new(ErrorKind::Decode, context)
}

fn not_json(text: &str, at: usize, Expected(expected): Expected) -> Error {
    let found = match text.get(at..).and_then(|rest| rest.chars().next()) {
        Some(c) => format!("found {c:?}"),
        None => "it ends there".to_owned(),
    };
    let what = if text.is_empty() {
        "empty, not JSON"
    } else {
        "not JSON"
    };
    let context = format!("the body is {what}: expected {expected} at byte {at}, {found}");
    Error::new(ErrorKind::Decode, context)
}

fn into_owned(opened: Opened<'_>) -> Opened<'static> {
    Opened {
        id: Cow::Owned(opened.id.into_owned()),
        name: Cow::Owned(opened.name.into_owned()),
        version: opened.version,
        kind: Cow::Owned(opened.kind.into_owned()),
        occurred_at: opened.occurred_at,
        meta: Cow::Owned(opened.meta.into_owned()),
        body: Cow::Owned(opened.body.into_owned()),
    }
}
