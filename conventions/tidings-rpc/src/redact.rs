//! What of a request and of its answer may be seen by others than the handler: for the journal and for logs.
//!
//! More is hidden than deployed consumers hide: not only what was encrypted, but whatever the contract calls a secret
//! and whatever is named as secrets are named on this wire, also in answers.

use serde_json::{Map, Value, json};

use crate::{
    keys::{self, Keys},
    secrets::Secrets,
};

/// What stands in the place of a secret.
pub const MASK: &str = "*****";

/// Members that are secret in every request and in every answer: those that must be encrypted on this wire.
const ALWAYS: [&str; 5] = [
    "secret_values",
    "passphrase",
    "password",
    "admin_password",
    "database_user_password",
];

/// Hides what is secret in the members of a request; `body` is what they were made from, to know what was encrypted.
pub(crate) fn members(
    mut members: Value,
    body: &[u8],
    secrets: &Secrets,
    keys: Option<&Keys>,
) -> Value {
    let encrypted = keys.map(|_| encrypted(body)).unwrap_or_default();
    if let Value::Object(members) = &mut members {
        for name in encrypted {
            if let Some(value) = members.get_mut(&name) {
                mask(value);
            }
        }
    }
    hide_paths(&mut members, secrets);
    hide_names(&mut members, &ALWAYS);
    members
}

/// A request as it came, with its secrets hidden. What is no object is told by its length only.
pub(crate) fn raw(body: &[u8], secrets: &Secrets, keys: Option<&Keys>) -> Value {
    match serde_json::from_slice::<Map<String, Value>>(body) {
        Ok(object) => members(Value::Object(object), body, secrets, keys),
        Err(_) => json!({ "undecodable_bytes": body.len() }),
    }
}

/// An answer with its secrets hidden: members that are named as a secret of the request is.
pub(crate) fn answer(mut answer: Value, secrets: &Secrets) -> Value {
    let mut names = secrets.names();
    names.extend(ALWAYS);
    hide_names(&mut answer, &names);
    answer
}

/// The names of the members that are tokens, whether or not they can be read.
fn encrypted(body: &[u8]) -> Vec<String> {
    let members: Map<String, Value> = serde_json::from_slice(body).unwrap_or_default();
    let tokens = members
        .into_iter()
        .filter(|(_, value)| value.as_str().is_some_and(keys::resembles_token));
    tokens.map(|(name, _)| name).collect()
}

fn hide_paths(value: &mut Value, secrets: &Secrets) {
    if secrets.is_whole() {
        mask(value);
        return;
    }
    match value {
        Value::Object(members) if !secrets.is_empty() => {
            for (name, value) in members {
                hide_paths(value, secrets.of(name));
            }
        }
        Value::Array(elements) if !secrets.is_empty() => {
            for value in elements {
                hide_paths(value, secrets);
            }
        }
        _ => {}
    }
}

fn hide_names(value: &mut Value, names: &[&str]) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                if names.contains(&name.as_str()) {
                    mask(value);
                } else {
                    hide_names(value, names);
                }
            }
        }
        Value::Array(elements) => {
            for value in elements {
                hide_names(value, names);
            }
        }
        _ => {}
    }
}

/// Nothing stays nothing: that there is no secret is none.
fn mask(value: &mut Value) {
    if !value.is_null() {
        *value = Value::String(MASK.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: Value, paths: &[&str], expected: &Value) {
        let secrets = Secrets::new(paths);
        assert_eq!(&members(value, b"{}", &secrets, None), expected);
    }

    #[test]
    fn secrets_are_hidden_by_path() {
        check(
            json!({"pin": 4711, "db": {"pin": "x", "name": "y"}, "users": [{"pin": "a"}, {"pin": null}]}),
            &["db.pin", "users.pin"],
            &json!({"pin": 4711, "db": {"pin": MASK, "name": "y"}, "users": [{"pin": MASK}, {"pin": null}]}),
        );
        check(json!({"db": {"a": 1}}), &["db"], &json!({"db": MASK}));
        check(json!([1]), &["db"], &json!([1]));
    }

    #[test]
    fn what_is_always_secret_is_hidden_wherever_it_is() {
        check(
            json!({"password": "x", "more": [{"passphrase": ["y"]}], "passwords": "shown"}),
            &[],
            &json!({"password": MASK, "more": [{"passphrase": MASK}], "passwords": "shown"}),
        );
    }

    #[test]
    fn answers_hide_what_their_requests_hide() {
        let secrets = Secrets::new(["db.pin"]);
        let hidden = answer(
            json!({"success": true, "data": {"pin": 1, "password": "x"}}),
            &secrets,
        );
        assert_eq!(
            hidden,
            json!({"success": true, "data": {"pin": MASK, "password": MASK}})
        );
    }

    #[test]
    fn what_is_no_object_is_told_by_its_length() {
        for body in ["", "[\"secret\"]", "{\"secret"] {
            let told = raw(body.as_bytes(), &Secrets::NONE, None);
            assert_eq!(told, json!({"undecodable_bytes": body.len()}));
        }
    }
}
