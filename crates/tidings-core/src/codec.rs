//! From a typed message to bytes and back.
//!
//! JSON is the only format so far. It is written in one of two byte styles, because one deployed system
//! compares bytes and spells JSON its own way.

use std::{fmt, io};

use serde::{
    Deserializer, Serialize,
    de::{DeserializeOwned, DeserializeSeed, IgnoredAny, MapAccess, Visitor},
};
use serde_json::{
    ser::{CharEscape, CompactFormatter, Formatter},
    value::RawValue,
};

use crate::error::{Error, ErrorKind, Result};

/// How a message's fields become bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// JSON without spaces, UTF-8 as it is.
    #[default]
    Json,
    /// JSON as Python's `json.dumps` writes it: a space after `,` and `:`, everything beyond ASCII
    /// escaped, floats as Python's `repr`.
    PythonJson,
}

impl Format {
    /// Appends the encoded value to `out`.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if the value cannot be written in this format; `out` is then unspecified.
    pub fn encode<T: Serialize + ?Sized>(self, value: &T, out: &mut Vec<u8>) -> Result<()> {
        let written = match self {
            Self::Json => {
                value.serialize(&mut serde_json::Serializer::with_formatter(out, Compact))
            }
            Self::PythonJson => {
                value.serialize(&mut serde_json::Serializer::with_formatter(out, Python))
            }
        };
        written.map_err(|error| {
            Error::new(
                ErrorKind::Invalid,
                format!("cannot encode as JSON: {error}"),
            )
        })
    }

    /// Decodes a value.
    ///
    /// # Errors
    /// [`ErrorKind::Decode`] with the place and the reason.
    pub fn decode<T: DeserializeOwned>(self, bytes: &[u8]) -> Result<T> {
        serde_json::from_slice(bytes).map_err(|error| {
            let reason = without_values(&error.to_string());
            Error::new(
                ErrorKind::Decode,
                format!("cannot decode the message: {reason}"),
            )
        })
    }

    /// One top-level field of an encoded message, still encoded; `None` if it is not there or the
    /// bytes are no object.
    #[must_use]
    pub fn field<'a>(self, bytes: &'a [u8], name: &str) -> Option<&'a str> {
        let mut deserializer = serde_json::Deserializer::from_slice(bytes);
        let raw = deserializer.deserialize_map(Member(name)).ok().flatten()?;
        Some(raw.get())
    }
}

/// The reason without the value that caused it: reasons go to logs, payloads do not.
///
/// serde says ``invalid type: string "secret", expected u32``; the kind of value is enough.
pub(crate) fn without_values(reason: &str) -> String {
    let prefix = ["invalid type: ", "invalid value: "]
        .into_iter()
        .find(|prefix| reason.starts_with(prefix));
    let (Some(prefix), Some(expected)) = (prefix, reason.rfind(", expected ")) else {
        return reason.to_owned();
    };
    let value = &reason[prefix.len()..expected];
    let kind = value
        .split(['"', '`', '\''])
        .next()
        .unwrap_or_default()
        .trim_end();
    format!("{prefix}{kind}{}", &reason[expected..])
}

/// Reads one top-level member of a JSON object and skips the others.
struct Member<'n>(&'n str);

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(wanted) = members.next_key_seed(Named(self.0))? {
            if wanted {
                found = Some(members.next_value()?);
            } else {
                members.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// Compares a member's name without copying it.
struct Named<'n>(&'n str);

impl<'de> DeserializeSeed<'de> for Named<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, name: D) -> Result<bool, D::Error> {
        name.deserialize_str(self)
    }
}

impl Visitor<'_> for Named<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }

    fn visit_str<E>(self, name: &str) -> Result<bool, E> {
        Ok(name == self.0)
    }
}

/// The usual spelling of JSON, with the exponents of floats as deployed programs write them: `1e16`, not `1e+16`.
#[derive(Clone, Copy, Debug)]
struct Compact;

impl Formatter for Compact {
    fn write_f64<W: ?Sized + io::Write>(&mut self, out: &mut W, value: f64) -> io::Result<()> {
        let mut buffer = [0; 40];
        let float = shortest(&mut buffer, |out| CompactFormatter.write_f64(out, value))?;
        write_without_plus(out, float)
    }

    fn write_f32<W: ?Sized + io::Write>(&mut self, out: &mut W, value: f32) -> io::Result<()> {
        let mut buffer = [0; 40];
        let float = shortest(&mut buffer, |out| CompactFormatter.write_f32(out, value))?;
        write_without_plus(out, float)
    }
}

fn write_without_plus<W: ?Sized + io::Write>(out: &mut W, float: &str) -> io::Result<()> {
    let (digits, exponent) = float.split_once('+').unwrap_or((float, ""));
    out.write_all(digits.as_bytes())?;
    out.write_all(exponent.as_bytes())
}

/// The text that `write` writes, which is no longer than any float.
fn shortest(
    buffer: &mut [u8; 40],
    write: impl FnOnce(&mut &mut [u8]) -> io::Result<()>,
) -> io::Result<&str> {
    let mut rest = &mut buffer[..];
    write(&mut rest)?;
    let unused = rest.len();
    str::from_utf8(&buffer[..buffer.len() - unused]).map_err(io::Error::other)
}

/// Python's spelling of JSON.
#[derive(Clone, Copy, Debug)]
struct Python;

