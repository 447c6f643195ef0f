//! Reasons without the values that are the reason.
//!
//! Types refuse with words of their own, and parsers like to quote what they could not parse. Reasons become part of
//! answers and logs, so what stands in the refused place is taken out of them.

use super::json::Json;
use crate::contract::{Place, Violation};

/// What is shorter may be part of any word.
const LEAST: usize = 4;

/// The violation without the values that stand in its place.
pub(super) fn unquoted(mut violation: Violation, document: &Json) -> Violation {
    if let Some(value) = at(document, &violation.location) {
        remove(value, &mut violation.message);
    }
    violation
}

fn at<'d>(document: &'d Json, way: &[Place]) -> Option<&'d Json> {
    way.iter()
        .try_fold(document, |value, place| match (value, place) {
            (Json::Record(members), Place::Member(name)) => {
                let mut members = members.iter();
                members
                    .find(|(member, _)| member == name)
                    .map(|(_, value)| value)
            }
            (Json::List(elements), Place::Element(index)) => elements.get(*index),
            _ => None,
        })
}

fn remove(value: &Json, message: &mut String) {
    match value {
        Json::Text(text) => remove_text(text, message),
        Json::Int(number) => remove_text(&number.to_string(), message),
        Json::Float(number) => remove_text(&number.to_string(), message),
        Json::List(elements) => elements.iter().for_each(|element| remove(element, message)),
        Json::Record(members) => members.iter().for_each(|(_, value)| remove(value, message)),
        Json::Null | Json::Bool(_) | Json::Huge(_) | Json::Torn => {}
    }
}

fn remove_text(text: &str, message: &mut String) {
    const INSTEAD: &str = "it";
    // Debug escapes what cannot be printed.
    let forms = [
        format!("{text:?}"),
        format!("'{text}'"),
        format!("`{text}`"),
    ];
    let bare = Some(text.to_owned()).filter(|text| text.len() >= LEAST);
    for form in forms.into_iter().chain(bare) {
        if message.contains(&form) {
            *message = message.replace(&form, INSTEAD);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Rules;

    fn check(message: &str, location: &[Place], expected: &str) {
        let document = r#"{"a": "top\nsecret", "b": [4711, "pin"], "c": {"d": "word"}}"#;
        let document = super::super::json::read(document.as_bytes(), Rules::Lax).unwrap();
        let violation = Violation::new(location.to_vec(), message, "value_error");
        assert_eq!(unquoted(violation, &document).message, expected);
    }

    #[test]
    fn takes_out_what_stands_in_the_place() {
        let a = Place::Member("a".to_owned());
        let b = Place::Member("b".to_owned());
        let c = Place::Member("c".to_owned());
        check("not top\nsecret", std::slice::from_ref(&a), "not it");
        check(r#"bad "top\nsecret"!"#, &[a], "bad it!");
        check(
            "4711 of `pin`, pinned",
            std::slice::from_ref(&b),
            "it of it, pinned",
        );
        check("4711 word", &[b, Place::Element(0)], "it word");
        check("a word", &[c], "a it");
        check("4711 word", &[], "it it");
        check("4711", &[Place::Element(3)], "4711");
    }
}
