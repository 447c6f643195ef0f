//! JSON that is written again in another style with every number as it was: integers of any size are common on
//! this wire, and a JSON value would round them.
//!
//! Members keep their order; of members with one name the last value counts, at the place of the first.

use std::{collections::HashMap, fmt};

use serde::{
    Deserialize, Serialize, Serializer,
    de::{MapAccess, Visitor},
    ser,
};
use serde_json::value::RawValue;

/// How deep it is followed; receivers refuse what is deeper.
const DEEPEST: usize = 1_000;

/// A piece of JSON.
pub(crate) struct Exact<'a> {
    text: &'a str,
    depth: usize,
}

impl<'a> Exact<'a> {
    /// This text.
    pub(crate) fn new(json: &'a RawValue) -> Self {
        Self {
            text: json.get(),
            depth: 0,
        }
    }

    fn inside(&self, json: &'a RawValue) -> Self {
        Self {
            text: json.get(),
            depth: self.depth + 1,
        }
    }

    fn parse<T: Deserialize<'a>, E: ser::Error>(&self) -> Result<T, E> {
        serde_json::from_str(self.text).map_err(E::custom)
    }
}

impl Serialize for Exact<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.depth > DEEPEST {
            return Err(ser::Error::custom(format!(
                "nested deeper than {DEEPEST} levels"
            )));
        }
        match self.text.as_bytes().first() {
            Some(b'{') => {
                let members: Members<'_> = self.parse()?;
                let members = members.0.iter();
                serializer.collect_map(members.map(|(name, value)| (name, self.inside(value))))
            }
            Some(b'[') => {
                let items: Vec<&RawValue> = self.parse()?;
                serializer.collect_seq(items.into_iter().map(|item| self.inside(item)))
            }
            Some(b'"') => serializer.serialize_str(&self.parse::<String, _>()?),
            Some(b'-' | b'0'..=b'9') => self.number(serializer),
            _ => self.parse::<Option<bool>, _>()?.serialize(serializer),
        }
    }
}

impl Exact<'_> {
    fn number<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.text.contains(['.', 'e', 'E']) {
            return serializer.serialize_f64(self.parse()?);
        }
        match self.text.parse::<i64>() {
            Ok(number) => serializer.serialize_i64(number),
            Err(_) => self.parse::<&RawValue, _>()?.serialize(serializer),
        }
    }
}

/// The members of an object, in order.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members: Vec<(String, &RawValue)> = Vec::new();
        let mut places = HashMap::new();
        while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
            let place = *places.entry(name.clone()).or_insert(members.len());
            match members.get_mut(place) {
                Some(member) => member.1 = value,
                None => members.push((name, value)),
            }
        }
        Ok(Members(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, expected: &str) {
        let raw: &RawValue = serde_json::from_str(json).unwrap();
        assert_eq!(
            serde_json::to_string(&Exact::new(raw)).unwrap(),
            expected,
            "{json}"
        );
    }

    #[test]
    fn keeps_what_a_value_would_round() {
        check("1180591620717411303424", "1180591620717411303424");
        check("-1180591620717411303424", "-1180591620717411303424");
        check("18446744073709551615", "18446744073709551615");
        check("-0", "0");
        check("-0.0", "-0.0");
        check("1e2", "100.0");
        check("0.1", "0.1");
    }

    #[test]
    fn keeps_order_and_takes_the_last_of_twins() {
        check(
            r#"{ "b": [ 1 , {} , [] ], "a": null, "é\u0001": true, "b": false }"#,
            r#"{"b":false,"a":null,"é\u0001":true}"#,
        );
    }

    #[test]
    fn refuses_what_cannot_be_written() {
        let refused = |json: &str| {
            let raw: &RawValue = serde_json::from_str(json).unwrap();
            serde_json::to_string(&Exact::new(raw)).is_err()
        };
        assert!(refused("1e400"));
        assert!(refused(r#""\ud800""#));
        let deep = "[".repeat(2_000) + &"]".repeat(2_000);
        assert!(refused(&deep));
        assert!(!refused("[[[[]]]]"));
    }
}
