//! What deployed readers take for a token: they skip whatever is no letter of base64, and stop at its padding.
//!
//! A request whose token ends in a line break is understood by them, so it is by us. Cryptography is not done here.

use base64::{
    Engine,
    alphabet::URL_SAFE as ALPHABET,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::URL_SAFE},
};
use fernet::Fernet;

/// As forgiving as Python's: the last letter may have bits that stand for nothing.
const FORGIVING: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

/// The first byte of every token.
const VERSION: u8 = 0x80;
/// Version, time, initialisation vector.
const HEAD: usize = 1 + 8 + 16;
/// What the contents are encrypted in.
const BLOCK: usize = 16;
/// The seal at the end.
const SEAL: usize = 32;

/// A text that can be nothing but a token, as far as its bytes go.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Token {
    /// As it would be written by anybody.
    pub(super) canonical: String,
    /// When it says that it was made, in seconds since the Unix epoch.
    pub(super) made_at: u64,
    /// Whether nobody would write such a text by chance: it is spelt as tokens are, and made in this or the next
    /// century.
    pub(super) is_evident: bool,
}

impl Token {
    pub(super) fn read(text: &str) -> Option<Self> {
        // 100 letters are the shortest token. The first look costs nothing, and nearly all texts fail it.
        let first = text.bytes().find(is_letter);
        if text.len() < 100 || first != Some(b'g') {
            return None;
        }
        let bytes = decode(text)?;
        let made_at = bytes.get(1..9)?.try_into().ok().map(u64::from_be_bytes)?;
        let contents = bytes.len().checked_sub(HEAD + SEAL)?;
        if bytes[0] != VERSION || contents == 0 || !contents.is_multiple_of(BLOCK) {
            return None;
        }
        let canonical = URL_SAFE.encode(&bytes);
        let is_evident = made_at <= u64::from(u32::MAX) && canonical == text;
        Some(Self {
            canonical,
            made_at,
            is_evident,
        })
    }
}

/// A key, read in the same way.
pub(super) fn key(text: &str) -> Option<Fernet> {
    let bytes = decode(text)?;
    if bytes.len() != 32 {
        return None;
    }
    Fernet::new(&URL_SAFE.encode(bytes))
}

/// The bytes of base64 with anything in between; `None` if it ends in the middle of a group.
fn decode(text: &str) -> Option<Vec<u8>> {
    let mut letters = Vec::with_capacity(text.len());
    let mut padding = 0;
    for byte in text.bytes() {
        let within = letters.len() % 4;
        match byte {
            b'=' if within >= 2 => {
                padding += 1;
                if within + padding >= 4 {
                    return FORGIVING.decode(letters).ok();
                }
            }
            b'=' => {}
            _ if is_letter(&byte) => {
                padding = 0;
                letters.push(match byte {
                    b'+' => b'-',
                    b'/' => b'_',
                    letter => letter,
                });
            }
            _ => {}
        }
    }
    letters
        .len()
        .is_multiple_of(4)
        .then(|| FORGIVING.decode(letters).ok())?
}

fn is_letter(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'+' | b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_text_is_no_token() {
        let long = "g".repeat(4_000);
        for text in [
            "",
            "g",
            "gAAAAAB",
            "correct horse",
            "=",
            "====",
            long.as_str(),
        ] {
            assert_eq!(Token::read(text), None, "{text}");
        }
    }

    #[test]
    fn a_group_may_be_interrupted_and_must_be_complete() {
        assert_eq!(decode("AQ ID").as_deref(), Some(&[1, 2, 3][..]));
        assert_eq!(decode("AQ\u{e9}==").as_deref(), Some(&[1][..]));
        assert_eq!(decode("AQ="), None);
        assert_eq!(decode("AQI"), None);
        assert_eq!(decode("A==="), None);
    }
}
