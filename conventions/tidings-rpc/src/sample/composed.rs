//! Arrays and objects.

use serde_json::{Map, Value};

use super::{Place, Sampled, Sampler};

/// How often another element is tried where no two may be equal.
const TRIES: usize = 64;
/// The most elements that an array gets by itself.
const USUAL: usize = 2;

impl Sampler<'_> {
    pub(super) fn array(
        &mut self,
        schema: &Map<String, Value>,
        place: &mut Place,
    ) -> Sampled<Value> {
        let fixed: &[Value] = match schema.get("prefixItems") {
            Some(Value::Array(fixed)) => fixed,
            _ => &[],
        };
        let least = count(schema, "minItems").unwrap_or(0);
        let most = count(schema, "maxItems").unwrap_or(usize::MAX);
        if least > most {
            return Err(place.problem("`minItems` is more than `maxItems`"));
        }
        let more = if place.is_deep() {
            0
        } else {
            self.rng.usize(1..=USUAL)
        };
        let length = (fixed.len() + more).clamp(least, most);
        let mut items = Vec::new();
        for index in 0..length {
            let item = match (fixed.get(index), schema.get("items")) {
                (Some(item), _) => item,
                (None, Some(Value::Bool(false))) => break,
                (None, item) => item.unwrap_or(&Value::Bool(true)),
            };
            place.steps.push(index.to_string());
            let item = self.element(item, schema, &items, place);
            place.steps.pop();
            match item {
                Ok(item) => items.push(item),
                // There are enough, and there may be no more.
                Err(_) if index >= least.max(fixed.len()) => break,
                Err(problem) => return Err(problem),
            }
        }
        Ok(Value::Array(items))
    }

    fn element(
        &mut self,
        item: &Value,
        array: &Map<String, Value>,
        before: &[Value],
        place: &mut Place,
    ) -> Sampled<Value> {
        let differs = array.get("uniqueItems") == Some(&Value::Bool(true));
        for _ in 0..TRIES {
            let value = self.value(item, place)?;
            if !differs || !before.contains(&value) {
                return Ok(value);
            }
        }
        Err(place.problem("there are not enough different elements"))
    }

    pub(super) fn object(
        &mut self,
        schema: &Map<String, Value>,
        place: &mut Place,
    ) -> Sampled<Value> {
        let none = Map::new();
        let properties = match schema.get("properties") {
            Some(Value::Object(properties)) => properties,
            _ => &none,
        };
        let required: Vec<&str> = match schema.get("required") {
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let mut members = Map::new();
        for (name, schema) in properties {
            let is_required = required.contains(&&**name);
            if place.is_deep() && !is_required {
                continue;
            }
            match self.member(name, schema, place) {
                Ok(value) => drop(members.insert(name.clone(), value)),
                Err(problem) if is_required => return Err(problem),
                // It may be absent, and nothing fits: it is a variant that has no such member.
                Err(_) => {}
            }
        }
        for name in required {
            if !members.contains_key(name) {
                let value = self.member(name, other_members(schema), place)?;
                members.insert(name.to_owned(), value);
            }
        }
        self.fill(schema, members, properties.is_empty(), place)
    }

    fn member(&mut self, name: &str, schema: &Value, place: &mut Place) -> Sampled<Value> {
        place.steps.push(name.to_owned());
        let value = self.value(schema, place);
        place.steps.pop();
        value
    }

    /// Members whose names the schema does not know: what a map has, and as many as an object must have.
    fn fill(
        &mut self,
        schema: &Map<String, Value>,
        mut members: Map<String, Value>,
        is_map: bool,
        place: &mut Place,
    ) -> Sampled<Value> {
        let least = count(schema, "minProperties").unwrap_or(0);
        let most = count(schema, "maxProperties").unwrap_or(usize::MAX);
        let (names, other) = match schema.get("patternProperties") {
            Some(Value::Object(patterns)) => match patterns.iter().next() {
                Some((pattern, schema)) => (Some(Value::from(pattern.as_str())), schema),
                None => (None, other_members(schema)),
            },
            _ => (None, other_members(schema)),
        };
        let describes = schema.contains_key("additionalProperties") || names.is_some();
        let usual = usize::from(is_map && describes && *other != Value::Bool(false));
        let usual = if place.is_deep() { 0 } else { usual };
        let wanted = members.len().max(usual).clamp(least, most.max(least));
        for _ in 0..TRIES * wanted {
            if members.len() >= wanted {
                break;
            }
            let name = self.name(schema, names.as_ref(), place)?;
            let value = self.member(&name, other, place)?;
            members.insert(name, value);
        }
        match members.len() {
            length if length < least => Err(place.problem("there are not enough members")),
            length if length > most => Err(place.problem("there are too many members")),
            _ => Ok(Value::Object(members)),
        }
    }

    fn name(
        &mut self,
        schema: &Map<String, Value>,
        pattern: Option<&Value>,
        place: &mut Place,
    ) -> Sampled<String> {
        let mut wanted = match schema.get("propertyNames") {
            Some(Value::Object(wanted)) => wanted.clone(),
            _ => Map::new(),
        };
        wanted.insert("type".to_owned(), "string".into());
        if let Some(pattern) = pattern {
            wanted.insert("pattern".to_owned(), pattern.clone());
        }
        match self.value(&Value::Object(wanted), place)? {
            Value::String(name) => Ok(name),
            _ => Err(place.problem("names of members must be texts")),
        }
    }
}

fn other_members(schema: &Map<String, Value>) -> &Value {
    schema
        .get("additionalProperties")
        .unwrap_or(&Value::Bool(true))
}

fn count(schema: &Map<String, Value>, word: &str) -> Option<usize> {
    let count = schema.get(word)?.as_u64()?;
    usize::try_from(count).ok()
}
