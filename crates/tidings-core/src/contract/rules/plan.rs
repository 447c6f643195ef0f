//! The JSON Schema of a type as a plan for the walk: what may stand where.
//!
//! It knows what schemars writes for Rust types, and takes everything else as "anything", which is harmless: serde
//! and the type decide, the walk only forgives and explains.

use schemars::Schema;
use serde_json::{Map, Value};

use super::number::{Bounds, Limit};

/// What may stand in a document, with the definitions that it refers to.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) root: Node,
    definitions: Vec<(String, Node)>,
}

/// What may stand in one place.
#[derive(Debug)]
pub(super) enum Node {
    Any,
    Null,
    Bool,
    Integer(Bounds),
    Number(Bounds),
    Text(Text),
    /// One of these strings.
    Choice(Vec<String>),
    List(List),
    Tuple(Vec<Self>),
    Record(Record),
    Dictionary(Dictionary),
    Optional(Box<Self>),
    /// One of these, with the names that pydantic would give them.
    Either(Vec<(String, Self)>),
    Tagged(Tagged),
    Variants(Variants),
    /// All of these at once: the members of flattened types.
    All(Vec<Self>),
    /// The definition of this index.
    Defined(usize),
}

/// Rules for a string.
#[derive(Debug)]
pub(super) struct Text {
    pub(super) shortest: Option<u64>,
    pub(super) longest: Option<u64>,
    pub(super) pattern: Option<regex_lite::Regex>,
    pub(super) format: Spelling,
}

/// What a string spells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spelling {
    Plain,
    Uuid,
    DateTime,
}

#[derive(Debug)]
pub(super) struct List {
    pub(super) elements: Box<Node>,
    pub(super) shortest: Option<u64>,
    pub(super) longest: Option<u64>,
    /// Each element once: a set.
    pub(super) unique: bool,
}

#[derive(Debug)]
pub(super) struct Record {
    pub(super) title: String,
    pub(super) members: Vec<Member>,
    /// Whether other members are refused.
    pub(super) closed: bool,
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) node: Node,
    pub(super) required: bool,
}

#[derive(Debug)]
pub(super) struct Dictionary {
    /// Whether the names stand for integers.
    pub(super) integers: bool,
    pub(super) values: Box<Node>,
}

/// One of several records, told apart by the value of one member.
#[derive(Debug)]
pub(super) struct Tagged {
    pub(super) tag: String,
    pub(super) variants: Vec<(String, Node)>,
}

/// The variants of an enum, as serde writes them unless told otherwise.
#[derive(Debug)]
pub(super) struct Variants {
    /// Those without data.
    pub(super) bare: Vec<String>,
    /// Those with data.
    pub(super) full: Vec<(String, Node)>,
}

impl Variants {
    pub(super) fn names(&self) -> Vec<String> {
        let full = self.full.iter().map(|(name, _)| name);
        self.bare.iter().chain(full).cloned().collect()
    }
}

impl Plan {
    pub(super) fn new(schema: &Schema) -> Self {
        let schema = schema.as_value();
        let defined = schema.get("$defs").and_then(Value::as_object);
        let names: Vec<&str> = defined
            .into_iter()
            .flat_map(Map::keys)
            .map(String::as_str)
            .collect();
        let definition = |(name, schema): (&String, &Value)| {
            let node = node(schema, name, &names);
            (name.clone(), node)
        };
        Self {
            root: node(schema, "", &names),
            definitions: defined.into_iter().flatten().map(definition).collect(),
        }
    }

    pub(super) fn is_record(&self) -> bool {
        matches!(self.root, Node::Record(_))
    }

    pub(super) fn defined(&self, index: usize) -> &Node {
        &self.definitions[index].1
    }
}

/// `name` is the one under which the schema is defined; empty for schemas that stand where they are used.
fn node(schema: &Value, name: &str, names: &[&str]) -> Node {
    let Some(schema) = schema.as_object() else {
        return Node::Any;
    };
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let target = reference.strip_prefix("#/$defs/").unwrap_or_default();
        let index = names.iter().position(|name| *name == target);
        return index.map_or(Node::Any, Node::Defined);
    }
    let mut parts = Vec::new();
    if schema.contains_key("type") || schema.contains_key("const") || schema.contains_key("enum") {
        parts.push(typed(schema, name, names));
    }
    for key in ["anyOf", "oneOf"] {
        if let Some(Value::Array(branches)) = schema.get(key) {
            parts.push(either(branches, names));
        }
    }
    if let Some(Value::Array(all)) = schema.get("allOf") {
        parts.extend(all.iter().map(|schema| node(schema, "", names)));
    }
    match parts.len() {
        0 => Node::Any,
        1 => parts.remove(0),
        _ => Node::All(parts),
    }
}

