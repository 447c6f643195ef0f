//! Settings and their values in words, for people.

use lapin::types::AMQPValue;
use tidings_core::{HeaderValue, topology::arguments};

use super::form::{self, value_of};

/// What a setting is called; `name` is what the broker calls it.
pub(super) fn setting(name: &str) -> String {
    match name {
        arguments::MESSAGE_TTL => "message TTL".to_owned(),
        arguments::DEAD_LETTER_EXCHANGE => "dead-letter exchange".to_owned(),
        arguments::DEAD_LETTER_KEY => "dead-letter key".to_owned(),
        form::KIND => "kind".to_owned(),
        form::AUTO_DELETE => "auto-delete".to_owned(),
        form::DURABLE | form::EXCLUSIVE | form::INTERNAL => name.to_owned(),
        _ => format!("argument `{name}`"),
    }
}

/// What a value is; `None` is a setting that is not there.
pub(super) fn value(name: &str, value: Option<&AMQPValue>) -> String {
    match value.map(value_of) {
        None | Some(HeaderValue::Null) => "none".to_owned(),
        Some(HeaderValue::Int(millis))
            if matches!(name, arguments::MESSAGE_TTL | arguments::EXPIRES) =>
        {
            format!("{millis} ms")
        }
        Some(HeaderValue::Int(int)) => int.to_string(),
        Some(HeaderValue::Bool(truth)) => truth.to_string(),
        Some(HeaderValue::Float(float)) => float.to_string(),
        // The kind of an exchange is one of four words, which need no quotes.
        Some(HeaderValue::Text(text)) if name == form::KIND => text.to_string(),
        Some(HeaderValue::Text(text)) => format!("`{text}`"),
        Some(other) => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_and_values_read_like_a_sentence() {
        let check = |name, set: Option<AMQPValue>, expected: &str| {
            let words = format!("{} {}", setting(name), value(name, set.as_ref()));
            assert_eq!(words, expected);
        };
        check(
            "x-message-ttl",
            Some(form::int(5_000)),
            "message TTL 5000 ms",
        );
        check(
            "x-message-ttl",
            Some(form::int(1_500)),
            "message TTL 1500 ms",
        );
        check("x-message-ttl", None, "message TTL none");
        check(
            "x-dead-letter-exchange",
            Some(form::text("a.b")),
            "dead-letter exchange `a.b`",
        );
        check(
            "x-dead-letter-routing-key",
            Some(form::text("")),
            "dead-letter key ``",
        );
        check(
            "x-max-length",
            Some(form::int(7)),
            "argument `x-max-length` 7",
        );
        check(
            "x-single-active-consumer",
            Some(AMQPValue::Boolean(true)),
            "argument `x-single-active-consumer` true",
        );
        check("durable", Some(AMQPValue::Boolean(false)), "durable false");
        check("type", Some(form::text("topic")), "kind topic");
    }
}
