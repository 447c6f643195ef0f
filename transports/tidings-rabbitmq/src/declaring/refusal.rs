//! What the broker says when something exists with other settings: one sentence that names one setting.
//!
//! The sentence is the same from RabbitMQ 3.10 to 4.x: `inequivalent arg 'A' for queue 'Q' in vhost '/': received R but
//! current is C`. R and C are `none`, `'V'`, or `the value 'V' of type 'T'`, the last one where the other is `none`.
//! A reply text has at most 255 bytes, so the end may be cut off.

use lapin::types::AMQPValue;

use super::form::{int, text};

/// A setting that is not as it was wanted.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Refusal {
    /// What the broker calls it: an argument, or `durable`, `auto_delete`, `exclusive`, `type`, `internal`.
    pub(super) setting: String,
    /// What it is.
    pub(super) current: Current,
}

/// What a setting is, as far as the broker's sentence says it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Current {
    /// Not set.
    None,
    /// This.
    Value(AMQPValue),
    /// It begins with this; the rest was cut off.
    CutOff(String),
}

impl Refusal {
    /// Reads the broker's text; `None` if it is another one.
    pub(super) fn read(said: &str) -> Option<Self> {
        let (_, rest) = said.split_once("inequivalent arg '")?;
        let (setting, rest) = rest.split_once('\'')?;
        let (_, current) = match rest.split_once(": received ") {
            // The names before it may hold anything, a value of ours as well: what the broker has comes last.
            Some((_, values)) => values
                .rsplit_once(" but current is ")
                .unwrap_or((values, "")),
            None => (rest, ""),
        };
        Some(Self {
            setting: setting.to_owned(),
            current: Current::read(current),
        })
    }
}

impl Current {
    /// The value, as far as it is known.
    pub(super) fn value(&self) -> Option<AMQPValue> {
        match self {
            Self::Value(value) => Some(value.clone()),
            Self::None | Self::CutOff(_) => None,
        }
    }

    fn read(said: &str) -> Self {
        if said == "none" {
            return Self::None;
        }
        let (quoted, kind) = match said.strip_prefix("the value ") {
            Some(rest) => match rest.rsplit_once(" of type '") {
                Some((quoted, kind)) => (quoted, kind.strip_suffix('\'')),
                None => (rest, None),
            },
            None => (said, Some("")),
        };
        let value = quoted
            .strip_prefix('\'')
            .and_then(|rest| rest.strip_suffix('\''));
        match (value, kind) {
            (Some(value), Some(kind)) => Self::Value(typed(value, kind)),
            _ => {
                let start = quoted.trim_start_matches('\'');
                let start = start.split_once("' of ").map_or(start, |(value, _)| value);
                Self::CutOff(start.trim_end_matches("...").to_owned())
            }
        }
    }
}

/// Where no type is given, the broker compares values of one class: a number that looks like one is one.
fn typed(value: &str, kind: &str) -> AMQPValue {
    match (kind, value) {
        ("longstr" | "binary", _) => text(value),
        (_, "true") => AMQPValue::Boolean(true),
        (_, "false") => AMQPValue::Boolean(false),
        _ => value.parse().map_or_else(|_| text(value), int),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(said: &str, expected: Option<(&str, Current)>) {
        let expected = expected.map(|(setting, current)| Refusal {
            setting: setting.to_owned(),
            current,
        });
        assert_eq!(Refusal::read(said), expected, "{said}");
    }

    fn is(value: AMQPValue) -> Current {
        Current::Value(value)
    }

    #[test]
    fn the_broker_names_the_setting_and_what_it_is() {
        let at = "PRECONDITION_FAILED - inequivalent arg";
        check(
            &format!(
                "{at} 'x-message-ttl' for queue 'q' in vhost '/': received '1000' but current is '5000'"
            ),
            Some(("x-message-ttl", is(int(5_000)))),
        );
        check(
            &format!(
                "{at} 'x-message-ttl' for queue 'q' in vhost '/': received none but current is the value '5000' of type 'signedint'"
            ),
            Some(("x-message-ttl", is(int(5_000)))),
        );
        check(
            &format!(
                "{at} 'x-message-ttl' for queue 'q' in vhost '/': received the value '5000' of type 'signedint' but current is none"
            ),
            Some(("x-message-ttl", Current::None)),
        );
        check(
            &format!(
                "{at} 'x-dead-letter-exchange' for queue 'q' in vhost 'v': received 'a' but current is 'b.c'"
            ),
            Some(("x-dead-letter-exchange", is(text("b.c")))),
        );
        check(
            &format!(
                "{at} 'x-dead-letter-routing-key' for queue 'q' in vhost '/': received none but current is the value '12' of type 'longstr'"
            ),
            Some(("x-dead-letter-routing-key", is(text("12")))),
        );
        check(
            &format!(
                "{at} 'x-queue-type' for queue 'q' in vhost '/': received none but current is the value 'quorum' of type 'longstr'"
            ),
            Some(("x-queue-type", is(text("quorum")))),
        );
        check(
            &format!(
                "{at} 'durable' for queue 'q' in vhost '/': received 'true' but current is 'false'"
            ),
            Some(("durable", is(AMQPValue::Boolean(false)))),
        );
        check(
            &format!(
                "{at} 'type' for exchange 'e' in vhost '/': received 'topic' but current is 'direct'"
            ),
            Some(("type", is(text("direct")))),
        );
        check(
            &format!(
                "{at} 'x-max-length' for queue 'q' in vhost '/': received none but current is the value '-7' of type 'long'"
            ),
            Some(("x-max-length", is(int(-7)))),
        );
    }

    #[test]
    fn names_with_quotes_and_words_of_the_sentence_do_not_confuse() {
        check(
            "inequivalent arg 'x-dead-letter-exchange' for queue 'a: received 'b' in vhost '/': received 'x but current is y' but current is 'it's'",
            Some(("x-dead-letter-exchange", is(text("it's")))),
        );
        check(
            "inequivalent arg 'x-dead-letter-exchange' for queue 'q' in vhost '/': received 'a' but current is ''",
            Some(("x-dead-letter-exchange", is(text("")))),
        );
    }

    #[test]
    fn a_text_that_was_cut_off_says_so() {
        let cut = |text: &str| Current::CutOff(text.to_owned());
        check(
            "inequivalent arg 'x-message-ttl' for queue 'q' in vhost '/': received '1000' but current is '50...",
            Some(("x-message-ttl", cut("50"))),
        );
        check(
            "inequivalent arg 'x-message-ttl' for queue 'q' in vhost '/': received none but current is the value '5000' of ty",
            Some(("x-message-ttl", cut("5000"))),
        );
        check(
            "inequivalent arg 'x-message-ttl' for queue 'q' in vhost '/': received '10",
            Some(("x-message-ttl", cut(""))),
        );
        check(
            "inequivalent arg 'x-message-ttl' for queue 'qqqq",
            Some(("x-message-ttl", cut(""))),
        );
    }

    #[test]
    fn other_texts_are_none_of_ours() {
        check(
            "PRECONDITION_FAILED - invalid arg 'x-message-ttl' for queue 'q' in vhost '/': {value_negative,-1}",
            None,
        );
        check("inequivalent arg 'x-mess", None);
        check("", None);
    }
}