fn typed(schema: &Map<String, Value>, name: &str, names: &[&str]) -> Node {
    match schema.get("type") {
        Some(Value::Array(kinds)) => {
            let mut others = kinds.iter().filter_map(Value::as_str);
            let nullable = kinds.iter().any(|kind| kind == "null");
            let kind = others.find(|kind| *kind != "null").unwrap_or("null");
            let node = of_kind(kind, schema, name, names);
            match (kinds.len(), nullable) {
                (1, _) => node,
                (2, true) => Node::Optional(Box::new(node)),
                _ => Node::Any,
            }
        }
        Some(Value::String(kind)) => of_kind(kind, schema, name, names),
        _ => choice(schema),
    }
}

fn of_kind(kind: &str, schema: &Map<String, Value>, name: &str, names: &[&str]) -> Node {
    match kind {
        "null" => Node::Null,
        "boolean" => Node::Bool,
        "integer" => Node::Integer(bounds(schema).within(format(schema))),
        "number" => Node::Number(bounds(schema)),
        "string" if schema.contains_key("const") || schema.contains_key("enum") => choice(schema),
        "string" => Node::Text(text(schema)),
        "array" => array(schema, names),
        "object" => object(schema, name, names),
        _ => Node::Any,
    }
}

fn choice(schema: &Map<String, Value>) -> Node {
    let one = schema.get("const").into_iter();
    let many = schema.get("enum").and_then(Value::as_array);
    let choices: Vec<_> = one.chain(many.into_iter().flatten()).collect();
    let names: Vec<_> = choices
        .iter()
        .filter_map(|choice| choice.as_str())
        .collect();
    let nullable = choices.iter().any(|choice| choice.is_null());
    // What is neither a string nor null is left to serde.
    if names.is_empty() || names.len() + usize::from(nullable) != choices.len() {
        return Node::Any;
    }
    let node = Node::Choice(names.into_iter().map(str::to_owned).collect());
    if nullable {
        Node::Optional(Box::new(node))
    } else {
        node
    }
}

fn bounds(schema: &Map<String, Value>) -> Bounds {
    let limit = |key: &str| schema.get(key).and_then(Limit::of);
    Bounds {
        multiple_of: limit("multipleOf"),
        at_most: limit("maximum"),
        less: limit("exclusiveMaximum"),
        at_least: limit("minimum"),
        greater: limit("exclusiveMinimum"),
    }
}

fn format(schema: &Map<String, Value>) -> &str {
    let format = schema.get("format").and_then(Value::as_str);
    format.unwrap_or_default()
}

fn text(schema: &Map<String, Value>) -> Text {
    let pattern = schema.get("pattern").and_then(Value::as_str);
    Text {
        shortest: schema.get("minLength").and_then(Value::as_u64),
        longest: schema.get("maxLength").and_then(Value::as_u64),
        // A pattern that this engine does not know is left to the type.
        pattern: pattern.and_then(|pattern| regex_lite::Regex::new(pattern).ok()),
        format: match format(schema) {
            "uuid" => Spelling::Uuid,
            "date-time" => Spelling::DateTime,
            _ => Spelling::Plain,
        },
    }
}

fn array(schema: &Map<String, Value>, names: &[&str]) -> Node {
    if let Some(Value::Array(elements)) = schema.get("prefixItems") {
        let elements = elements.iter().map(|element| node(element, "", names));
        return Node::Tuple(elements.collect());
    }
    let elements = schema.get("items").map(|items| node(items, "", names));
    Node::List(List {
        elements: Box::new(elements.unwrap_or(Node::Any)),
        shortest: schema.get("minItems").and_then(Value::as_u64),
        longest: schema.get("maxItems").and_then(Value::as_u64),
        unique: schema.get("uniqueItems") == Some(&Value::Bool(true)),
    })
}

