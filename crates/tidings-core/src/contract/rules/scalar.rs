//! The single values of a document: what each kind forgives, and what it says when it does not.

use super::{
    json::Json,
    number,
    plan::{Spelling, Text},
    walk::{Walker, plural},
};

impl Walker<'_> {
    pub(super) fn bounded(
        &mut self,
        bounds: &number::Bounds,
        value: Json,
        is: fn(&Json) -> bool,
    ) -> Json {
        if !is(&value) {
            return value;
        }
        if let Some((code, message)) = bounds.broken(&value) {
            self.refused |= matches!(value, Json::Float(float) if float.is_nan());
            self.complain(code, message);
        }
        value
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "only floats without a fraction and within 64 bits are cast"
    )]
    pub(super) fn integer(&mut self, value: Json) -> Json {
        let (code, message) = match &value {
            Json::Int(_) | Json::Huge(_) => return value,
            Json::Bool(value) if self.lax => return Json::Int((*value).into()),
            Json::Float(float) if self.lax && !float.is_finite() => {
                ("finite_number", "Input should be a finite number")
            }
            Json::Float(float) if self.lax && float.fract() != 0.0 => (
                "int_from_float",
                "Input should be a valid integer, got a number with a fractional part",
            ),
            // Beyond 64 bits a float stands for many integers.
            Json::Float(float) if self.lax && float.abs() >= 9_223_372_036_854_775_808.0 => (
                "int_parsing_size",
                "Unable to parse input string as an integer, exceeded maximum size",
            ),
            Json::Float(float) if self.lax => return Json::Int(*float as i128),
            Json::Text(text) if self.lax => match number::integer(text) {
                Some(integer) => return integer,
                None => (
                    "int_parsing",
                    "Input should be a valid integer, unable to parse string as an integer",
                ),
            },
            Json::Torn if self.lax => TORN,
            _ => ("int_type", "Input should be a valid integer"),
        };
        self.complain(code, message);
        value
    }

    pub(super) fn number(&mut self, value: Json) -> Json {
        let (code, message) = match &value {
            Json::Float(float) if !self.lax && !float.is_finite() => {
                ("finite_number", "Input should be a finite number")
            }
            Json::Int(_) | Json::Huge(_) | Json::Float(_) => return value,
            Json::Bool(value) if self.lax => return Json::Float(f64::from(u8::from(*value))),
            Json::Text(text) if self.lax => match number::float(text) {
                Some(float) => return Json::Float(float),
                None => (
                    "float_parsing",
                    "Input should be a valid number, unable to parse string as a number",
                ),
            },
            Json::Torn if self.lax => TORN,
            _ => ("float_type", "Input should be a valid number"),
        };
        self.complain(code, message);
        value
    }

    pub(super) fn truth(&mut self, value: Json) -> Json {
        const UNCLEAR: (&str, &str) = (
            "bool_parsing",
            "Input should be a valid boolean, unable to interpret input",
        );
        const NONE: (&str, &str) = ("bool_type", "Input should be a valid boolean");
        let (code, message) = match &value {
            Json::Bool(_) => return value,
            Json::Int(0 | 1) if self.lax => return Json::Bool(value == Json::Int(1)),
            Json::Int(integer) if self.lax && i64::try_from(*integer).is_ok() => UNCLEAR,
            Json::Float(float) if self.lax && (*float == 0.0 || *float == 1.0) => {
                return Json::Bool(*float == 1.0);
            }
            Json::Float(float) if self.lax && float.fract() == 0.0 && float.abs() < 9.2e18 => {
                UNCLEAR
            }
            Json::Text(text) if self.lax => match number::truth(text) {
                Some(truth) => return Json::Bool(truth),
                None => UNCLEAR,
            },
            Json::Torn if self.lax => TORN,
            _ => NONE,
        };
        self.complain(code, message);
        value
    }

    pub(super) fn text(&mut self, rules: &Text, value: Json) -> Json {
        let text = match &value {
            Json::Text(text) if self.lax && rules.format == Spelling::DateTime => {
                match text.parse() {
                    Ok(seconds) => return self.moment(Json::Float(seconds)),
                    Err(_) => text,
                }
            }
            Json::Text(text) => text,
            Json::Torn => {
                self.complain(TORN.0, TORN.1);
                return value;
            }
            Json::Int(_) | Json::Float(_) if self.lax && rules.format == Spelling::DateTime => {
                return self.moment(value);
            }
            _ => {
                let (code, message) = match rules.format {
                    Spelling::Plain => ("string_type", "Input should be a valid string"),
                    Spelling::Uuid => (
                        "uuid_type",
                        "UUID input should be a string, bytes or UUID object",
                    ),
                    Spelling::DateTime => ("datetime_type", "Input should be a valid datetime"),
                };
                self.complain(code, message);
                return value;
            }
        };
        if let Some((code, message)) = misspelt(rules, text) {
            self.complain(code, message);
        }
        value
    }

    /// The moment that so many seconds (or, for great numbers, milliseconds) after 1970 are.
    fn moment(&mut self, value: Json) -> Json {
        let seconds = match value {
            #[expect(
                clippy::cast_precision_loss,
                reason = "moments this far away are refused"
            )]
            Json::Int(seconds) => seconds as f64,
            Json::Float(seconds) => seconds,
            _ => f64::NAN,
        };
        let seconds = if seconds.abs() > 2e10 {
            seconds / 1e3
        } else {
            seconds
        };
        // Python's moments have microseconds.
        let micros = jiff::SignedDuration::try_from_secs_f64(seconds)
            .ok()
            .and_then(|since| jiff::Timestamp::from_duration(since).ok())
            .and_then(|moment| moment.round(jiff::Unit::Microsecond).ok());
        if let Some(moment) = micros {
            return Json::Text(moment.to_string());
        }
        self.complain("datetime_parsing", "Input should be a valid datetime");
        value
    }

    pub(super) fn choice(&mut self, choices: &[String], value: &Json) {
        match value {
            Json::Text(text) if choices.contains(text) => {}
            Json::Torn => self.complain(TORN.0, TORN.1),
            _ => self.complain("enum", format!("Input should be {}", one_of(choices))),
        }
    }
}

