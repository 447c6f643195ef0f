//! Reads the usual message in one go: every member there, in the wire's order and style, nothing escaped outside the fields.
//!
//! Nearly all messages are like this, because it is what every known publisher writes. At the first surprise
//! this reader answers `None`, never an error, and [`decode`](super::decode) reads from the beginning. So the
//! usual message costs a third of the instructions, and what is accepted, refused and said about it is decided
//! in one place.

use std::borrow::Cow;

use jiff::Timestamp;
use tidings_core::convention::Opened;
use uuid::Uuid;

use super::{quoted, scan::Scanner, time};

/// The length of a UUID with hyphens.
const ID: usize = 36;
/// All that there is before the id.
const START: &str = r#"{"data": {"id": ""#;

/// Reads a message that is as usual. `None` says nothing but that it is not.
pub(super) fn read(bytes: &[u8]) -> Option<Opened<'_>> {
    if !bytes.starts_with(START.as_bytes()) {
        return None;
    }
    let mut page = Page(str::from_utf8(bytes).ok()?);
    page.skip(START)?;
    let id = page.id()?;
    page.skip(r#"", "type": ""#)?;
    let name = page.plain()?;
    page.skip(r#"", "type_message": ""#)?;
    let kind = page.plain()?;
    page.skip(r#"", "version": "#)?;
    let version = page.version()?;
    page.skip(r#", "occurred_on": ""#)?;
    let occurred_at = page.time()?;
    page.skip(r#"", "attributes": "#)?;
    let attributes = page.object()?;
    page.skip(r#", "meta": "#)?;
    let meta = page.object()?;
    page.skip("}}")?;
    page.0.is_empty().then_some(Opened {
        id: Cow::Borrowed(id),
        name: Cow::Borrowed(name),
        version,
        kind: Cow::Borrowed(kind),
        occurred_at,
        meta: Cow::Borrowed(meta),
        body: Cow::Borrowed(attributes.as_bytes()),
    })
}

/// What has not been read yet.
struct Page<'a>(&'a str);

impl<'a> Page<'a> {
    /// Takes exactly this.
    #[inline]
    fn skip(&mut self, expected: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(expected)?;
        Some(())
    }

    /// Takes so many bytes.
    fn take(&mut self, length: usize) -> Option<&'a str> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn id(&mut self) -> Option<&'a str> {
        let id = self.take(ID)?;
        Uuid::try_parse(id).is_ok().then_some(id)
    }

    /// Takes what needs no attention in a text. The quote after it is the caller's.
    fn plain(&mut self) -> Option<&'a str> {
        self.take(quoted::plain(self.0.as_bytes()))
    }

    fn version(&mut self) -> Option<i64> {
        let digits = self.0.bytes().take_while(u8::is_ascii_digit).count();
        let digits = self.take(digits)?;
        if digits.len() > 1 && digits.starts_with('0') {
            // JSON has no such number.
            return None;
        }
        digits.parse().ok()
    }

    fn time(&mut self) -> Option<Timestamp> {
        let time = self.take(time::FULL)?;
        time::read_full(time.as_bytes().try_into().ok()?)
    }

    /// Takes an object that every JSON reader accepts.
    fn object(&mut self) -> Option<&'a str> {
        if self.0.starts_with("{}") {
            return self.take(2);
        }
        if !self.0.starts_with('{') {
            return None;
        }
        let mut scanner = Scanner::new(self.0);
        scanner.value().ok()?;
        if !scanner.fixes.is_empty() {
            return None;
        }
        self.take(scanner.at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};
    use serde_json::{Value, json};
    use tidings_core::codec::Format;

    use super::{super::decode, *};

    const USUAL: &str = concat!(
        r#"{"data": {"id": "3b1c1a52-7b0c-4f63-9f7b-0a2f5b8d5f10", "type": "user.created", "#,
        r#""type_message": "domain_event", "version": 10, "occurred_on": "2024-02-29 23:59:59.123456", "#,
        r#""attributes": {"a": [1, -2.5e3, "\u00e9\\ é"], "b": {}}, "meta": {"c": null}}}"#
    );

    /// What is read here is read the same in general.
    fn check(bytes: &[u8]) -> Result<(), TestCaseError> {
        if let Some(usual) = read(bytes) {
            let general = decode::any(bytes, None, || Timestamp::UNIX_EPOCH);
            let text = String::from_utf8_lossy(bytes);
            let general =
                general.map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?;
            prop_assert_eq!(format!("{usual:?}"), format!("{general:?}"), "{}", text);
        }
        Ok(())
    }

    fn json(value: &Value) -> String {
        let mut out = Vec::new();
        Format::PythonJson.encode(value, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn knows_the_usual_message() {
        let opened = read(USUAL.as_bytes()).unwrap();
        assert_eq!(
            (&*opened.name, &*opened.kind, opened.version),
            ("user.created", "domain_event", 10)
        );
        assert_eq!(
            opened.occurred_at.to_string(),
            "2024-02-29T23:59:59.123456Z"
        );
        assert_eq!(opened.meta, r#"{"c": null}"#);
        check(USUAL.as_bytes()).unwrap();
    }

    #[test]
    fn agrees_on_every_small_change_of_the_usual_message() {
        let bytes = USUAL.as_bytes();
        for at in 0..=bytes.len() {
            let (before, after) = bytes.split_at(at);
            let rest = after.get(1..).unwrap_or_default();
            check(&[before, rest].concat()).unwrap();
            for byte in *b"{}[]\",:\\/u09d-+.eENI \n\x00\x1f\x7f\x80\xc3" {
                check(&[before, &[byte], after].concat()).unwrap();
                check(&[before, &[byte], rest].concat()).unwrap();
            }
        }
    }

    #[test]
    fn leaves_what_needs_a_closer_look() {
        for (what, with) in [
            ("3b1c1a52-7b0c", "3B1C1A52-7b0x"),
            ("user.created", r"us\u0065r"),
            ("\"version\": 10", "\"version\": 010"),
            ("\"version\": 10", "\"version\": -1"),
            ("\"version\": 10", "\"version\": 9223372036854775808"),
            ("\"version\": 10", "\"version\": "),
            ("02-29", "02-30"),
            ("59.123456", "60.123456"),
            (".123456", ".12345"),
            ("-2.5e3", "NaN"),
            (r"\u00e9", r"\ud800"),
            (r#"{"c": null}"#, "null"),
            ("}}}", "}}} "),
        ] {
            let changed = USUAL.replacen(what, with, 1);
            assert_ne!(changed, USUAL, "{what}");
            assert!(read(changed.as_bytes()).is_none(), "{changed}");
        }
    }

    proptest! {
        #[test]
        fn knows_and_agrees_on_what_is_written(
            id in any::<u128>(),
            name in "[^\"\\\\\\x00-\\x1f]{0,40}",
            version in 0..=i64::MAX,
            micros in -62_135_596_800_000_000_i64..253_402_207_200_000_000,
            fields in vec((".{0,9}", prop_oneof![
                any::<i64>().prop_map(Value::from),
                any::<f64>().prop_map(Value::from),
                ".{0,20}".prop_map(Value::from),
                vec(any::<bool>(), 0..3).prop_map(|list| json!([{"list": list}])),
            ]), 0..4),
        ) {
            let fields = json(&Value::Object(fields.into_iter().collect()));
            let at = super::super::format_time(Timestamp::from_microsecond(micros).unwrap());
            let id = Uuid::from_u128(id);
            let text = format!(
                r#"{{"data": {{"id": "{id}", "type": "{name}", "type_message": "command", "version": {version}, "occurred_on": "{at}", "attributes": {fields}, "meta": {fields}}}}}"#
            );
            prop_assert!(read(text.as_bytes()).is_some(), "{}", text);
            check(text.as_bytes())?;
        }

        #[test]
        fn agrees_on_many_changes(
            edits in vec((0..USUAL.len(), prop_oneof![any::<u8>(), select(USUAL.as_bytes())]), 1..6),
        ) {
            let mut bytes = USUAL.as_bytes().to_vec();
            for (at, byte) in edits {
                bytes[at] = byte;
            }
            check(&bytes)?;
        }

        #[test]
        fn agrees_on_anything(parts in vec(prop_oneof![
            any::<u8>().prop_map(|byte| vec![byte]),
            (0..USUAL.len(), 0..USUAL.len())
                .prop_map(|(from, to)| USUAL.as_bytes()[from.min(to)..from.max(to)].to_vec()),
        ], 0..5)) {
            check(&parts.concat())?;
            check(&[START.as_bytes(), &parts.concat()].concat())?;
        }
    }
}