impl Formatter for Python {
    fn begin_array_value<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }

    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        // DEL and the first byte of everything beyond ASCII.
        while let Some(at) = rest.bytes().position(|byte| byte >= 0x7f) {
            let (plain, tail) = rest.split_at(at);
            out.write_all(plain.as_bytes())?;
            let mut chars = tail.chars();
            if let Some(c) = chars.next() {
                write_beyond_ascii(out, c)?;
            }
            rest = chars.as_str();
        }
        out.write_all(rest.as_bytes())
    }

    fn write_char_escape<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        CompactFormatter.write_char_escape(out, escape)
    }

    fn write_f64<W: ?Sized + io::Write>(&mut self, out: &mut W, value: f64) -> io::Result<()> {
        write_float(out, |out| CompactFormatter.write_f64(out, value))
    }

    fn write_f32<W: ?Sized + io::Write>(&mut self, out: &mut W, value: f32) -> io::Result<()> {
        write_float(out, |out| CompactFormatter.write_f32(out, value))
    }
}

/// `\uXXXX`, as a surrogate pair above U+FFFF. Python escapes DEL too: it keeps only space to tilde.
fn write_beyond_ascii<W: ?Sized + io::Write>(out: &mut W, c: char) -> io::Result<()> {
    for unit in c.encode_utf16(&mut [0; 2]) {
        write!(out, "\\u{unit:04x}")?;
    }
    Ok(())
}

/// Python's `repr` of a float: the shortest digits that read back equal, in scientific notation below
/// 1e-4 and from 1e16 on. Source: CPython `float_repr_style` "short", format code `r`.
///
/// The digits are those that `write` writes, not those of `{:e}`: where two are equally short and equally
/// near, Python and `serde_json` take the even one and the standard library the greater one.
fn write_float<W: ?Sized + io::Write>(
    out: &mut W,
    write: impl FnOnce(&mut &mut [u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffer = [0; 40];
    let text = shortest(&mut buffer, write)?;

    if let Some((digits, exponent)) = text.split_once('e') {
        let exponent = exponent.parse().map_err(io::Error::other)?;
        return write_scientific(out, digits, exponent);
    }
    let (sign, digits) = text
        .strip_prefix('-')
        .map_or(("", text), |digits| ("-", digits));
    match digits.strip_prefix("0.0000") {
        // The one power of ten that others still write in full.
        Some(digits) if !digits.is_empty() => {
            let (first, others) = digits.split_at(1);
            let point = if others.is_empty() { "" } else { "." };
            write_scientific(out, &format!("{sign}{first}{point}{others}"), -5)
        }
        _ => out.write_all(text.as_bytes()),
    }
}

fn write_scientific<W: ?Sized + io::Write>(
    out: &mut W,
    digits: &str,
    exponent: i32,
) -> io::Result<()> {
    let sign = if exponent < 0 { '-' } else { '+' };
    write!(out, "{digits}e{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &impl Serialize, expected: &str) {
        let mut out = Vec::new();
        Format::PythonJson.encode(value, &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn spells_floats_as_python_does() {
        check(&1.0, "1.0");
        check(&1e16, "1e+16");
        check(&1e15, "1000000000000000.0");
        check(&1e-7, "1e-07");
        check(&0.0001, "0.0001");
        check(&0.000_01, "1e-05");
        check(&-0.0, "-0.0");
        check(&1.5e300, "1.5e+300");
        check(&(0.1 + 0.2), "0.30000000000000004");
    }

    #[test]
    fn spells_floats_without_a_plus_elsewhere() {
        let floats = [1.0, 1e15, 1e16, -1.5e300, 1e-7, 0.1 + 0.2];
        let mut out = Vec::new();
        Format::Json.encode(&(floats, 1e20_f32), &mut out).unwrap();
        let expected = "[[1.0,1000000000000000.0,1e16,-1.5e300,1e-7,0.30000000000000004],1e20]";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn escapes_everything_beyond_ascii() {
        check(
            &"ñ€😀/\"\\\u{2028}\u{1}\u{7f}\n",
            "\"\\u00f1\\u20ac\\ud83d\\ude00/\\\"\\\\\\u2028\\u0001\\u007f\\n\"",
        );
    }

    #[test]
    fn reasons_do_not_quote_the_payload() {
        let reason = Format::Json
            .decode::<u32>(br#""top, expected secret""#)
            .unwrap_err()
            .to_string();
        assert_eq!(
            reason,
            "cannot decode the message: invalid type: string, expected u32 at line 1 column 22"
        );
        let reason = Format::Json
            .decode::<String>(b"4711")
            .unwrap_err()
            .to_string();
        assert!(reason.contains("integer, expected a string"), "{reason}");
        let reason = Format::Json
            .decode::<Vec<u8>>(b"[")
            .unwrap_err()
            .to_string();
        assert!(reason.contains("EOF"), "{reason}");
    }

    #[test]
    fn finds_one_field_and_skips_the_rest() {
        let bytes = br#"{"a": {"id": 1}, "id": "x", "b": [1]}"#;
        assert_eq!(Format::Json.field(bytes, "id"), Some("\"x\""));
        assert_eq!(Format::Json.field(bytes, "c"), None);
        assert_eq!(Format::Json.field(b"[1]", "id"), None);
    }

    #[test]
    fn separates_with_one_space() {
        check(
            &serde_json::json!({"b": [1, null], "a": {}, "c": []}),
            r#"{"b": [1, null], "a": {}, "c": []}"#,
        );
    }
}
