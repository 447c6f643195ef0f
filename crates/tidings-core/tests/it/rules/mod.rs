//! What lax contracts forgive and what every contract says about what it refuses.
//!
//! `golden/lax_rules.json` is what pydantic 2.10.6 makes of the same requests, with the places where we answer
//! otherwise and why; `tests/python/lax_rules.py` writes it.

mod contracts;

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
