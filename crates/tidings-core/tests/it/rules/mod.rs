//! What lax contracts forgive and what every contract says about what it refuses.
//!
//! `golden/lax_rules.json` is what pydantic 2.10.6 makes of the same requests, with the places where we answer
//! otherwise and why; `tests/python/lax_rules.py` writes it.

mod contracts;
mod orders;

use proptest::prelude::*;
use serde::Serialize;
use serde_json::{Map, Value, json};
use tidings_core::{
    Contract, Error, ErrorKind,
    codec::Format,
    contract::{Invalid, Rules, Shape},
    schema,
};

use self::contracts::*;

fn decode<T: Contract>(rules: Rules, text: &[u8]) -> Result<T, Error> {
    Shape::new(schema::of_input::<T>, rules).decode(Format::Json, text)
}

/// The outcome in the form of the table.
fn outcome<T: Contract>(rules: Rules, text: &[u8]) -> Value {
    match decode::<T>(rules, text) {
        Ok(message) => json!({"value": message}),
        Err(error) => match error.source_ref::<Invalid>() {
            Some(invalid) => json!({"errors": errors(invalid)}),
            None => json!({"unreadable": error.to_string()}),
        },
    }
}

#[derive(Serialize)]
struct Row<'a> {
    location: &'a [tidings_core::contract::Place],
    message: &'a str,
    r#type: &'a str,
}

fn errors(invalid: &Invalid) -> Vec<Value> {
    let row = |violation: &tidings_core::contract::Violation| {
        json!(Row {
            location: &violation.location,
            message: &violation.message,
            r#type: &violation.code,
        })
    };
    invalid.violations().iter().map(row).collect()
}

fn table() -> Value {
    serde_json::from_str(include_str!("../../golden/lax_rules.json")).unwrap()
}

/// What we are to answer: what pydantic answers unless the table says otherwise.
fn expected(case: &Map<String, Value>) -> Value {
    let ours = case.get("differs").and_then(Value::as_object);
    let mut ours = ours.unwrap_or(case).clone();
    ours.retain(|key, _| key == "value" || key == "errors");
    Value::Object(ours)
}

/// Does the same with every contract of the table.
macro_rules! each_contract {
    ($judge:ident.$check:ident) => {
        each_contract!($judge.$check:
            Int Byte Float Bool Str Nothing Enumerated Chosen Single OptionalInt RequiredOptional DefaultInt Ints FewInts
            IntSet FewSet IntsByName StrsByInt Pair IntOrStr BoolOrFloat IntOrInts Greater AtLeast Less AtMost Between
            FloatGreater FloatBetween FloatMultiple ShortStr OneChar Lowercase Identified Timed Anything Several Forbidding
            Outer Either
        )
    };
    ($judge:ident.$check:ident: $($name:ident)*) => {
        $($judge.$check::<$name>(stringify!($name));)*
    };
}

#[derive(Default)]
struct Judge {
    table: Value,
    checked: usize,
    wrong: Vec<String>,
}

impl Judge {
    fn cases(&mut self, name: &str) -> Vec<(String, Value)> {
        self.checked += 1;
        let cases = self.table["contracts"][name].as_array().unwrap();
        let case = |case: &Value| {
            let text = case["input"].as_str().unwrap().to_owned();
            (text, expected(case.as_object().unwrap()))
        };
        cases.iter().map(case).collect()
    }

    fn lax<T: Contract>(&mut self, name: &str) {
        for (text, expected) in self.cases(name) {
            let ours = outcome::<T>(Rules::Lax, text.as_bytes());
            if ours != expected {
                let wrong = format!("{name} {text}\n  expected {expected}\n  found    {ours}");
                self.wrong.push(wrong);
            }
        }
    }

