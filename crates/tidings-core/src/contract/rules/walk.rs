//! The walk through a document by the plan of a type: what may be forgiven is, everything else is named.
//!
//! Codes and sentences are those of pydantic 2, because deployed callers know them. None of them quotes a value,
//! which is where some differ from pydantic's. A complaint refuses nothing: serde and the type have the last word.

use super::{
    Rules,
    json::Json,
    number,
    plan::{Dictionary, List, Node, Plan, Record, Spelling, Tagged, Text},
};
use crate::contract::{Place, Violation};

/// How many violations a list names at most: a list of a million wrong elements is answered, not repeated.
const MOST: usize = 1_000;

/// What came of a walk.
#[derive(Debug)]
pub(super) struct Walked {
    /// The values as they are meant.
    pub(super) document: Json,
    /// Everything that is wrong with them.
    pub(super) violations: Vec<Violation>,
    /// Whether they are refused even if the type accepts them: `NaN` lies within any range for who asks whether it
    /// lies outside.
    pub(super) refused: bool,
}

/// Walks through a document.
pub(super) fn walk(plan: &Plan, rules: Rules, document: Json) -> Walked {
    let mut walker = Walker {
        plan,
        lax: rules == Rules::Lax,
        way: Vec::new(),
        violations: Vec::new(),
        refused: false,
    };
    let document = walker.value(&plan.root, document);
    Walked {
        document,
        violations: walker.violations,
        refused: walker.refused,
    }
}

struct Walker<'p> {
    plan: &'p Plan,
    lax: bool,
    way: Vec<Place>,
    violations: Vec<Violation>,
    refused: bool,
}

impl<'p> Walker<'p> {
    fn complain(&mut self, code: &'static str, message: impl Into<String>) {
        if self.violations.len() < MOST {
            let violation = Violation::new(self.way.clone(), message, code);
            self.violations.push(violation);
        }
    }

    fn within<T>(&mut self, place: Place, inner: impl FnOnce(&mut Self) -> T) -> T {
        self.way.push(place);
        let result = inner(self);
        self.way.pop();
        result
    }

    /// The value as it is meant; one that cannot be meant stays as it is.
    fn value(&mut self, node: &'p Node, value: Json) -> Json {
        match node {
            Node::Any => return value,
            Node::Defined(index) => return self.value(self.plan.defined(*index), value),
            Node::Optional(_) if value == Json::Null => return value,
            Node::Optional(node) => return self.value(node, value),
            Node::Integer(bounds) => {
                let value = self.integer(value);
                return self.bounded(bounds, value, |value| {
                    matches!(value, Json::Int(_) | Json::Huge(_))
                });
            }
            Node::Number(bounds) => {
                let value = self.number(value);
                return self.bounded(bounds, value, |value| {
                    matches!(value, Json::Int(_) | Json::Huge(_) | Json::Float(_))
                });
            }
            Node::Bool => return self.truth(value),
            Node::List(list) => return self.list(list, value),
            Node::Tuple(nodes) => return self.tuple(nodes, value),
            Node::Record(record) => return self.record(record, value),
            Node::Dictionary(dictionary) => return self.dictionary(dictionary, value),
            Node::Either(branches) => return self.either(branches, value),
            Node::Tagged(tagged) => return self.tagged(tagged, value),
            Node::All(nodes) => {
                return nodes
                    .iter()
                    .fold(value, |value, node| self.value(node, value));
            }
            Node::Null if value != Json::Null => {
                self.complain("none_required", "Input should be None");
            }
            Node::Null => {}
            Node::Text(text) => return self.text(text, value),
            Node::Choice(choices) => self.choice(choices, &value),
        }
        value
    }

