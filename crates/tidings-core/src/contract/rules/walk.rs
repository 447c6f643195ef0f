//! The walk through a document by the plan of a type: what may be forgiven is, everything else is named.
//!
//! Codes and sentences are those of pydantic 2, because deployed callers know them. None of them quotes a value,
//! which is where some differ from pydantic's. A complaint refuses nothing: serde and the type have the last word.

use super::{
    Rules,
    json::Json,
    number,
    plan::{Dictionary, List, Node, Plan, Record, Tagged, Variants},
};
use crate::contract::{Place, Violation};

/// How many violations a list names at most: a list of a million wrong elements is answered, not repeated.
const MOST: usize = 1_000;

/// How many values are looked at, at most. A type that nests alternatives of itself can be asked to look at one value
/// again and again; what is not looked at is left to the type.
const STEPS: usize = 10_000_000;

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
        steps: 0,
    };
    let document = walker.value(&plan.root, document);
    Walked {
        document,
        violations: walker.violations,
        refused: walker.refused,
    }
}

pub(super) struct Walker<'p> {
    plan: &'p Plan,
    pub(super) lax: bool,
    way: Vec<Place>,
    violations: Vec<Violation>,
    pub(super) refused: bool,
    steps: usize,
}

impl<'p> Walker<'p> {
    pub(super) fn complain(&mut self, code: &'static str, message: impl Into<String>) {
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
        self.steps += 1;
        match node {
            Node::Any => return value,
            _ if self.steps > STEPS => return value,
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
            Node::Variants(variants) => return self.variants(variants, value),
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
        // A strict walk has only strict branches.
        let modes = if self.lax {
            &[false, true][..]
        } else {
            &[false]
        };
        for lax in modes {
            for (_, node) in branches {
                let mut trial = Walker {
                    plan: self.plan,
                    lax: *lax,
                    way: Vec::new(),
                    violations: Vec::new(),
                    refused: false,
                    steps: self.steps,
                };
                let meant = trial.value(node, value.clone());
                self.steps = trial.steps;
                if trial.violations.is_empty() {
                    return meant;
                }
            }
        }
        for (label, node) in branches {
            let place = Place::Member(label.clone());
            self.within(place, |walker| walker.value(node, value.clone()));
        }
        value
    }

    /// A variant is its name alone, or a record with one member of its name.
    fn variants(&mut self, variants: &'p Variants, value: Json) -> Json {
        match value {
            Json::Text(name) if variants.bare.contains(&name) => Json::Text(name),
            Json::Record(mut members) if members.len() == 1 => {
                let (name, data) = members.remove(0);
                let node = variants.full.iter().find(|(known, _)| *known == name);
                let data = match node {
                    Some((_, node)) => {
                        let place = Place::Member(name.clone());
                        self.within(place, |walker| walker.value(node, data))
                    }
                    None => {
                        self.choice(&variants.names(), &Json::Null);
                        data
                    }
                };
                Json::Record(vec![(name, data)])
            }
            value => {
                // A variant with data is none without it.
                let found = if value == Json::Torn {
                    &value
                } else {
                    &Json::Null
                };
                self.choice(&variants.names(), found);
                value
            }
        }
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

fn too_many(name: &str, most: u64, found: &str) -> String {
    let items = plural(most, "item");
    format!("{name} should have at most {most} {items} after validation, not {found}")
}

pub(super) fn plural(count: u64, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{noun}{ending}")
}