fn object(schema: &Map<String, Value>, name: &str, names: &[&str]) -> Node {
    let refused = Value::Bool(false);
    let others = schema.get("additionalProperties");
    let by_pattern = schema.get("patternProperties").and_then(Value::as_object);
    if !schema.contains_key("properties") {
        let pattern = by_pattern.and_then(|patterns| patterns.iter().next());
        if let Some((pattern, values)) = pattern {
            return Node::Dictionary(Dictionary {
                integers: pattern.ends_with(r"\d+$"),
                values: Box::new(node(values, "", names)),
            });
        }
        if let Some(values) = others.filter(|others| **others != refused) {
            return Node::Dictionary(Dictionary {
                integers: false,
                values: Box::new(node(values, "", names)),
            });
        }
    }
    let required = schema.get("required").and_then(Value::as_array);
    let required: Vec<_> = required.into_iter().flatten().collect();
    let member = |(name, schema): (&String, &Value)| Member {
        name: name.clone(),
        node: node(schema, "", names),
        required: required.iter().any(|required| *required == name),
    };
    let members = schema.get("properties").and_then(Value::as_object);
    let unevaluated = schema.get("unevaluatedProperties");
    let title = schema.get("title").and_then(Value::as_str);
    Node::Record(Record {
        title: title.unwrap_or(name).to_owned(),
        members: members.into_iter().flatten().map(member).collect(),
        // Flattened members are evaluated elsewhere: then serde knows which ones are too many.
        closed: others == Some(&refused) && by_pattern.is_none() && unevaluated.is_none(),
    })
}

fn either(branches: &[Value], names: &[&str]) -> Node {
    let is_null = |branch: &&Value| branch.get("type") == Some(&Value::from("null"));
    if branches.iter().any(|branch| is_null(&branch)) {
        let others: Vec<_> = branches.iter().filter(|b| !is_null(b)).cloned().collect();
        return Node::Optional(Box::new(match &*others {
            [one] => node(one, "", names),
            _ => either(&others, names),
        }));
    }
    if let Some(tagged) = tagged(branches, names) {
        return Node::Tagged(tagged);
    }
    if let Some(variants) = variants(branches, names) {
        return match variants.full.len() {
            0 => Node::Choice(variants.bare),
            _ => Node::Variants(variants),
        };
    }
    let branch = |branch| (label(branch), node(branch, "", names));
    Node::Either(branches.iter().map(branch).collect())
}

/// The branches as variants, if each is some constants or a record of one member that tolerates no other.
fn variants(branches: &[Value], names: &[&str]) -> Option<Variants> {
    let mut variants = Variants {
        bare: Vec::new(),
        full: Vec::new(),
    };
    for branch in branches {
        let alone = branch.get("additionalProperties") == Some(&Value::Bool(false));
        match choice(branch.as_object()?) {
            Node::Choice(choices) => variants.bare.extend(choices),
            _ => {
                let name = single(branch).filter(|_| alone)?;
                let data = node(&branch["properties"][name], "", names);
                variants.full.push((name.to_owned(), data));
            }
        }
    }
    Some(variants)
}

/// The branches as variants, if there is a member that has another constant in each of them.
fn tagged(branches: &[Value], names: &[&str]) -> Option<Tagged> {
    let constants = |branch: &Value| -> Vec<(String, String)> {
        let members = branch.get("properties").and_then(Value::as_object);
        let constant = |(name, schema): (&String, &Value)| {
            let value = schema.get("const")?.as_str()?;
            Some((name.clone(), value.to_owned()))
        };
        members.into_iter().flatten().filter_map(constant).collect()
    };
    let (tag, _) = constants(branches.first()?).into_iter().next()?;
    let variant = |branch: &Value| {
        let value = constants(branch)
            .into_iter()
            .find(|(name, _)| *name == tag)?;
        Some((value.1, node(branch, "", names)))
    };
    let variants = branches.iter().map(variant).collect::<Option<Vec<_>>>()?;
    Some(Tagged { tag, variants })
}

/// What pydantic would call a branch.
fn label(schema: &Value) -> String {
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let name = reference.rsplit('/').next();
        return name.unwrap_or_default().to_owned();
    }
    if let Some(title) = schema.get("title").and_then(Value::as_str) {
        return title.to_owned();
    }
    let inner = |key: &str| schema.get(key).map_or_else(|| "any".to_owned(), label);
    match schema.get("type").and_then(Value::as_str) {
        Some("integer") => "int".to_owned(),
        Some("number") => "float".to_owned(),
        Some("boolean") => "bool".to_owned(),
        Some("string") => "str".to_owned(),
        Some("array") => format!("list[{}]", inner("items")),
        Some("object") => format!("dict[str,{}]", inner("additionalProperties")),
        _ => "any".to_owned(),
    }
}

/// The name of the only member: how serde writes a variant with data.
fn single(schema: &Value) -> Option<&str> {
    let members = schema.get("properties")?.as_object()?;
    let mut names = members.keys();
    names
        .next()
        .filter(|_| members.len() == 1)
        .map(String::as_str)
}
