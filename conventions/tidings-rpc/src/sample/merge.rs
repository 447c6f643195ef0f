//! Schemas that are made of others: references and `allOf`, written out into one.

use serde_json::{Map, Value};

/// How many references may lead to one another.
const LONGEST_CHAIN: usize = 32;

/// The schema with what it refers to in place of `$ref` and `allOf`; `None` if it has neither.
pub(super) fn flattened(
    root: &Value,
    schema: &Map<String, Value>,
) -> Result<Option<Map<String, Value>>, String> {
    if !schema.contains_key("$ref") && !schema.contains_key("allOf") {
        return Ok(None);
    }
    let mut merged = schema.clone();
    for _ in 0..LONGEST_CHAIN {
        if let Some(reference) = merged.remove("$ref") {
            let Some(target) = resolve(root, &reference)? else {
                continue;
            };
            merged = two(target, &merged)?;
        } else if let Some(Value::Array(parts)) = merged.remove("allOf") {
            for part in &parts {
                match part {
                    Value::Object(part) => merged = two(&merged, part)?,
                    Value::Bool(true) => {}
                    _ => return Err("`allOf` allows nothing".to_owned()),
                }
            }
        } else {
            return Ok(Some(merged));
        }
    }
    Err("its references lead to one another without an end".to_owned())
}

/// What a reference names; `None` if that allows everything.
fn resolve<'r>(
    root: &'r Value,
    reference: &Value,
) -> Result<Option<&'r Map<String, Value>>, String> {
    let pointer = reference.as_str().and_then(|text| text.strip_prefix('#'));
    let target = pointer.and_then(|pointer| root.pointer(pointer));
    match target {
        Some(Value::Object(target)) => Ok(Some(target)),
        Some(Value::Bool(true)) => Ok(None),
        Some(_) => Err(format!("{reference} allows nothing")),
        None => Err(format!("{reference} is not in this schema")),
    }
}

/// What fits both, as far as that can be said without looking into values.
pub(super) fn two(
    one: &Map<String, Value>,
    other: &Map<String, Value>,
) -> Result<Map<String, Value>, String> {
    let mut merged = one.clone();
    for (word, new) in other {
        let value = match merged.get(word) {
            None => new.clone(),
            Some(old) if old == new => continue,
            Some(old) => both(word, old, new)?,
        };
        merged.insert(word.clone(), value);
    }
    Ok(merged)
}

fn both(word: &str, old: &Value, new: &Value) -> Result<Value, String> {
    match (word, old, new) {
        ("properties" | "$defs", Value::Object(old), Value::Object(new)) => {
            let mut members = old.clone();
            for (name, schema) in new {
                let schema = match members.get(name) {
                    Some(old) if old != schema => {
                        serde_json::json!({"allOf": [old, schema]})
                    }
                    _ => schema.clone(),
                };
                members.insert(name.clone(), schema);
            }
            Ok(Value::Object(members))
        }
        ("required", Value::Array(old), Value::Array(new)) => {
            let more = new.iter().filter(|name| !old.contains(name));
            Ok(old.iter().chain(more).cloned().collect())
        }
        ("minimum" | "exclusiveMinimum" | "minLength" | "minItems" | "minProperties", ..) => {
            Ok(if old.as_f64() < new.as_f64() {
                new
            } else {
                old
            }
            .clone())
        }
        ("maximum" | "exclusiveMaximum" | "maxLength" | "maxItems" | "maxProperties", ..) => {
            Ok(if old.as_f64() > new.as_f64() {
                new
            } else {
                old
            }
            .clone())
        }
        ("enum", Value::Array(old), Value::Array(new)) => Ok(old
            .iter()
            .filter(|value| new.contains(value))
            .cloned()
            .collect()),
        ("allOf", Value::Array(old), Value::Array(new)) => {
            Ok(old.iter().chain(new).cloned().collect())
        }
        ("type", ..) => types(old, new),
        ("additionalProperties" | "unevaluatedProperties", Value::Bool(false), _)
        | ("additionalProperties" | "unevaluatedProperties", _, Value::Bool(false)) => {
            Ok(Value::Bool(false))
        }
        ("anyOf" | "oneOf" | "pattern" | "const" | "items" | "multipleOf" | "format", ..) => Err(
            format!("two different `{word}` have to fit, which is not known here"),
        ),
        // Titles, descriptions and the like.
        _ => Ok(new.clone()),
    }
}

fn types(old: &Value, new: &Value) -> Result<Value, String> {
    let list = |value: &Value| match value {
        Value::Array(names) => names.clone(),
        name => vec![name.clone()],
    };
    let (old, new) = (list(old), list(new));
    let fits =
        |name: &Value| new.contains(name) || name == "integer" && new.contains(&"number".into());
    let both: Vec<Value> = old.into_iter().filter(fits).collect();
    if both.is_empty() {
        return Err("two types have to fit that exclude one another".to_owned());
    }
    Ok(Value::Array(both))
}
