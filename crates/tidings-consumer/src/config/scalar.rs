//! What a word without quotes means: as PyYAML's safe loader resolves it, which follows YAML 1.1.
//!
//! `yes` and `off` are booleans, `012` is ten, `1:30` is ninety. Nobody wants most of it; but a file is read by deployed
//! consumers as well, and must mean the same to both.

use super::node::Scalar;

/// What a scalar is to Python.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning<'a> {
    Null,
    Bool(bool),
    /// Beyond 64 bits nothing that we read has a meaning.
    Int(Option<i64>),
    Float,
    Text(&'a str),
}

impl Scalar {
    /// What it is to Python.
    pub(super) fn meaning(&self) -> Meaning<'_> {
        if self.plain {
            resolve(&self.text)
        } else {
            Meaning::Text(&self.text)
        }
    }
}

pub(super) fn resolve(text: &str) -> Meaning<'_> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Meaning::Null,
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Meaning::Bool(true);
        }
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Meaning::Bool(false);
        }
        _ => {}
    }
    match text.as_bytes()[0] {
        b'0'..=b'9' | b'+' | b'-' | b'.' => {}
        _ => return Meaning::Text(text),
    }
    if is_int(text) {
        Meaning::Int(int(text))
    } else if is_float(text) {
        Meaning::Float
    } else {
        Meaning::Text(text)
    }
}

fn unsigned(text: &str) -> &str {
    text.strip_prefix(['-', '+']).unwrap_or(text)
}

fn all(text: &str, allowed: impl Fn(u8) -> bool) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte == b'_' || allowed(byte))
}

fn is_int(text: &str) -> bool {
    let digits = unsigned(text);
    if let Some(binary) = digits.strip_prefix("0b") {
        return all(binary, |byte| matches!(byte, b'0' | b'1'));
    }
    if let Some(hex) = digits.strip_prefix("0x") {
        return all(hex, |byte| byte.is_ascii_hexdigit());
    }
    if let Some(octal) = digits.strip_prefix('0') {
        return octal.is_empty() || all(octal, |byte| matches!(byte, b'0'..=b'7'));
    }
    let (first, rest) = digits.split_once(':').unwrap_or((digits, "0"));
    starts_with_digit(first)
        && all(first, |byte| byte.is_ascii_digit())
        && rest.split(':').all(is_sixtieth)
}

/// One place of a number to the base of sixty.
fn is_sixtieth(place: &str) -> bool {
    matches!(place.len(), 1 | 2)
        && place.bytes().all(|byte| byte.is_ascii_digit())
        && place.parse::<u8>().is_ok_and(|place| place < 60)
}

fn starts_with_digit(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_digit())
}

fn int(text: &str) -> Option<i64> {
    let negative = text.starts_with('-');
    let digits = unsigned(text).replace('_', "");
    let value = if let Some(binary) = digits.strip_prefix("0b") {
        i64::from_str_radix(binary, 2).ok()?
    } else if let Some(hex) = digits.strip_prefix("0x") {
        i64::from_str_radix(hex, 16).ok()?
    } else if digits.contains(':') {
        digits.split(':').try_fold(0_i64, |value, place| {
            value.checked_mul(60)?.checked_add(place.parse().ok()?)
        })?
    } else if digits.len() > 1 && digits.starts_with('0') {
        i64::from_str_radix(&digits, 8).ok()?
    } else {
        digits.parse().ok()?
    };
    Some(if negative { -value } else { value })
}

fn is_float(text: &str) -> bool {
    let digits = unsigned(text);
    if matches!(digits, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    let Some((whole, rest)) = digits.split_once('.') else {
        return false;
    };
    let (fraction, exponent) = match rest.find(['e', 'E']) {
        Some(at) => (&rest[..at], Some(&rest[at + 1..])),
        None => (rest, None),
    };
    let digit = |byte: u8| byte.is_ascii_digit();
    let exponent_fits = exponent.is_none_or(|exponent| {
        exponent.starts_with(['-', '+']) && exponent[1..].bytes().all(digit) && exponent.len() > 1
    });
    let fraction_fits = fraction.is_empty() || all(fraction, digit);
    let whole_fits = if whole.is_empty() {
        // Without a sign and with a digit after the point.
        digits.len() == text.len() && starts_with_digit(fraction)
    } else {
        let (first, places) = whole.split_once(':').unwrap_or((whole, "0"));
        let sixty = whole.contains(':');
        starts_with_digit(first)
            && all(first, digit)
            && places.split(':').all(is_sixtieth)
            && !(sixty && exponent.is_some())
    };
    whole_fits && fraction_fits && exponent_fits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Meaning<'_>) {
        assert_eq!(resolve(text), expected, "{text}");
    }

    #[test]
    fn words_mean_what_python_reads() {
        for word in ["yes", "Yes", "on", "ON", "true", "True"] {
            check(word, Meaning::Bool(true));
        }
        for word in ["no", "NO", "off", "Off", "false", "FALSE"] {
            check(word, Meaning::Bool(false));
        }
        for word in ["", "~", "null", "NULL"] {
            check(word, Meaning::Null);
        }
        for word in [
            "y", "n", "yEs", "oN", "nil", "none", "None", "direct", "/", "a:b", "é",
        ] {
            check(word, Meaning::Text(word));
        }
    }

    #[test]
    fn numbers_mean_what_python_reads() {
        for (text, value) in [
            ("0", 0),
            ("5671", 5671),
            ("-3", -3),
            ("+3", 3),
            ("1_000", 1000),
            ("012", 10),
            ("0b11", 3),
            ("0x1F", 31),
            ("1:30", 90),
            ("-1:00:01", -3601),
        ] {
            check(text, Meaning::Int(Some(value)));
        }
        check("99999999999999999999", Meaning::Int(None));
        for text in [
            "1.5", "1.", ".5", "-0.5", "1.0e+3", "1_0.5", ".inf", "-.INF", ".nan", "1:30.5",
        ] {
            check(text, Meaning::Float);
        }
        for text in [
            "08", "0o17", "1e3", "1.0e3", "10.0.0.1", "1:60", "-", "+", ".", "-.5", "0x", "1a",
            "12:ab",
        ] {
            check(text, Meaning::Text(text));
        }
    }

    #[test]
    fn quotes_make_text() {
        let quoted = Scalar {
            text: "yes".into(),
            plain: false,
        };
        assert_eq!(quoted.meaning(), Meaning::Text("yes"));
    }
}
