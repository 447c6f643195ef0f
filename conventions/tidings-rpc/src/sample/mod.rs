//! Random values that fit a JSON Schema: example requests, and the answers of a consumer that only pretends.
//!
//! It knows the part of JSON Schema that Rust types become (draft 2020-12 as schemars writes it) and refuses the rest
//! with the place where it stands, instead of guessing a value that whoever gets it would refuse.
//!
//! ```
//! use serde_json::json;
//! use tidings_rpc::sample;
//!
//! let schema = json!({
//!     "type": "object",
//!     "properties": {"name": {"type": "string", "minLength": 1}, "size": {"type": ["integer", "null"], "minimum": 5}},
//!     "required": ["name"],
//! });
//! let value = sample::of(&schema, &mut fastrand::Rng::with_seed(7))?;
//! assert!(!value["name"].as_str().unwrap_or_default().is_empty());
//! assert!(value["size"].as_i64() >= Some(5), "what may be there is there");
//! # Ok::<_, tidings_core::Error>(())
//! ```

mod composed;
mod merge;
mod number;
mod pattern;
mod text;

use fastrand::Rng;
use serde_json::{Map, Value};
use tidings_core::{Error, ErrorKind, error::Result};

/// From this depth on, whatever need not be there is left out: so recursive types come to an end.
const SHALLOW: usize = 6;
/// The depth at which a schema is given up that cannot come to an end.
const DEEPEST: usize = 48;

/// A value that fits this schema. Members that may be absent are there, and what may be `null` is not, so that a person
/// sees what there is to say.
///
/// # Errors
/// [`ErrorKind::Unsupported`] with the place and the reason if no value is found: the schema contradicts itself, has no
/// end, or says something that is not known here.
pub fn of(schema: &Value, rng: &mut Rng) -> Result<Value> {
    let mut sampler = Sampler { root: schema, rng };
    let mut place = Place::default();
    sampler.value(schema, &mut place).map_err(|problem| {
        let context = format!("no example can be made from the schema: {problem}");
        Error::new(ErrorKind::Unsupported, context)
    })
}

/// Why there is no value, and where.
type Sampled<T> = std::result::Result<T, String>;

struct Sampler<'s> {
    root: &'s Value,
    rng: &'s mut Rng,
}

/// The way from the root of the value to what is being made.
#[derive(Default)]
struct Place {
    steps: Vec<String>,
    /// Counts schemas, not members: a reference to itself is a step as well.
    depth: usize,
}

impl Place {
    fn problem(&self, problem: impl std::fmt::Display) -> String {
        match self.steps.is_empty() {
            true => format!("at its root, {problem}"),
            false => format!("at `{}`, {problem}", self.steps.join(".")),
        }
    }

    fn is_deep(&self) -> bool {
        self.depth > SHALLOW
    }
}

