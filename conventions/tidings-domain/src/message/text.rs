//! From bytes to text: UTF-8, UTF-16 and UTF-32, told apart as Python's `json.loads` does.
//!
//! Messages in anything but plain UTF-8 are rare; only they are copied.

use std::borrow::Cow;

use tidings_core::error::{Error, ErrorKind, Result};

/// The text of a body.
pub(super) fn decode(bytes: &[u8]) -> Result<Cow<'_, str>> {
    match encoding(bytes) {
        Encoding::Utf8 { skip } => utf8(&bytes[skip..]).map(Cow::Borrowed),
        Encoding::Utf16 { skip, unit } => utf16(&bytes[skip..], unit).map(Cow::Owned),
        Encoding::Utf32 { skip, unit } => utf32(&bytes[skip..], unit).map(Cow::Owned),
    }
}

enum Encoding {
    Utf8 {
        skip: usize,
    },
    Utf16 {
        skip: usize,
        unit: fn([u8; 2]) -> u16,
    },
    Utf32 {
        skip: usize,
        unit: fn([u8; 4]) -> u32,
    },
}

/// By the byte order mark, else by the zero bytes that ASCII leaves in wider encodings.
fn encoding(bytes: &[u8]) -> Encoding {
    let (little16, big16) = (u16::from_le_bytes, u16::from_be_bytes);
    let (little32, big32) = (u32::from_le_bytes, u32::from_be_bytes);
    match bytes {
        [0, 0, 0xfe, 0xff, ..] => Encoding::Utf32 {
            skip: 4,
            unit: big32,
        },
        [0xff, 0xfe, 0, 0, ..] => Encoding::Utf32 {
            skip: 4,
            unit: little32,
        },
        [0xfe, 0xff, ..] => Encoding::Utf16 {
            skip: 2,
            unit: big16,
        },
        [0xff, 0xfe, ..] => Encoding::Utf16 {
            skip: 2,
            unit: little16,
        },
        [0xef, 0xbb, 0xbf, ..] => Encoding::Utf8 { skip: 3 },
        [0, 0, _, _, ..] => Encoding::Utf32 {
            skip: 0,
            unit: big32,
        },
        [0, _, _, _, ..] | [0, _] => Encoding::Utf16 {
            skip: 0,
            unit: big16,
        },
        [_, 0, 0, 0, ..] => Encoding::Utf32 {
            skip: 0,
            unit: little32,
        },
        [_, 0, _, _, ..] | [_, 0] => Encoding::Utf16 {
            skip: 0,
            unit: little16,
        },
        _ => Encoding::Utf8 { skip: 0 },
    }
}

fn utf8(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|error| not_text("UTF-8", error.valid_up_to()))
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String> {
    let (units, rest) = bytes.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(not_text("UTF-16", bytes.len() - rest.len()));
    }
    let mut text = String::with_capacity(units.len());
    for c in char::decode_utf16(units.iter().map(|bytes| unit(*bytes))) {
        text.push(c.map_err(|_| not_text("UTF-16", text.len()))?);
    }
    Ok(text)
}

fn utf32(bytes: &[u8], unit: fn([u8; 4]) -> u32) -> Result<String> {
    let (units, rest) = bytes.as_chunks::<4>();
    let text: Option<String> = units
        .iter()
        .map(|bytes| char::from_u32(unit(*bytes)))
        .collect();
    match text {
        Some(text) if rest.is_empty() => Ok(text),
        _ => Err(not_text("UTF-32", bytes.len() - rest.len())),
    }
}

fn not_text(encoding: &str, at: usize) -> Error {
    let context = format!("the body is not {encoding} text (near byte {at}): expected JSON");
    Error::new(ErrorKind::Decode, context)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], expected: Option<&str>) {
        assert_eq!(decode(bytes).ok().as_deref(), expected, "{bytes:x?}");
    }

    #[test]
    fn tells_encodings_apart() {
        let text = "{\"é😀\": 1}";
        let wide: Vec<u16> = text.encode_utf16().collect();
        let big: Vec<u8> = wide.iter().flat_map(|unit| unit.to_be_bytes()).collect();
        let little: Vec<u8> = wide.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let wider: Vec<u8> = text
            .chars()
            .flat_map(|c| u32::from(c).to_be_bytes())
            .collect();
        let widest: Vec<u8> = text
            .chars()
            .flat_map(|c| u32::from(c).to_le_bytes())
            .collect();
        for bytes in [text.as_bytes(), &big, &little, &wider, &widest] {
            check(bytes, Some(text));
        }
        check(&[&[0xef, 0xbb, 0xbf], text.as_bytes()].concat(), Some(text));
        check(&[&[0xfe, 0xff], big.as_slice()].concat(), Some(text));
        check(&[&[0xff, 0xfe], little.as_slice()].concat(), Some(text));
        check(
            &[&[0, 0, 0xfe, 0xff], wider.as_slice()].concat(),
            Some(text),
        );
        check(
            &[&[0xff, 0xfe, 0, 0], widest.as_slice()].concat(),
            Some(text),
        );
    }

    #[test]
    fn refuses_what_is_no_text() {
        check(b"{\"x\": \"\xe9\"}", None);
        check(&[0xfe, 0xff, 0, b'{', 0], None);
        check(&[b'{', 0, 0xd8, 0xdc, 0, 0xdc], None);
        check(&[0, 0, 0, b'{', 0xff], None);
        check(&[0, 0, 0, b'{', 0xff, 0xff, 0xff, 0xff], None);
        check(b"", Some(""));
    }
}