    fn bounded(&mut self, bounds: &number::Bounds, value: Json, is: fn(&Json) -> bool) -> Json {
        if is(&value) {
            if let Some((code, message)) = bounds.broken(&value) {
                self.refused |= matches!(value, Json::Float(float) if float.is_nan());
                self.complain(code, message);
            }
        }
        value
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "only floats without a fraction and within 64 bits are cast"
    )]
    fn integer(&mut self, value: Json) -> Json {
        let (code, message) = match &value {
            Json::Int(_) | Json::Huge(_) => return value,
            Json::Bool(value) if self.lax => return Json::Int((*value).into()),
            Json::Float(float) if self.lax && !float.is_finite() => {
                ("finite_number", "Input should be a finite number")
            }
            Json::Float(float) if self.lax && float.fract() != 0.0 => (
                "int_from_float",
                "Input should be a valid integer, got a number with a fractional part",
            ),
            // Beyond 64 bits a float stands for many integers.
            Json::Float(float) if self.lax && float.abs() >= 9_223_372_036_854_775_808.0 => (
                "int_parsing_size",
                "Unable to parse input string as an integer, exceeded maximum size",
            ),
            Json::Float(float) if self.lax => return Json::Int(*float as i128),
            Json::Text(text) if self.lax => match number::integer(text) {
                Some(integer) => return integer,
                None => (
                    "int_parsing",
                    "Input should be a valid integer, unable to parse string as an integer",
                ),
            },
            Json::Torn if self.lax => TORN,
            _ => ("int_type", "Input should be a valid integer"),
        };
        self.complain(code, message);
        value
    }

    fn number(&mut self, value: Json) -> Json {
        let (code, message) = match &value {
            Json::Float(float) if !self.lax && !float.is_finite() => {
                ("finite_number", "Input should be a finite number")
            }
            Json::Int(_) | Json::Huge(_) | Json::Float(_) => return value,
            Json::Bool(value) if self.lax => return Json::Float(f64::from(u8::from(*value))),
            Json::Text(text) if self.lax => match number::float(text) {
                Some(float) => return Json::Float(float),
                None => (
                    "float_parsing",
                    "Input should be a valid number, unable to parse string as a number",
                ),
            },
            Json::Torn if self.lax => TORN,
            _ => ("float_type", "Input should be a valid number"),
        };
        self.complain(code, message);
        value
    }

    fn truth(&mut self, value: Json) -> Json {
        const UNCLEAR: (&str, &str) = (
            "bool_parsing",
            "Input should be a valid boolean, unable to interpret input",
        );
        const NONE: (&str, &str) = ("bool_type", "Input should be a valid boolean");
        let (code, message) = match &value {
            Json::Bool(_) => return value,
            Json::Int(0 | 1) if self.lax => return Json::Bool(value == Json::Int(1)),
            Json::Int(integer) if self.lax && i64::try_from(*integer).is_ok() => UNCLEAR,
            Json::Float(float) if self.lax && (*float == 0.0 || *float == 1.0) => {
                return Json::Bool(*float == 1.0);
            }
            Json::Float(float) if self.lax && float.fract() == 0.0 && float.abs() < 9.2e18 => {
                UNCLEAR
            }
            Json::Text(text) if self.lax => match number::truth(text) {
                Some(truth) => return Json::Bool(truth),
                None => UNCLEAR,
            },
            Json::Torn if self.lax => TORN,
            _ => NONE,
        };
        self.complain(code, message);
        value
    }

    fn text(&mut self, rules: &Text, value: Json) -> Json {
        let text = match &value {
            Json::Text(text) if self.lax && rules.format == Spelling::DateTime => {
                match text.parse() {
                    Ok(seconds) => return self.moment(Json::Float(seconds)),
                    Err(_) => text,
                }
            }
            Json::Text(text) => text,
            Json::Torn => {
                self.complain(TORN.0, TORN.1);
                return value;
            }
            Json::Int(_) | Json::Float(_) if self.lax && rules.format == Spelling::DateTime => {
                return self.moment(value);
            }
            _ => {
                let (code, message) = match rules.format {
                    Spelling::Plain => ("string_type", "Input should be a valid string"),
                    Spelling::Uuid => (
                        "uuid_type",
                        "UUID input should be a string, bytes or UUID object",
                    ),
                    Spelling::DateTime => ("datetime_type", "Input should be a valid datetime"),
                };
                self.complain(code, message);
                return value;
            }
        };
        if let Some((code, message)) = misspelt(rules, text) {
            self.complain(code, message);
        }
        value
    }

    /// The moment that so many seconds (or, for great numbers, milliseconds) after 1970 are.
    fn moment(&mut self, value: Json) -> Json {
        let seconds = match value {
            #[expect(
                clippy::cast_precision_loss,
                reason = "moments this far away are refused"
            )]
            Json::Int(seconds) => seconds as f64,
            Json::Float(seconds) => seconds,
            _ => f64::NAN,
        };
        let seconds = if seconds.abs() > 2e10 {
            seconds / 1e3
        } else {
            seconds
        };
        // Python's moments have microseconds.
        let micros = jiff::SignedDuration::try_from_secs_f64(seconds)
            .ok()
            .and_then(|since| jiff::Timestamp::from_duration(since).ok())
            .and_then(|moment| moment.round(jiff::Unit::Microsecond).ok());
        if let Some(moment) = micros {
            return Json::Text(moment.to_string());
        }
        self.complain("datetime_parsing", "Input should be a valid datetime");
        value
    }

    fn choice(&mut self, choices: &[String], value: &Json) {
        match value {
            Json::Text(text) if choices.contains(text) => {}
            Json::Torn => self.complain(TORN.0, TORN.1),
            _ => self.complain("enum", format!("Input should be {}", one_of(choices))),
        }
    }

    fn list(&mut self, list: &'p List, value: Json) -> Json {
        let name = if list.unique { "Set" } else { "List" };
        let Json::List(elements) = value else {
            if list.unique {
                self.complain("set_type", "Input should be a valid set");
            } else {
                self.complain("list_type", "Input should be a valid list");
            }
            return value;
        };
        let count = elements.len() as u64;
        if let Some(longest) = list.longest.filter(|most| count > *most && !list.unique) {
            let message = too_many(name, longest, &count.to_string());
            self.complain("too_long", message);
            return Json::List(elements);
        }
        let before = self.violations.len();
        let element = |(index, element)| {
            let place = Place::Element(index);
            self.within(place, |walker| walker.value(&list.elements, element))
        };
        let elements: Vec<_> = elements.into_iter().enumerate().map(element).collect();
        if self.violations.len() == before {
            self.counted(list, name, &elements);
        }
        Json::List(elements)
    }

    /// Complains about a list of good elements that is too short, or a set that is too long.
    fn counted(&mut self, list: &List, name: &str, elements: &[Json]) {
        if list.shortest.is_none() && list.longest.is_none() {
            return;
        }
        let count = if list.unique {
            let once: std::collections::HashSet<_> = elements
                .iter()
                .map(|element| format!("{element:?}"))
                .collect();
            once.len() as u64
        } else {
            elements.len() as u64
        };
        if let Some(longest) = list.longest.filter(|most| count > *most) {
            self.complain("too_long", too_many(name, longest, "more"));
        } else if let Some(shortest) = list.shortest.filter(|least| count < *least) {
            let items = plural(shortest, "item");
            let message = format!(
                "{name} should have at least {shortest} {items} after validation, not {count}"
            );
            self.complain("too_short", message);
        }
    }

    fn tuple(&mut self, nodes: &'p [Node], value: Json) -> Json {
        let Json::List(elements) = value else {
            self.complain("tuple_type", "Input should be a valid tuple");
            return value;
        };
        let (count, most) = (elements.len(), nodes.len());
        if count > most {
            let message = too_many("Tuple", most as u64, &count.to_string());
            self.complain("too_long", message);
            return Json::List(elements);
        }
        let element = |(index, (node, element))| {
            self.within(Place::Element(index), |walker| walker.value(node, element))
        };
        let pairs = nodes.iter().zip(elements).enumerate();
        let elements = pairs.map(element).collect();
        for missing in count..most {
            self.within(Place::Element(missing), Self::missing);
        }
        Json::List(elements)
    }

    fn missing(&mut self) {
        self.complain("missing", "Field required");
    }

    fn record(&mut self, record: &'p Record, value: Json) -> Json {
        let Json::Record(mut members) = value else {
            let title = &record.title;
            let message = format!("Input should be a valid dictionary or instance of {title}");
            self.complain("model_type", message);
            return value;
        };
        for member in &record.members {
            let place = Place::Member(member.name.clone());
            let found = members.iter_mut().find(|(name, _)| *name == member.name);
            match found {
                Some((_, value)) => {
                    let given = std::mem::replace(value, Json::Null);
                    *value = self.within(place, |walker| walker.value(&member.node, given));
                }
                None if member.required => self.within(place, Self::missing),
                None => {}
            }
        }
        if record.closed {
            self.others(record, &members);
        }
        Json::Record(members)
    }

    fn others(&mut self, record: &Record, members: &[(String, Json)]) {
        for (name, _) in members {
            if !record.members.iter().any(|member| member.name == *name) {
                let place = Place::Member(name.clone());
                self.within(place, |walker| {
                    walker.complain("extra_forbidden", "Extra inputs are not permitted");
                });
            }
        }
    }

    fn dictionary(&mut self, dictionary: &'p Dictionary, value: Json) -> Json {
        let Json::Record(members) = value else {
            self.complain("dict_type", "Input should be a valid dictionary");
            return value;
        };
        let member = |(name, value): (String, Json)| {
            self.within(Place::Member(name.clone()), |walker| {
                let name = if dictionary.integers {
                    walker.integer_name(name)
                } else {
                    name
                };
                (name, walker.value(&dictionary.values, value))
            })
        };
        Json::Record(members.into_iter().map(member).collect())
    }

    fn integer_name(&mut self, name: String) -> String {
        let key = Place::Member("[key]".to_owned());
        let spelt = if self.lax {
            number::integer(&name)
        } else {
            name.parse().ok().map(Json::Int)
        };
        match spelt {
            Some(Json::Int(integer)) => integer.to_string(),
            Some(_) => name,
            None => {
                self.within(key, |walker| {
                    walker.complain(
                        "int_parsing",
                        "Input should be a valid integer, unable to parse string as an integer",
                    );
                });
                name
            }
        }
    }

    /// The first branch that fits as it is, else the first that fits when it is forgiven.
    fn either(&mut self, branches: &'p [(String, Node)], value: Json) -> Json {
        let before = self.violations.len();
        for lax in [false, true] {
            // A strict walk has only strict branches.
            if lax && !self.lax {
                break;
            }
            for (_, node) in branches {
                let mut trial = Walker {
                    plan: self.plan,
                    lax,
                    way: Vec::new(),
                    violations: Vec::new(),
                    refused: false,
                };
                let meant = trial.value(node, value.clone());
                if trial.violations.is_empty() {
                    return meant;
                }
            }
        }
        for (label, node) in branches {
            let place = Place::Member(label.clone());
            self.within(place, |walker| walker.value(node, value.clone()));
        }
        debug_assert!(self.violations.len() > before || before >= MOST);
        value
    }

    fn tagged(&mut self, tagged: &'p Tagged, value: Json) -> Json {
        let tag = &tagged.tag;
        let Json::Record(members) = &value else {
            let message = "Input should be a valid dictionary or object to extract fields from";
            self.complain("model_attributes_type", message);
            return value;
        };
        let Some((_, found)) = members.iter().find(|(name, _)| name == tag) else {
            let message = format!("Unable to extract tag using discriminator '{tag}'");
            self.complain("union_tag_not_found", message);
            return value;
        };
        let mut variants = tagged.variants.iter();
        let variant = variants.find(|(name, _)| matches!(found, Json::Text(text) if text == name));
        if let Some((name, node)) = variant {
            let place = Place::Member(name.clone());
            return self.within(place, |walker| walker.value(node, value));
        }
        let known: Vec<_> = tagged
            .variants
            .iter()
            .map(|(name, _)| format!("'{name}'"))
            .collect();
        let known = known.join(", ");
        let message = format!(
            "Input tag found using '{tag}' does not match any of the expected tags: {known}"
        );
        self.complain("union_tag_invalid", message);
        value
    }
}