impl Sampler<'_> {
    fn value(&mut self, schema: &Value, place: &mut Place) -> Sampled<Value> {
        if place.depth > DEEPEST {
            return Err(place.problem("it contains itself without an end"));
        }
        place.depth += 1;
        let value = match schema {
            Value::Bool(true) => Ok(Value::String(self.word(1, 8))),
            Value::Bool(false) => Err(place.problem("nothing is allowed")),
            Value::Object(schema) => self.described(schema, place),
            _ => Err(place.problem("there is no schema: it must be an object, true or false")),
        };
        place.depth -= 1;
        value
    }

    fn described(&mut self, schema: &Map<String, Value>, place: &mut Place) -> Sampled<Value> {
        if let Some(value) = schema.get("const") {
            return Ok(value.clone());
        }
        if let Some(Value::Array(values)) = schema.get("enum") {
            return self.pick_value(values, place);
        }
        if let Some(merged) = merge::flattened(self.root, schema).map_err(|it| place.problem(it))? {
            return self.value(&Value::Object(merged), place);
        }
        for alternatives in ["oneOf", "anyOf"] {
            if let Some(Value::Array(branches)) = schema.get(alternatives) {
                return self.one_of(schema, alternatives, branches, place);
            }
        }
        let kind = self.kind(schema, place)?;
        self.of_kind(kind, schema, place)
    }

    fn pick_value(&mut self, values: &[Value], place: &Place) -> Sampled<Value> {
        let some: Vec<_> = values.iter().filter(|value| !value.is_null()).collect();
        let picked = self.rng.choice(some).or(values.first());
        picked
            .cloned()
            .ok_or_else(|| place.problem("`enum` is empty"))
    }

    /// Tries the branches in a random order, those last that are only `null`; where it is deep, the simple ones first.
    fn one_of(
        &mut self,
        schema: &Map<String, Value>,
        alternatives: &str,
        branches: &[Value],
        place: &mut Place,
    ) -> Sampled<Value> {
        let mut rest = schema.clone();
        rest.remove(alternatives);
        let mut order: Vec<&Value> = branches.iter().collect();
        self.rng.shuffle(&mut order);
        if place.is_deep() {
            order.sort_by_key(|branch| weight(branch));
        } else {
            order.sort_by_key(|branch| is_null(branch));
        }
        let mut problem = place.problem(format!("`{alternatives}` is empty"));
        for branch in order {
            let merged = match branch {
                Value::Object(branch) => merge::two(&rest, branch).map(Value::Object),
                other => Ok(other.clone()),
            };
            let sampled = merged
                .map_err(|problem| place.problem(problem))
                .and_then(|merged| self.value(&merged, place));
            match sampled {
                Ok(value) => return Ok(value),
                Err(other) => problem = other,
            }
        }
        Err(problem)
    }

    /// What the schema says, or what its other words are about.
    fn kind(&mut self, schema: &Map<String, Value>, place: &Place) -> Sampled<Kind> {
        let named = |name: &Value| name.as_str().and_then(Kind::named);
        match schema.get("type") {
            Some(Value::Array(names)) => {
                let kinds: Vec<Kind> = names.iter().filter_map(named).collect();
                let nullable = kinds.contains(&Kind::Null);
                if nullable && place.is_deep() {
                    return Ok(Kind::Null);
                }
                let full = kinds.into_iter().filter(|kind| *kind != Kind::Null);
                let picked = self.rng.choice(full.collect::<Vec<_>>());
                let picked = picked.or(nullable.then_some(Kind::Null));
                picked.ok_or_else(|| place.problem("`type` names no type"))
            }
            Some(name) => named(name)
                .ok_or_else(|| place.problem(format!("the type {name} is not one of JSON's"))),
            None => Ok(Kind::of_words(schema)),
        }
    }

    fn of_kind(
        &mut self,
        kind: Kind,
        schema: &Map<String, Value>,
        place: &mut Place,
    ) -> Sampled<Value> {
        match kind {
            Kind::Null => Ok(Value::Null),
            Kind::Boolean => Ok(Value::Bool(self.rng.bool())),
            Kind::Integer => number::integer(schema, self.rng).map_err(|it| place.problem(it)),
            Kind::Number => number::float(schema, self.rng).map_err(|it| place.problem(it)),
            Kind::String => self.text(schema).map_err(|it| place.problem(it)),
            Kind::Array => self.array(schema, place),
            Kind::Object => self.object(schema, place),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Null,
    Boolean,
    Integer,
    Number,
    String,
    Array,
    Object,
}

impl Kind {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "null" => Self::Null,
            "boolean" => Self::Boolean,
            "integer" => Self::Integer,
            "number" => Self::Number,
            "string" => Self::String,
            "array" => Self::Array,
            "object" => Self::Object,
            _ => return None,
        })
    }

    fn of_words(schema: &Map<String, Value>) -> Self {
        let has = |words: &[&str]| words.iter().any(|word| schema.contains_key(*word));
        if has(&["properties", "required", "additionalProperties"]) {
            Self::Object
        } else if has(&["items", "prefixItems", "minItems", "maxItems"]) {
            Self::Array
        } else if has(&[
            "minimum",
            "maximum",
            "multipleOf",
            "exclusiveMinimum",
            "exclusiveMaximum",
        ]) {
            Self::Number
        } else {
            Self::String
        }
    }
}

fn is_null(schema: &Value) -> bool {
    schema["type"] == "null" || schema["const"].is_null() && schema.get("const").is_some()
}

/// How far a branch is from an end.
fn weight(schema: &Value) -> usize {
    match schema {
        _ if is_null(schema) => 0,
        Value::Object(words) if words.contains_key("$ref") => 3,
        Value::Object(words) if words.contains_key("properties") || words.contains_key("items") => {
            2
        }
        _ => 1,
    }
}
