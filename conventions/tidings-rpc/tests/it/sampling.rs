//! Samples fit their schemas: every one is checked by a validator that others have written.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;
use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tidings_core::ErrorKind;
use tidings_rpc::sample;

/// How many samples of each schema.
const ROUNDS: u64 = 200;

#[track_caller]
fn check(schema: &Value) {
    let validator = jsonschema::options()
        .should_validate_formats(true)
        .build(schema)
        .unwrap();
    for seed in 0..ROUNDS {
        let value = sample::of(schema, &mut Rng::with_seed(seed)).unwrap();
        let errors: Vec<String> = validator
            .iter_errors(&value)
            .map(|error| format!("{error} at {}", error.instance_path()))
            .collect();
        assert!(
            errors.is_empty(),
            "seed {seed}: {value} {errors:?} {schema}"
        );
    }
}

/// And can be read by the type.
#[track_caller]
fn check_type<T: JsonSchema + for<'de> Deserialize<'de>>() {
    let schema = schema_for!(T).to_value();
    check(&schema);
    for seed in 0..ROUNDS {
        let value = sample::of(&schema, &mut Rng::with_seed(seed)).unwrap();
        let read = serde_json::from_value::<T>(value.clone());
        let error = read.err().map(|error| error.to_string());
        assert_eq!(error, None, "seed {seed}: {value} {schema}");
    }
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Site {
    domain: String,
    aliases: BTreeSet<String>,
    port: u16,
    weight: i8,
    ratio: f32,
    #[schemars(range(min = 3, max = 5))]
    workers: u64,
    #[schemars(length(min = 12, max = 14))]
    password: String,
    #[schemars(regex(pattern = r"^[a-z][a-z0-9-]{2,8}[a-z]$"))]
    label: String,
    limits: Option<Limits>,
    kind: Kind,
    shape: Shape,
    any: Any,
    labels: BTreeMap<String, i32>,
    pair: (u8, String),
    nested: Vec<Vec<bool>>,
    children: Vec<Self>,
    parent: Option<Box<Self>>,
    #[serde(flatten)]
    common: Common,
    #[serde(default)]
    note: Option<String>,
    value: Value,
    letter: char,
    unit: (),
    fixed: [u8; 3],
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Limits {
    #[schemars(range(min = 0.5, max = 0.75))]
    cpu: f64,
    memory: u32,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Static,
    /// With a document, which makes it a branch of its own.
    Dynamic,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Shape {
    Circle { radius: u8 },
    Square { side: u8 },
    Nothing,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Any {
    Number(i32),
    Text(String),
    Limits(Limits),
    Tree(Box<Self>),
}

#[derive(Serialize, Deserialize, JsonSchema)]
enum External {
    Unit,
    New(u8),
    Tuple(u8, String),
    Struct { a: bool },
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(tag = "t", content = "c")]
enum Adjacent {
    One(u8),
    Two,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Common {
    created_by: String,
    external: External,
    adjacent: Adjacent,
}

#[test]
fn what_rust_types_become_is_known() {
    check_type::<Site>();
    check_type::<External>();
    check_type::<Adjacent>();
    check_type::<Any>();
    check_type::<BTreeMap<u32, Option<Kind>>>();
    check_type::<tidings_core::contract::Response<Limits>>();
    check_type::<Option<Vec<Shape>>>();
}

#[test]
fn formats_bounds_and_patterns_are_kept() {
    for format in [
        "uuid",
        "date-time",
        "date",
        "time",
        "duration",
        "email",
        "hostname",
        "uri",
        "ipv4",
        "ipv6",
    ] {
        check(&json!({"type": "string", "format": format}));
    }
    for schema in [
        json!({"type": "string", "format": "of our own", "maxLength": 3}),
        json!({"type": "string", "pattern": "^(?:[A-Z]{2}-)?\\d+\\.\\w{3,}$", "maxLength": 12}),
        json!({"type": "string", "minLength": 40}),
        json!({"type": "integer", "exclusiveMinimum": -3, "exclusiveMaximum": 1, "multipleOf": 2}),
        json!({"type": "integer", "minimum": 2.5, "maximum": 3.5}),
        json!({"type": "integer", "minimum": 18_446_744_073_709_551_610_u64}),
        json!({"type": "integer", "maximum": -9_000_000_000_000_000_000_i64}),
        json!({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.001}),
        json!({"type": "number", "minimum": 7, "maximum": 7}),
        json!({"minimum": 3}),
        json!({"enum": [null, 1, "x"]}),
        json!({"const": {"a": [1]}}),
        json!({"type": "array", "items": {"enum": [1, 2, 3]}, "uniqueItems": true, "minItems": 3}),
        json!({"type": "array", "items": {"enum": [1]}, "uniqueItems": true}),
        json!({"type": "array", "prefixItems": [{"type": "null"}, {"type": "boolean"}], "items": false, "minItems": 2}),
        json!({"type": "array", "maxItems": 0}),
        json!({"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 3}),
        json!({"type": "object", "patternProperties": {"^x[0-9]+$": {"type": "null"}}, "additionalProperties": false}),
        json!({"type": "object", "propertyNames": {"pattern": "^k[a-c]$"}, "additionalProperties": {"type": "null"}}),
        json!({"type": "object", "required": ["unsaid"]}),
        json!({"allOf": [{"type": "integer", "minimum": 3}, {"type": "integer", "maximum": 4}]}),
        json!({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"type": "boolean"}}, "$ref": "#/$defs/a", "description": "x"}),
        json!({"type": "object", "properties": {"a": {"type": "null"}}, "required": ["a"],
               "oneOf": [{"properties": {"b": {"const": 1}}, "required": ["b"]}, {"properties": {"c": {"const": 2}}, "required": ["c"]}]}),
        json!(true),
        json!({}),
    ] {
        check(&schema);
    }
}

#[test]
fn a_tree_comes_to_an_end() {
    let node = json!({"type": "object", "properties": {
        "left": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
        "next": {"$ref": "#/$defs/node"},
        "all": {"type": "array", "items": {"$ref": "#/$defs/node"}},
    }, "required": ["left", "all"]});
    check(&json!({"$defs": {"node": node}, "$ref": "#/$defs/node"}));
}

#[test]
fn what_may_be_there_is_there_and_values_differ() {
    let schema = json!({"type": "object", "properties": {
        "a": {"type": ["null", "integer"]}, "b": {"anyOf": [{"type": "null"}, {"type": "string"}]},
    }});
    let mut seen = BTreeSet::new();
    for seed in 0..20 {
        let value = sample::of(&schema, &mut Rng::with_seed(seed)).unwrap();
        assert!(value["a"].is_i64() && value["b"].is_string(), "{value}");
        seen.insert(value.to_string());
    }
    assert!(seen.len() > 15, "{seen:?}");
}

#[test]
fn what_cannot_be_made_is_refused_with_its_place() {
    let check = |schema: Value, words: &[&str]| {
        let error = sample::of(&schema, &mut Rng::with_seed(1)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        let text = error.to_string();
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    };
    check(json!(false), &["root", "nothing is allowed"]);
    check(json!(7), &["no schema"]);
    check(json!({"type": "thing"}), &["thing"]);
    check(json!({"enum": []}), &["enum"]);
    check(json!({"oneOf": []}), &["oneOf"]);
    check(json!({"$ref": "#/$defs/no"}), &["#/$defs/no"]);
    check(json!({"$ref": "http://example.com/x"}), &["example.com"]);
    check(json!({"$ref": "#"}), &["without an end"]);
    check(
        json!({"type": "integer", "minimum": 3, "maximum": 2}),
        &["no integer"],
    );
    check(
        json!({"type": "number", "minimum": 3, "maximum": 2}),
        &["no number"],
    );
    check(json!({"type": "string", "pattern": "(?=a)"}), &["(?=a)"]);
    check(
        json!({"type": "string", "pattern": "^a$", "minLength": 2}),
        &["length"],
    );
    check(
        json!({"type": "array", "items": {"const": 1}, "uniqueItems": true, "minItems": 2}),
        &["different"],
    );
    let within = json!({"type": "object", "properties": {"a": {"type": "array", "items": false, "prefixItems": [false], "minItems": 1}}, "required": ["a"]});
    check(within, &["a.0"]);
    let endless =
        json!({"type": "object", "properties": {"me": {"$ref": "#"}}, "required": ["me"]});
    check(endless, &["without an end"]);
}
