//! Domain messages out of the command line or a file: sealed as their service seals them.

use anyhow::{Context, Result};
use clap::Args;
use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};
use tidings::{
    Call, Domain, Error, ErrorKind, Kind,
    convention::{Convention, Outgoing},
    domain,
};
use uuid::Uuid;

use super::sending::{Outbox, Sending, read_stdin};
use crate::exit;

/// What a domain message is made of.
#[derive(Clone, Debug, Args)]
#[group(skip)]
#[command(next_help_heading = "Domain messages")]
pub(crate) struct Options {
    /// The first word of all names of the domain
    #[arg(long, value_name = "NAME", requires = "service")]
    organization: Option<String>,
    /// The second word of all names of the domain
    #[arg(long, value_name = "NAME", requires = "organization")]
    service: Option<String>,
    /// The name of the message, for example user.created
    #[arg(long, value_name = "NAME", requires = "organization")]
    name: Option<String>,
    /// The version of the message
    #[arg(
        long = "version",
        id = "message_version",
        value_name = "N",
        default_value_t = 1,
        requires = "organization"
    )]
    version: i64,
    /// The context of the message, as a JSON object
    #[arg(long, value_name = "JSON", requires = "organization")]
    meta: Option<String>,
    /// The identity of the message, a UUID; without it a new one
    #[arg(long, value_name = "UUID", requires = "organization")]
    id: Option<String>,
    /// When it happened, in UTC: `2026-11-20 21:31:38.730454`; without it now
    #[arg(long, value_name = "TIME", requires = "organization")]
    occurred_on: Option<String>,
}

/// A message as one line of a file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    name: Option<String>,
    version: Option<i64>,
    attributes: Option<Box<RawValue>>,
    meta: Option<Map<String, Value>>,
    id: Option<String>,
    occurred_on: Option<String>,
}

impl Options {
    /// Whether a domain is meant.
    pub(crate) fn is_given(&self) -> bool {
        self.organization.is_some()
    }
}

/// What is to be sent.
pub(crate) fn outbox(
    options: &Options,
    kind: Kind,
    words: Vec<String>,
    sending: &Sending,
) -> Result<Outbox> {
    let (Some(organization), Some(service)) = (&options.organization, &options.service) else {
        return Err(exit::usage(
            "say whose message it is: --organization NAME --service NAME",
        ));
    };
    let domain = Domain::new(organization, service)?;
    let usual = options.usual(words)?;
    if sending.reads_file() {
        if usual.attributes.is_some() {
            return Err(exit::usage(
                "the attributes are in the file: leave them out here",
            ));
        }
        return sending.lines(move |line| {
            let line: Line = serde_json::from_str(line).map_err(|error| unreadable(&error))?;
            seal(&domain, kind, line.or(&usual))
        });
    }
    let copies = sending.copies();
    Ok(Box::new((0..copies).map(move |_| {
        seal(&domain, kind, Line::default().or(&usual))
    })))
}

impl Options {
    /// What a line has that says nothing else.
    fn usual(&self, words: Vec<String>) -> Result<Line> {
        let attributes = match <[String; 1]>::try_from(words) {
            Ok([text]) if text == "-" => Some(read_stdin()?),
            Ok([text]) => Some(text),
            Err(words) if words.is_empty() => None,
            Err(words) => {
                return Err(exit::usage(format!(
                    "a domain message has one argument, its attributes as a JSON object, and not {}: quote them",
                    words.len()
                )));
            }
        };
        let attributes = attributes.map(RawValue::from_string).transpose();
        let meta = self.meta.as_deref().map(serde_json::from_str).transpose();
        Ok(Line {
            name: self.name.clone(),
            version: Some(self.version),
            attributes: attributes
                .map_err(|error| unreadable(&error))
                .context("the attributes are no JSON")?,
            meta: meta
                .map_err(|error| unreadable(&error))
                .context("--meta is no JSON object")?,
            id: self.id.clone(),
            occurred_on: self.occurred_on.clone(),
        })
    }
}

impl Line {
    fn or(self, usual: &Self) -> Self {
        Self {
            name: self.name.or_else(|| usual.name.clone()),
            version: self.version.or(usual.version),
            attributes: self.attributes.or_else(|| usual.attributes.clone()),
            meta: self.meta.or_else(|| usual.meta.clone()),
            id: self.id.or_else(|| usual.id.clone()),
            occurred_on: self.occurred_on.or_else(|| usual.occurred_on.clone()),
        }
    }
}

fn seal(domain: &Domain, kind: Kind, line: Line) -> Result<Call> {
    let Some(name) = &line.name else {
        return Err(exit::usage(
            "the message has no name: say --name NAME, for example --name user.created",
        ));
    };
    let is_object = |json: &RawValue| json.get().starts_with('{');
    if !line.attributes.as_deref().is_none_or(is_object) {
        let context = "the attributes are no JSON object: write {\"name\": value, …}";
        return Err(Error::new(ErrorKind::Invalid, context).into());
    }
    let occurred_at = line
        .occurred_on
        .as_deref()
        .map(domain::parse_time)
        .transpose()
        .context("the time cannot be read")?;
    let id = line.id.unwrap_or_else(|| Uuid::new_v4().to_string());
    Ok(domain.seal(&Outgoing {
        name,
        version: line.version.unwrap_or(1),
        kind,
        id: Some(&id),
        occurred_at,
        meta: &line.meta.unwrap_or_default(),
        secrets: &[],
        body: &|format, out| match &line.attributes {
            Some(attributes) => format.encode(attributes, out),
            None => format.encode(&Map::new(), out),
        },
    })?)
}

/// What was typed or read is not what was asked for.
pub(super) fn unreadable(error: &serde_json::Error) -> Error {
    Error::new(ErrorKind::Invalid, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(line: &str) -> Result<Call> {
        let domain = Domain::new("o", "s").unwrap();
        let line: Line = serde_json::from_str(line).unwrap();
        seal(&domain, Kind::Command, line)
    }

    #[test]
    fn numbers_are_sent_as_they_were_typed() {
        let line = r#"{"name": "a.b", "id": "3b1c1a52-7b0c-4f63-9f7b-0a2f5b8d5f10", "occurred_on": "2024-5-6 7:8:9.5",
            "attributes": {"n": 1180591620717411303424}, "version": 2}"#;
        let call = sealed(line).unwrap();
        assert_eq!(call.address.to_string(), "o.s/o.s.2.command.a_b");
        assert_eq!(
            str::from_utf8(&call.envelope.payload.bytes).unwrap(),
            concat!(
                r#"{"data": {"id": "3b1c1a52-7b0c-4f63-9f7b-0a2f5b8d5f10", "type": "a.b", "type_message": "command", "version": 2, "#,
                r#""occurred_on": "2024-05-06 07:08:09.500000", "attributes": {"n": 1180591620717411303424}, "meta": {}}}"#
            )
        );
        assert!(call.envelope.headers.is_empty() && call.envelope.properties.is_empty());
    }

    #[test]
    fn refuses_what_receivers_would_refuse() {
        for (line, expected) in [
            ("{}", "has no name"),
            (r#"{"name": "a", "attributes": []}"#, "no JSON object"),
            (r#"{"name": "a", "id": "7"}"#, "not a UUID"),
            (
                r#"{"name": "a", "occurred_on": "now"}"#,
                "time cannot be read",
            ),
        ] {
            let error = format!("{:#}", sealed(line).unwrap_err());
            assert!(error.contains(expected), "{error}");
        }
    }
}
