//! One line of what `domain publish` reads: a message in the words of the wire.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};
use tidings::{
    Call, Domain, Kind,
    convention::{Convention, Outgoing},
    domain,
};

use super::{exact::Exact, subscribers::kind};

/// What a line may say. Members that are left out or null have the wire's defaults.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    #[serde(rename = "type", deserialize_with = "kind")]
    kind: Kind,
    name: String,
    #[serde(default = "first")]
    version: i64,
    #[serde(borrow)]
    attributes: Option<&'a RawValue>,
    meta: Option<Map<String, Value>>,
    id: Option<String>,
    occurred_on: Option<String>,
}

fn first() -> i64 {
    1
}

/// The message that a line describes, ready to be published.
pub(crate) fn seal(domain: &Domain, line: &str) -> Result<Call> {
    let line: Line<'_> = serde_json::from_str(line)?;
    let is_object = |json: &RawValue| json.get().starts_with('{');
    ensure!(
        line.attributes.is_none_or(is_object),
        "`attributes` must be an object"
    );
    let occurred_at = line
        .occurred_on
        .as_deref()
        .map(domain::parse_time)
        .transpose()
        .context("`occurred_on` cannot be read")?;
    Ok(domain.seal(&Outgoing {
        name: &line.name,
        version: line.version,
        kind: line.kind,
        id: line.id.as_deref(),
        occurred_at,
        meta: &line.meta.unwrap_or_default(),
        secrets: &[],
        body: &|format, out| match line.attributes {
            Some(attributes) => format.encode(&Exact::new(attributes), out),
            None => format.encode(&Map::new(), out),
        },
    })?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain() -> Domain {
        Domain::new("o", "s").unwrap()
    }

    fn check(line: &str, expected: &str) {
        let error = format!("{:#}", seal(&domain(), line).unwrap_err());
        assert!(error.contains(expected), "{line}: {error}");
    }

    #[test]
    fn writes_the_bytes_of_the_wire() {
        let line = r#"{"type": "command", "name": "persist.user", "version": 2, "id": "3b1c1a52-7b0c-4f63-9f7b-0a2f5b8d5f10",
            "occurred_on": "2024-5-6 7:8:9.5", "attributes": {"n": 1180591620717411303424, "é": 1e16}, "meta": {"a": []}}"#;
        let call = seal(&domain(), line).unwrap();
        assert_eq!(call.address.to_string(), "o.s/o.s.2.command.persist_user");
        assert_eq!(
            str::from_utf8(&call.envelope.payload.bytes).unwrap(),
            concat!(
                r#"{"data": {"id": "3b1c1a52-7b0c-4f63-9f7b-0a2f5b8d5f10", "type": "persist.user", "type_message": "command", "#,
                r#""version": 2, "occurred_on": "2024-05-06 07:08:09.500000", "#,
                r#""attributes": {"n": 1180591620717411303424, "\u00e9": 1e+16}, "meta": {"a": []}}}"#
            )
        );
        assert!(call.envelope.headers.is_empty() && call.envelope.properties.is_empty());
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        for line in [
            r#"{"type": "domain_event", "name": "a"}"#,
            r#"{"type": "domain_event", "name": "a", "attributes": null, "meta": null, "id": null, "occurred_on": null}"#,
        ] {
            let call = seal(&domain(), line).unwrap();
            let body: Value = serde_json::from_slice(&call.envelope.payload.bytes).unwrap();
            let data = &body["data"];
            assert_eq!(data["version"], 1);
            assert_eq!(data["attributes"], Value::Object(Map::new()));
            assert_eq!(data["meta"], Value::Object(Map::new()));
            assert_eq!(data["id"].as_str().unwrap().len(), 36);
            assert_eq!(data["occurred_on"].as_str().unwrap().len(), 26);
        }
    }

    #[test]
    fn refuses_what_receivers_would_refuse() {
        check("7", "invalid type");
        check(r#"{"name": "a"}"#, "missing field `type`");
        check(r#"{"type": "domain_event"}"#, "missing field `name`");
        check(
            r#"{"type": "message", "name": "a"}"#,
            "`message` is no kind of message",
        );
        check(
            r#"{"type": "command", "name": "a", "verson": 2}"#,
            "unknown field `verson`",
        );
        check(
            r#"{"type": "command", "name": "a", "version": "2"}"#,
            "expected i64",
        );
        for odd in ["[]", "\"\"", "0", "false"] {
            check(
                &format!(r#"{{"type": "command", "name": "a", "attributes": {odd}}}"#),
                "`attributes` must be an object",
            );
            check(
                &format!(r#"{{"type": "command", "name": "a", "meta": {odd}}}"#),
                "expected a map",
            );
        }
        for id in ["", "7", "3b1c1a52-7b0c-4f63-9f7b-0a2f5b8d5f1x"] {
            check(
                &format!(r#"{{"type": "command", "name": "a", "id": "{id}"}}"#),
                "not a UUID",
            );
        }
        for time in [
            "",
            "now",
            "2024-05-06",
            "2024-05-06 07:08:09",
            "2024-05-06T07:08:09.1Z",
        ] {
            check(
                &format!(r#"{{"type": "command", "name": "a", "occurred_on": "{time}"}}"#),
                "expected UTC as",
            );
        }
    }
}
