//! Replaces some texts in a JSON object and leaves every other byte of its members as it is.
//!
//! A body is read once, into members that are still encoded; only texts in question are decoded. Of members with the
//! same name the last one counts, as for deployed readers.

use std::{borrow::Cow, collections::HashMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;
use tidings_core::contract::Place;

use crate::secrets::Secrets;

/// What is done with the values that are asked about.
pub(crate) trait Change {
    /// What replaces a text; `None` leaves it. `is_secret` says whether the contract calls it so, otherwise it is a
    /// member of the request itself.
    fn text(&mut self, text: &str, is_secret: bool, way: &[Step<'_>]) -> Option<String>;

    /// A secret that is neither a text nor nothing.
    fn other(&mut self, way: &[Step<'_>]);
}

/// One step on the way to a value. Most ways are never told to anybody, so that they borrow.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step<'a> {
    Member(&'a RawValue),
    Element(usize),
}

/// The way as it is told to others.
pub(crate) fn places(way: &[Step<'_>]) -> Vec<Place> {
    let place = |step: &Step<'_>| match step {
        Step::Member(name) => Place::Member(text(name).into_owned()),
        Step::Element(index) => Place::Element(*index),
    };
    way.iter().map(place).collect()
}

/// Applies a change to the object in `body`; `None` if nothing has changed.
///
/// # Errors
/// If the body is not a JSON object.
pub(crate) fn rewrite(
    body: &[u8],
    secrets: &Secrets,
    change: &mut dyn Change,
) -> serde_json::Result<Option<Vec<u8>>> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let members = Members::deserialize(&mut deserializer)?;
    deserializer.end()?;
    let mut walk = Walk {
        change,
        way: Vec::new(),
    };
    Ok(walk
        .members(&members, secrets, true)
        .map(String::into_bytes))
}

struct Walk<'a, 'c> {
    change: &'c mut dyn Change,
    way: Vec<Step<'a>>,
}

impl<'a> Walk<'a, '_> {
    /// The object with what has changed in it; `None` if nothing has.
    fn members(&mut self, members: &Members<'a>, secrets: &Secrets, top: bool) -> Option<String> {
        let mut changed = Vec::new();
        for (index, &(name, value)) in members.0.iter().enumerate() {
            let below = if secrets.is_empty() {
                secrets
            } else {
                secrets.of(&text(name))
            };
            if below.is_empty() && !top {
                continue;
            }
            self.way.push(Step::Member(name));
            if let Some(new) = self.value(value, below, top) {
                changed.push((index, new));
            }
            self.way.pop();
        }
        (!changed.is_empty()).then(|| members.with(changed))
    }

    fn value(&mut self, value: &'a RawValue, secrets: &Secrets, top: bool) -> Option<String> {
        let is_secret = secrets.is_whole();
        match value.get().as_bytes().first()? {
            b'"' if is_secret || top => {
                // A text with half of a surrogate pair is no text to us; it is none that could have been encrypted.
                let Ok(Text(text)) = serde_json::from_str(value.get()) else {
                    if is_secret {
                        self.change.other(&self.way);
                    }
                    return None;
                };
                let new = self.change.text(&text, is_secret, &self.way)?;
                serde_json::to_string(&new).ok()
            }
            b'[' if !secrets.is_empty() => self.elements(value, secrets),
            b'{' if !is_secret && !secrets.is_empty() => {
                let members: Members<'a> = serde_json::from_str(value.get()).ok()?;
                self.members(&members, secrets, false)
            }
            b'n' => None,
            _ => {
                if is_secret {
                    self.change.other(&self.way);
                }
                None
            }
        }
    }

    /// A path passes through a list, though not through lists of lists.
    fn elements(&mut self, list: &'a RawValue, secrets: &Secrets) -> Option<String> {
        let mut elements: Vec<Cow<'_, str>> = Vec::new();
        let mut has_changed = false;
        let old: Vec<&'a RawValue> = serde_json::from_str(list.get()).ok()?;
        for (index, value) in old.into_iter().enumerate() {
            self.way.push(Step::Element(index));
            let new = if value.get().starts_with('[') {
                if secrets.is_whole() {
                    self.change.other(&self.way);
                }
                None
            } else {
                self.value(value, secrets, false)
            };
            self.way.pop();
            has_changed |= new.is_some();
            elements.push(new.map_or(Cow::Borrowed(value.get()), Cow::Owned));
        }
        has_changed.then(|| format!("[{}]", elements.join(",")))
    }
}

/// The members of an object, names and values still encoded, one for each name, where it was met first.
struct Members<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl Members<'_> {
    fn with(&self, changed: Vec<(usize, String)>) -> String {
        let mut changed = changed.into_iter().peekable();
        let mut object = String::with_capacity(256);
        for (index, (name, value)) in self.0.iter().enumerate() {
            object.push(if index == 0 { '{' } else { ',' });
            object.push_str(name.get());
            object.push(':');
            match changed.next_if(|(of, _)| *of == index) {
                Some((_, new)) => object.push_str(&new),
                None => object.push_str(value.get()),
            }
        }
        object.push('}');
        object
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members: Vec<(&RawValue, &RawValue)> = Vec::new();
                let mut met = HashMap::new();
                while let Some((name, value)) = map.next_entry::<&RawValue, &RawValue>()? {
                    let index = *met.entry(text(name)).or_insert(members.len());
                    match members.get_mut(index) {
                        Some(member) => member.1 = value,
                        None => members.push((name, value)),
                    }
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Collect)
    }
}

/// A text that borrows where it can.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// A member's name; one that is no text is its own encoding, which no other name is.
fn text(name: &RawValue) -> Cow<'_, str> {
    serde_json::from_str(name.get()).map_or(Cow::Borrowed(name.get()), |Text(text)| text)
}

#[cfg(test)]
mod tests {
    use tidings_core::contract::Violation;

    use super::*;

    /// Puts every text that it is asked about into brackets.
    #[derive(Default)]
    struct Mark {
        others: Vec<String>,
    }

    impl Change for Mark {
        fn text(&mut self, text: &str, is_secret: bool, way: &[Step<'_>]) -> Option<String> {
            (text != "keep")
                .then(|| format!("{}{text}:{}", if is_secret { "!" } else { "" }, way.len()))
        }

        fn other(&mut self, way: &[Step<'_>]) {
            self.others.push(Violation::new(places(way), "", "").path);
        }
    }

    fn check(body: &str, expected: Option<&str>) {
        let secrets = Secrets::new(["secret", "db.secret", "list.secret", "list.deep.secret"]);
        let new = rewrite(body.as_bytes(), &secrets, &mut Mark::default()).unwrap();
        let new = new.map(|bytes| String::from_utf8(bytes).unwrap());
        assert_eq!(new.as_deref(), expected, "{body}");
    }

    #[test]
    fn what_is_not_changed_keeps_its_bytes() {
        check(
            r#" { "a" : "x" , "n" : 1.50e+00 , "\u0062": [ 1 , {"z": "y"} ] , "big": 123456789012345678901234567890 } "#,
            Some(
                r#"{"a":"x:1","n":1.50e+00,"\u0062":[ 1 , {"z": "y"} ],"big":123456789012345678901234567890}"#,
            ),
        );
        check(r#"{"a": "keep", "a": "keep", "n": {"b": "x"}}"#, None);
        check("{}", None);
    }

    #[test]
    fn the_last_of_equal_names_counts() {
        check(
            r#"{"a": "x", "b": 1, "\u0061": "y"}"#,
            Some(r#"{"a":"y:1","b":1}"#),
        );
        check(r#"{"a": "x", "a": 1}"#, None);
    }

    #[test]
    fn secrets_are_found_at_any_depth_and_in_lists() {
        check(
            r#"{"db": {"secret": "x", "name": "y"}, "secret": "z"}"#,
            Some(r#"{"db":{"secret":"!x:2","name":"y"},"secret":"!z:1"}"#),
        );
        check(
            r#"{"list": [{"secret": "x"}, {"secret": null}, {"deep": {"secret": "y"}}, 1, "t", [{"secret": "z"}]]}"#,
            Some(
                r#"{"list":[{"secret":"!x:3"},{"secret": null},{"deep":{"secret":"!y:4"}},1,"t",[{"secret": "z"}]]}"#,
            ),
        );
        check(
            r#"{"secret": ["x", null]}"#,
            Some(r#"{"secret":["!x:2",null]}"#),
        );
    }

    #[test]
    fn halves_of_surrogate_pairs_are_left_alone() {
        check(r#"{"a": "\ud800", "\ud800": 1}"#, None);
        check(
            r#"{"a": "\ud800", "\ud800": 1, "b": "x"}"#,
            Some(r#"{"a":"\ud800","\ud800":1,"b":"x:1"}"#),
        );
    }

    #[test]
    fn secrets_that_are_no_text_are_told() {
        let body =
            br#"{"secret": 1, "db": {"secret": {"a": 1}}, "list": [{"secret": true}], "x": 1}"#;
        let mut mark = Mark::default();
        let secrets = Secrets::new(["secret", "db.secret", "list.secret"]);
        assert_eq!(rewrite(body, &secrets, &mut mark).unwrap(), None);
        assert_eq!(mark.others, ["secret", "db.secret", "list[0].secret"]);
    }

    #[test]
    fn what_is_no_object_is_an_error() {
        for body in [
            "",
            "[]",
            "1",
            "null",
            "{",
            "{} {}",
            r#"{"a": NaN}"#,
            "\"\u{e9}\"",
        ] {
            assert!(
                rewrite(body.as_bytes(), &Secrets::NONE, &mut Mark::default()).is_err(),
                "{body}"
            );
        }
        assert!(rewrite(b"{\"a\": \"\xff\"}", &Secrets::NONE, &mut Mark::default()).is_err());
    }
}
