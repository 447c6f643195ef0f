//! Numbers as the lax mode of pydantic reads them out of strings, and their limits.
//!
//! Source: <https://docs.pydantic.dev/2.10/concepts/conversion_table/>, and where that says nothing, measurements:
//! `tests/golden/lax_rules.json`.

use std::fmt;

use serde_json::Value;

use super::json::{self, Json};

/// A number in a schema, integers in full.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Limit {
    Integer(i128),
    Float(f64),
}

impl Limit {
    pub(super) fn of(value: &Value) -> Option<Self> {
        let number = value.as_number()?;
        let float = || number.as_f64().map(Self::Float);
        match number.as_i128() {
            Some(integer) => Some(Self::Integer(integer)),
            // `1.0` as a limit of a float is the same as 1, and shorter to say.
            None => float(),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "what floats are compared with")]
    fn as_float(self) -> f64 {
        match self {
            Self::Integer(value) => value as f64,
            Self::Float(value) => value,
        }
    }

    /// Whether the value is less, equal or greater; `None` for what cannot be compared.
    fn compare(self, value: &Json) -> Option<std::cmp::Ordering> {
        match (value, self) {
            (Json::Int(value), Self::Integer(limit)) => Some(value.cmp(&limit)),
            _ => as_float(value)?.partial_cmp(&self.as_float()),
        }
    }

    fn divides(self, value: &Json) -> bool {
        if let (Json::Int(value), Self::Integer(limit)) = (value, self) {
            return limit == 0 || value % limit == 0;
        }
        let (Some(value), limit) = (as_float(value), self.as_float()) else {
            return true;
        };
        // pydantic allows for what dividing floats loses.
        let (rest, tolerance) = (value % limit, value.abs() / 1e9);
        !(rest.abs() > tolerance && (rest.abs() - limit).abs() > tolerance)
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value}"),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "what floats are compared with")]
fn as_float(value: &Json) -> Option<f64> {
    match value {
        Json::Int(value) => Some(*value as f64),
        Json::Huge(value) | Json::Float(value) => Some(*value),
        _ => None,
    }
}

/// The limits of a number, in the order in which they are tried.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    pub(super) multiple_of: Option<Limit>,
    pub(super) at_most: Option<Limit>,
    pub(super) less: Option<Limit>,
    pub(super) at_least: Option<Limit>,
    pub(super) greater: Option<Limit>,
}

impl Bounds {
    /// These bounds, and those of the Rust integer that has this format.
    pub(super) fn within(mut self, format: &str) -> Self {
        let (least, most): (i128, i128) = match format {
            "int8" => (i8::MIN.into(), i8::MAX.into()),
            "int16" => (i16::MIN.into(), i16::MAX.into()),
            "int32" => (i32::MIN.into(), i32::MAX.into()),
            "int64" | "int" => (i64::MIN.into(), i64::MAX.into()),
            "uint8" => (0, u8::MAX.into()),
            "uint16" => (0, u16::MAX.into()),
            "uint32" => (0, u32::MAX.into()),
            "uint64" | "uint" => (0, u64::MAX.into()),
            _ => return self,
        };
        let tighter = |limit: Option<Limit>, of_type: i128, pick: fn(i128, i128) -> i128| {
            Some(match limit {
                Some(Limit::Integer(limit)) => Limit::Integer(pick(limit, of_type)),
                Some(limit) => limit,
                None => Limit::Integer(of_type),
            })
        };
        self.at_most = tighter(self.at_most, most, i128::min);
        self.at_least = tighter(self.at_least, least, i128::max);
        self
    }

    /// The first limit that the value breaks: its code, and how to say it.
    pub(super) fn broken(&self, value: &Json) -> Option<(&'static str, String)> {
        use std::cmp::Ordering::{Equal, Greater, Less};
        if let Some(limit) = self.multiple_of.filter(|limit| !limit.divides(value)) {
            let message = format!("Input should be a multiple of {limit}");
            return Some(("multiple_of", message));
        }
        let limits = [
            (
                self.at_most,
                [Less, Equal],
                "less_than_equal",
                "less than or equal to",
            ),
            (self.less, [Less, Less], "less_than", "less than"),
            (
                self.at_least,
                [Greater, Equal],
                "greater_than_equal",
                "greater than or equal to",
            ),
            (
                self.greater,
                [Greater, Greater],
                "greater_than",
                "greater than",
            ),
        ];
        for (limit, fitting, code, words) in limits {
            let Some(limit) = limit else { continue };
            let fits = |order| fitting.contains(&order);
            if !limit.compare(value).is_some_and(fits) {
                return Some((code, format!("Input should be {words} {limit}")));
            }
        }
        None
    }
}

/// The integer that a string spells; `None` if it spells none.
pub(super) fn integer(text: &str) -> Option<Json> {
    let text = text.trim();
    let (negative, digits) = match text.strip_prefix(['+', '-']) {
        Some(digits) => (text.starts_with('-'), digits),
        None => (false, text),
    };
    let digits = match digits.split_once('.') {
        Some((whole, zeros)) if !zeros.is_empty() && zeros.bytes().all(|b| b == b'0') => whole,
        Some(_) => return None,
        None => digits,
    };
    let group = |group: &str| !group.is_empty() && group.bytes().all(|b| b.is_ascii_digit());
    if !digits.split('_').all(group) {
        return None;
    }
    let sign = if negative { "-" } else { "" };
    let plain = format!("{sign}{}", digits.replace('_', ""));
    Some(json::number(&plain, false))
}

/// The float that a string spells; `None` if it spells none.
pub(super) fn float(text: &str) -> Option<f64> {
    let text = text.trim();
    if let Ok(value) = text.parse() {
        return Some(value);
    }
    let grouped = !text.starts_with('_') && !text.ends_with('_') && !text.contains("__");
    grouped.then(|| text.replace('_', "").parse().ok())?
}

/// The truth that a string spells; `None` if it spells none.
pub(super) fn truth(text: &str) -> Option<bool> {
    let is = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is(&["1", "true", "t", "yes", "y", "on"]) {
        Some(true)
    } else if is(&["0", "false", "f", "no", "n", "off"]) {
        Some(false)
    } else {
        None
    }
}
