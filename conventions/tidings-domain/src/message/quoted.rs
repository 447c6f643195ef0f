//! Finds where a text in quotes ends: plain bytes eight at a time, escapes one by one.
//!
//! Most bytes of most messages are in quotes, so this is where reading spends its time. It does not undo
//! escapes; who needs the content does.

use super::scan::{Scan, Scanner};

const WORD: usize = size_of::<u64>();
const ONES: u64 = u64::MAX / 0xff;
const HIGHS: u64 = ONES << 7;

/// How many of the first bytes need no attention in a text: all but quotes, backslashes and control characters.
pub(super) fn plain(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks::<WORD>();
    for (index, word) in words.iter().enumerate() {
        let marks = marks(u64::from_le_bytes(*word));
        if marks != 0 {
            return index * WORD + marks.trailing_zeros() as usize / 8;
        }
    }
    let plain = rest.iter().take_while(|byte| is_plain(**byte)).count();
    words.len() * WORD + plain
}

/// A word that is zero if all of its bytes are plain. Else its lowest bit is in the first that is not; above
/// that the borrows of the subtractions may mark others by mistake.
fn marks(word: u64) -> u64 {
    // Without their second bit, quotes come right after the control characters, so one comparison finds both.
    let below = (word ^ (ONES * 0x02)).wrapping_sub(ONES * 0x21);
    let backslashes = (word ^ (ONES * u64::from(b'\\'))).wrapping_sub(ONES);
    // What has its highest bit from the beginning has not got it from a subtraction.
    (below | backslashes) & !word & HIGHS
}

fn is_plain(byte: u8) -> bool {
    !matches!(byte, ..0x20 | b'"' | b'\\')
}

impl Scanner<'_> {
    /// Reads a text, beginning at its opening quote.
    #[inline]
    pub(super) fn string(&mut self) -> Scan {
        self.at += 1;
        self.at += plain(self.rest());
        if self.peek() == Some(b'"') {
            self.at += 1;
            return Ok(());
        }
        self.rest_of_string()
    }

    /// Reads on from the first byte that is not plain.
    fn rest_of_string(&mut self) -> Scan {
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                Some(_) => return self.wrong("an escape instead of a control character"),
                None => return self.wrong("the closing quote of a text"),
            }
            self.at += plain(self.rest());
        }
    }

    fn escape(&mut self) -> Scan {
        match self.rest().get(1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            Some(b'u') => self.unicode(),
            _ => self.wrong("one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u"),
        }
    }

    /// Reads `\uXXXX`, and the other half if it is half a pair.
    fn unicode(&mut self) -> Scan {
        let Some(unit) = hex(self.rest()) else {
            return self.wrong("four hexadecimal digits after \\u");
        };
        let start = self.at;
        self.at += 6;
        if !(0xd800..0xe000).contains(&unit) {
            return Ok(());
        }
        let second = hex(self.rest()).filter(|unit| (0xdc00..0xe000).contains(unit));
        if unit < 0xdc00 && second.is_some() {
            self.at += 6;
            return Ok(());
        }
        self.fix(start, "\\ufffd");
        Ok(())
    }
}

/// The unit of a `\uXXXX` at the beginning of `bytes`.
fn hex(bytes: &[u8]) -> Option<u32> {
    let [b'\\', b'u', digits @ ..] = bytes else {
        return None;
    };
    digits.get(..4)?.iter().try_fold(0, |unit, digit| {
        Some(unit * 16 + char::from(*digit).to_digit(16)?)
    })
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;

    #[test]
    fn stops_at_each_byte_that_needs_attention_and_no_other() {
        for byte in 0..=u8::MAX {
            for at in 0..2 * WORD + 1 {
                let mut bytes = [b'a'; 2 * WORD + 1];
                bytes[at] = byte;
                let expected = if is_plain(byte) { bytes.len() } else { at };
                assert_eq!(plain(&bytes), expected, "{byte:#x} at {at}");
            }
        }
    }

    proptest! {
        #[test]
        fn finds_the_first_of_many(
            bytes in vec(prop_oneof![any::<u8>(), select(&b"\x00\x1f\x20\x21\x22\x23\x5b\x5c\x5d\x7f\x80\xa2\xdc\xff"[..])], 0..40),
        ) {
            let expected = bytes.iter().position(|byte| !is_plain(*byte));
            prop_assert_eq!(plain(&bytes), expected.unwrap_or(bytes.len()));
        }
    }
}