const TORN: (&str, &str) = (
    "string_unicode",
    "Input should be a valid string, unable to parse raw data as a unicode string",
);

fn misspelt(rules: &Text, text: &str) -> Option<(&'static str, String)> {
    let length = text.chars().count() as u64;
    if let Some(least) = rules.shortest.filter(|least| length < *least) {
        let characters = plural(least, "character");
        let message = format!("String should have at least {least} {characters}");
        return Some(("string_too_short", message));
    }
    if let Some(most) = rules.longest.filter(|most| length > *most) {
        let characters = plural(most, "character");
        let message = format!("String should have at most {most} {characters}");
        return Some(("string_too_long", message));
    }
    if let Some(pattern) = rules
        .pattern
        .as_ref()
        .filter(|pattern| !pattern.is_match(text))
    {
        let message = format!("String should match pattern '{pattern}'");
        return Some(("string_pattern_mismatch", message));
    }
    match rules.format {
        Spelling::Uuid if uuid::Uuid::parse_str(text).is_err() => {
            Some(("uuid_parsing", "Input should be a valid UUID".to_owned()))
        }
        Spelling::DateTime if !is_moment(text) => Some((
            "datetime_from_date_parsing",
            "Input should be a valid datetime or date".to_owned(),
        )),
        _ => None,
    }
}

fn is_moment(text: &str) -> bool {
    text.parse::<jiff::Timestamp>().is_ok() || text.parse::<jiff::civil::DateTime>().is_ok()
}

fn too_many(name: &str, most: u64, found: &str) -> String {
    let items = plural(most, "item");
    format!("{name} should have at most {most} {items} after validation, not {found}")
}

fn plural(count: u64, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{noun}{ending}")
}

/// `'a', 'b' or 'c'`.
fn one_of(choices: &[String]) -> String {
    let quoted: Vec<_> = choices.iter().map(|choice| format!("'{choice}'")).collect();
    match quoted.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => quoted.concat(),
    }
}
