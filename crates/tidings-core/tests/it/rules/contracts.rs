//! The twins of the classes in `tests/python/lax_rules.py`: the same members, by the same names.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use tidings_core::Command;

/// A contract with one member, `value`.
macro_rules! wrap {
    ($($name:ident: $(#[$rule:meta])* $type:ty;)*) => {$(
        #[derive(Command, Debug, PartialEq, Serialize, Deserialize, JsonSchema, garde::Validate)]
        #[command(crate = tidings_core)]
        #[garde(allow_unvalidated)]
        pub(crate) struct $name {
            $(#[$rule])*
            value: $type,
        }
    )*};
}

wrap! {
    Int: i64;
    Byte: u8;
    Float: f64;
    Bool: bool;
    Str: String;
    Nothing: ();
    Enumerated: Colour;
    Chosen: Letter;
    Single: Only;
    OptionalInt: Option<i64>;
    RequiredOptional: Option<i64>;
    DefaultInt: #[serde(default = "seven")] i64;
    Ints: Vec<i64>;
    FewInts: #[garde(length(min = 1, max = 3))] Vec<i64>;
    IntSet: BTreeSet<i64>;
    FewSet: #[garde(length(min = 2, max = 3))] BTreeSet<i64>;
    IntsByName: BTreeMap<String, i64>;
    StrsByInt: BTreeMap<i64, String>;
    Pair: (i64, String);
    IntOrStr: IntegerOrString;
    BoolOrFloat: TruthOrNumber;
    IntOrInts: OneOrMany;
    Greater: #[garde(custom(above(2.0)))] #[schemars(extend("exclusiveMinimum" = 2))] i64;
    AtLeast: #[garde(range(min = 2))] i64;
    Less: #[garde(custom(below(2.0)))] #[schemars(extend("exclusiveMaximum" = 2))] i64;
    AtMost: #[garde(range(max = 2))] i64;
    Between: #[garde(range(min = 1, max = 10), custom(fives))] #[schemars(extend("multipleOf" = 5))] i64;
    FloatGreater: #[garde(custom(above(0.5)))] #[schemars(extend("exclusiveMinimum" = 0.5))] f64;
    FloatBetween: #[garde(range(min = 0.0, max = 2.5))] f64;
    FloatMultiple: #[garde(custom(halves))] #[schemars(extend("multipleOf" = 0.5))] f64;
    ShortStr: #[garde(length(chars, min = 2, max = 4))] String;
    OneChar: char;
    Lowercase: #[garde(custom(lowercase))] #[schemars(extend("pattern" = "^[a-z]+$"))] String;
    Identified: uuid::Uuid;
    Timed: Moment;
    Anything: serde_json::Value;
    Either: PasswordOrToken;
}

#[derive(Command, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[command(crate = tidings_core)]
pub(crate) struct Several {
    name: String,
    count: i64,
    ratio: f64,
    tags: Vec<String>,
    site: Site,
    #[serde(default)]
    colour: Colour,
    note: Option<String>,
    #[serde(default = "enabled")]
    enabled: bool,
}

#[derive(Command, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[command(crate = tidings_core)]
#[serde(deny_unknown_fields)]
pub(crate) struct Forbidding {
    value: i64,
}

#[derive(Command, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[command(crate = tidings_core)]
pub(crate) struct Outer {
    site: Site,
    #[serde(default)]
    others: Vec<Site>,
    #[serde(default)]
    by_name: BTreeMap<String, Site>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Site {
    domain: String,
    #[serde(default = "eighty")]
    port: i64,
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Colour {
    #[default]
    Red,
    Green,
    /// Documented variants have a schema of another form, and come last in it.
    Blue,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Letter {
    A,
    B,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Only {
    Only,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum IntegerOrString {
    Integer(i64),
    String(String),
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum TruthOrNumber {
    Truth(bool),
    Number(f64),
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum OneOrMany {
    One(i64),
    Many(Vec<i64>),
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum PasswordOrToken {
    Password(Password),
    Token(Token),
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Password {
    password: String,
    length: i64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Token {
    token: i64,
    kind: String,
}

/// A moment, as pydantic writes it.
#[derive(Debug, PartialEq, JsonSchema)]
#[schemars(transparent, extend("format" = "date-time"))]
struct Moment(#[schemars(with = "String")] jiff::Timestamp);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let moment = text.parse().map_err(|_| D::Error::custom("not a moment"))?;
        Ok(Self(moment))
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let format = match self.0.subsec_nanosecond() {
            0 => "%Y-%m-%dT%H:%M:%SZ",
            _ => "%Y-%m-%dT%H:%M:%S.%6fZ",
        };
        serializer.collect_str(&self.0.strftime(format))
    }
}

fn seven() -> i64 {
    7
}

fn eighty() -> i64 {
    80
}

fn enabled() -> bool {
    true
}

/// What the rules of the twins compare.
trait Comparable: Copy {
    fn as_float(self) -> f64;
}

impl Comparable for f64 {
    fn as_float(self) -> f64 {
        self
    }
}

impl Comparable for i64 {
    #[expect(clippy::cast_precision_loss, reason = "the limits are small")]
    fn as_float(self) -> f64 {
        self as f64
    }
}

fn rule(holds: bool) -> garde::Result {
    if holds {
        Ok(())
    } else {
        Err(garde::Error::new("the type refuses it"))
    }
}

fn above<T: Comparable>(limit: f64) -> impl Fn(&T, &()) -> garde::Result {
    move |value, ()| rule(value.as_float() > limit)
}

fn below<T: Comparable>(limit: f64) -> impl Fn(&T, &()) -> garde::Result {
    move |value, ()| rule(value.as_float() < limit)
}

fn fives(value: &i64, (): &()) -> garde::Result {
    rule(value % 5 == 0)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "garde passes references")]
fn halves(value: &f64, (): &()) -> garde::Result {
    rule(!value.is_finite() || value % 0.5 < value.abs() / 1e9 || *value == 0.0)
}

fn lowercase(value: &str, (): &()) -> garde::Result {
    rule(!value.is_empty() && value.bytes().all(|byte| byte.is_ascii_lowercase()))
}