    /// Strict contracts accept what serde and the rules accept, and what they accept lax ones accept, too.
    fn strict<T: Contract>(&mut self, name: &str) {
        for (text, _) in self.cases(name) {
            let plain = serde_json::from_str::<T>(&text).ok();
            let plain = plain.filter(|message| message.validate().is_ok());
            let plain = plain.map(|message| json!({"value": message}));
            let ours = outcome::<T>(Rules::Strict, text.as_bytes());
            let accepted = ours.get("value").map(|_| ours.clone());
            let lax = outcome::<T>(Rules::Lax, text.as_bytes());
            let same = accepted.is_none() || ours == lax;
            let said = ours["errors"]
                .as_array()
                .is_none_or(|errors| !errors.is_empty());
            if accepted != plain || !same || !said {
                self.wrong
                    .push(format!("{name} {text}\n  found {ours}\n  lax   {lax}"));
            }
        }
    }

    fn assert(self) {
        let (count, wrong) = (self.wrong.len(), self.wrong.join("\n"));
        assert_eq!(count, 0, "{wrong}");
        assert_eq!(
            self.table["contracts"].as_object().unwrap().len(),
            self.checked
        );
    }
}

fn judge() -> Judge {
    Judge {
        table: table(),
        ..Judge::default()
    }
}

#[test]
fn a_lax_contract_answers_as_pydantic_does() {
    let mut judge = judge();
    each_contract!(judge.lax);
    judge.assert();
}

#[test]
fn a_strict_contract_accepts_what_serde_accepts() {
    let mut judge = judge();
    each_contract!(judge.strict);
    judge.assert();
}

#[test]
fn a_lax_contract_reads_the_documents_that_python_reads() {
    for case in table()["documents"].as_array().unwrap() {
        let text = case["text"].as_str().unwrap();
        let outcome = decode::<Anything>(Rules::Lax, text.as_bytes());
        let read = outcome.map_or_else(|error| error.kind() != ErrorKind::Decode, |_| true);
        assert_eq!(read, case["read"].as_bool().unwrap(), "{text:?}");
    }
}

/// Documents that are nearly requests: the members of `Several`, with anything in them.
fn nearly() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        any::<i64>().prop_map(|value| value.to_string()),
        any::<f64>().prop_map(|value| format!("{value:?}")),
        "[ -+_.0-9eE]{0,6}".prop_map(|text| format!("{text:?}")),
        any::<String>().prop_map(|text| json!(text).to_string()),
        Just("NaN".to_owned()),
        Just(r#""\ud800""#.to_owned()),
    ];
    let name = prop_oneof![
        Just("name"),
        Just("count"),
        Just("ratio"),
        Just("tags"),
        Just("site"),
        Just("colour"),
        Just("note"),
        Just("enabled"),
        Just("domain"),
        Just("port"),
        Just("value"),
        Just("1"),
    ];
    scalar.prop_recursive(4, 32, 8, move |inner| {
        let list = proptest::collection::vec(inner.clone(), 0..4);
        let members = proptest::collection::vec((name.clone(), inner), 0..10);
        prop_oneof![
            list.prop_map(|elements| format!("[{}]", elements.join(","))),
            members.prop_map(|members| {
                let member = |(name, value)| format!("\"{name}\":{value}");
                let members: Vec<_> = members.into_iter().map(member).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

fn lax_takes_what_strict_takes<T: Contract>(text: &[u8]) {
    let strict = outcome::<T>(Rules::Strict, text);
    let lax = outcome::<T>(Rules::Lax, text);
    // serde makes a struct of a list.
    let list = text.trim_ascii_start().starts_with(b"[");
    let plain = serde_json::from_slice::<T>(text).is_ok_and(|message| message.validate().is_ok());
    let plain = plain && !list;
    assert_eq!(strict.get("value").is_some(), plain, "{strict}");
    if plain {
        assert_eq!(strict, lax);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        lax_takes_what_strict_takes::<Several>(&bytes);
        lax_takes_what_strict_takes::<Anything>(&bytes);
    }

    #[test]
    fn what_a_strict_contract_takes_a_lax_one_takes(text in nearly()) {
        lax_takes_what_strict_takes::<Several>(text.as_bytes());
        lax_takes_what_strict_takes::<Outer>(text.as_bytes());
        lax_takes_what_strict_takes::<IntOrInts>(text.as_bytes());
        lax_takes_what_strict_takes::<StrsByInt>(text.as_bytes());
        lax_takes_what_strict_takes::<FloatBetween>(text.as_bytes());
    }
}
