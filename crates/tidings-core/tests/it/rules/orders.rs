//! Types that pydantic has no twin for, or that only the type itself can judge.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tidings_core::{Command, Contract, ErrorKind, contract::Rules};

use super::{decode, outcome};

#[derive(Command, Debug, PartialEq, Serialize, Deserialize, JsonSchema, garde::Validate)]
#[command(crate = tidings_core)]
#[garde(allow_unvalidated)]
struct Order {
    #[garde(range(min = 1))]
    count: u32,
    #[garde(custom(odd_ones_out))]
    label: String,
    #[serde(default)]
    domain: Option<Domain>,
    #[serde(default)]
    shipping: Option<Shipping>,
    #[serde(default)]
    payment: Option<Payment>,
    #[serde(default)]
    parts: Vec<Part>,
    #[serde(flatten)]
    origin: Origin,
    #[serde(default)]
    huge: Option<i128>,
    #[serde(default)]
    stock: BTreeMap<Shelf, u8>,
}

fn odd_ones_out(label: &str, (): &()) -> garde::Result {
    match label {
        "odd" => Err(garde::Error::new("is odd")),
        _ => Ok(()),
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
struct Domain(String);

impl TryFrom<String> for Domain {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.contains('.') {
            Ok(Self(text))
        } else {
            Err(format!("`{text}` has no dot"))
        }
    }
}

impl From<Domain> for String {
    fn from(domain: Domain) -> Self {
        domain.0
    }
}

impl Clone for Domain {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Shipping {
    PickUp,
    Parcel { weight: f64 },
    Letter(u8),
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Payment {
    Cash,
    Card { digits: u32 },
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Part {
    size: i32,
    #[serde(default)]
    parts: Vec<Self>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Origin {
    #[serde(default)]
    country: String,
    #[serde(default)]
    zone: u8,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Shelf {
    Upper,
    Lower,
}

fn order(more: &str) -> String {
    format!(r#"{{"count":"2","label":"x"{more}}}"#)
}

/// A lax contract makes this of the members, beside `count` and `label`.
fn accepts(more: &str, member: &str, expected: &Value) {
    let found = outcome::<Order>(Rules::Lax, order(more).as_bytes());
    assert_eq!(&found["value"][member], expected, "{more}: {found}");
}

fn refuses_text<T: Contract>(rules: Rules, text: &str, expected: &[(&str, &str, &str)]) {
    let error = decode::<T>(rules, text.as_bytes()).map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    let invalid: &tidings_core::contract::Invalid = error.source_ref().unwrap();
    let found: Vec<_> = invalid
        .violations()
        .iter()
        .map(|violation| (&*violation.path, &*violation.code, &*violation.message))
        .collect();
    assert_eq!(found, expected, "{text}");
}

fn refuses(more: &str, expected: &[(&str, &str, &str)]) {
    refuses_text::<Order>(Rules::Lax, &order(more), expected);
}

#[test]
fn enums_are_forgiven_inside() {
    accepts(r#","shipping":"pick_up""#, "shipping", &json!("pick_up"));
    let parcel = json!({"parcel": {"weight": 2.5}});
    accepts(
        r#","shipping":{"parcel":{"weight":"2.5"}}"#,
        "shipping",
        &parcel,
    );
    accepts(
        r#","shipping":{"letter":"3"}"#,
        "shipping",
        &json!({"letter": 3}),
    );
    let card = json!({"kind": "card", "digits": 12});
    accepts(
        r#","payment":{"digits":"12","kind":"card"}"#,
        "payment",
        &card,
    );
    accepts(
        r#","shipping":null,"payment":null"#,
        "payment",
        &json!(null),
    );
}

#[test]
fn enums_say_what_they_know() {
    let choices = "Input should be 'pick_up', 'parcel' or 'letter'";
    for unknown in [r#""x""#, r#"{"x":1}"#, "[]", "7", r#""parcel""#, "{}"] {
        refuses(
            &format!(r#","shipping":{unknown}"#),
            &[("shipping", "enum", choices)],
        );
    }
    refuses(
        r#","shipping":{"parcel":{"weight":"heavy"}}"#,
        &[(
            "shipping.parcel.weight",
            "float_parsing",
            "Input should be a valid number, unable to parse string as a number",
        )],
    );
    refuses(
        r#","payment":{"kind":"secret"}"#,
        &[(
            "payment",
            "union_tag_invalid",
            "Input tag found using 'kind' does not match any of the expected tags: 'cash', 'card'",
        )],
    );
    refuses(
        r#","payment":{}"#,
        &[(
            "payment",
            "union_tag_not_found",
            "Unable to extract tag using discriminator 'kind'",
        )],
    );
    refuses(
        r#","payment":{"kind":"card"}"#,
        &[("payment.card.digits", "missing", "Field required")],
    );
}

#[test]
fn flattened_and_recursive_members_are_forgiven() {
    accepts(r#","zone":"7","country":"ES""#, "zone", &json!(7));
    let nested = json!([{"size": 1, "parts": [{"size": 2, "parts": []}]}]);
    accepts(
        r#","parts":[{"size":"1","parts":[{"size":2.0}]}]"#,
        "parts",
        &nested,
    );
    accepts(r#","stock":{"upper":"3"}"#, "stock", &json!({"upper": 3}));
    let huge = decode::<Order>(
        Rules::Lax,
        order(r#","huge":"-170141183460469231731687303715884105728""#).as_bytes(),
    );
    assert_eq!(huge.unwrap().huge, Some(i128::MIN));
    refuses(
        r#","parts":[{"size":1,"parts":[{},{"size":2147483648}]}]"#,
        &[
            ("parts[0].parts[0].size", "missing", "Field required"),
            (
                "parts[0].parts[1].size",
                "less_than_equal",
                "Input should be less than or equal to 2147483647",
            ),
        ],
    );
}

#[test]
fn what_the_type_refuses_is_named_with_its_place_and_without_the_value() {
    refuses(
        r#","domain":"topsecret""#,
        &[("domain", "value_error", "Value error, it has no dot")],
    );
    accepts(r#","domain":"a.b""#, "domain", &json!("a.b"));
}

#[test]
fn rules_of_the_type_and_of_the_schema_make_one_list() {
    refuses_text::<Order>(
        Rules::Strict,
        r#"{"count":0,"label":"odd"}"#,
        &[
            (
                "count",
                "greater_than_equal",
                "Input should be greater than or equal to 1",
            ),
            ("label", "value_error", "is odd"),
        ],
    );
}

#[test]
fn a_strict_contract_names_everything_too() {
    refuses_text::<Order>(
        Rules::Strict,
        r#"{"count":"3","label":7,"parts":[{"size":1.0},{}],"domain":"a.b","zone":true}"#,
        &[
            ("count", "int_type", "Input should be a valid integer"),
            ("label", "string_type", "Input should be a valid string"),
            (
                "parts[0].size",
                "int_type",
                "Input should be a valid integer",
            ),
            ("parts[1].size", "missing", "Field required"),
            ("zone", "int_type", "Input should be a valid integer"),
        ],
    );
}

#[test]
fn the_last_of_two_members_counts_only_where_it_is_forgiven() {
    let twice = r#"{"count":1,"label":"a","label":"b"}"#;
    let lax: Order = decode(Rules::Lax, twice.as_bytes()).unwrap();
    assert_eq!(lax.label, "b");
    let error = decode::<Order>(Rules::Strict, twice.as_bytes()).unwrap_err();
    assert!(error.to_string().contains("duplicate field"), "{error}");
}

#[test]
fn what_is_no_object_is_refused_as_such() {
    let wanted = "Input should be a valid dictionary or instance of Order";
    for text in ["3", "null", "\"x\"", "NaN", " [1,\"x\"]"] {
        refuses_text::<Order>(Rules::Lax, text, &[("", "model_type", wanted)]);
    }
    let positions = "[1]";
    assert!(serde_json::from_str::<super::Int>(positions).is_ok());
    let wanted = "Input should be a valid dictionary or instance of Int";
    refuses_text::<super::Int>(Rules::Strict, positions, &[("", "model_type", wanted)]);
}

#[test]
fn a_long_list_of_wrong_values_is_answered_and_not_repeated() {
    let parts = vec!["{}"; 50_000].join(",");
    let error = decode::<Order>(
        Rules::Lax,
        order(&format!(r#","parts":[{parts}]"#)).as_bytes(),
    );
    let error = error.unwrap_err();
    let invalid: &tidings_core::contract::Invalid = error.source_ref().unwrap();
    assert_eq!(invalid.violations().len(), 1_000);
    assert!(error.to_string().ends_with("; and 990 more"), "{error}");
}

#[test]
fn documents_that_nest_too_deeply_are_not_read() {
    let deep = order(&format!(
        r#","unknown":{}{}"#,
        "[".repeat(5_000),
        "]".repeat(5_000)
    ));
    let error = decode::<Order>(Rules::Lax, deep.as_bytes()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Decode);
    assert!(
        error
            .to_string()
            .contains("nested too deeply at line 1 column"),
        "{error}"
    );
}