const TORN: (&str, &str) = (
    "string_unicode",
    "Input should be a valid string, unable to parse raw data as a unicode string",
);

fn misspelt(rules: &Text, text: &str) -> Option<(&'static str, String)> {
    let length = text.chars().count() as u64;
    if let Some(least) = rules.shortest.filter(|least| length < *least) {
        let characters = plural(least, "character");
        let message = format!("String should have at least {least} {characters}");
        return Some(("string_too_short", message));
    }
    if let Some(most) = rules.longest.filter(|most| length > *most) {
        let characters = plural(most, "character");
        let message = format!("String should have at most {most} {characters}");
        return Some(("string_too_long", message));
    }
    if let Some(pattern) = rules
        .pattern
        .as_ref()
        .filter(|pattern| !pattern.is_match(text))
    {
        let message = format!("String should match pattern '{pattern}'");
        return Some(("string_pattern_mismatch", message));
    }
    match rules.format {
        Spelling::Uuid if uuid::Uuid::parse_str(text).is_err() => {
            Some(("uuid_parsing", "Input should be a valid UUID".to_owned()))
        }
        Spelling::DateTime if !is_moment(text) => Some((
            "datetime_from_date_parsing",
            "Input should be a valid datetime or date".to_owned(),
        )),
        _ => None,
    }
}

fn is_moment(text: &str) -> bool {
    text.parse::<jiff::Timestamp>().is_ok() || text.parse::<jiff::civil::DateTime>().is_ok()
}

/// `'a', 'b' or 'c'`.
fn one_of(choices: &[String]) -> String {
    let quoted: Vec<_> = choices.iter().map(|choice| format!("'{choice}'")).collect();
    match quoted.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => quoted.concat(),
    }
}
