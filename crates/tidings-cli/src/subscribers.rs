//! The file that names subscribers and what they receive, as existing systems describe themselves:
//! `[{"name": "send_mail", "messages": [{"name": "user.created", "version": 1, "type": "domain_event"}]}]`, or
//! `{"name": "store_on_message", "all": true}`.

use std::{collections::HashSet, fs, path::Path};

use anyhow::{Context, Result};
use serde::{Deserialize, Deserializer, de};
use tidings::{
    Domain, Error, ErrorKind, Kind,
    convention::{Attachment, Convention, Interest},
};

/// What somebody subscribes to.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Subscriber {
    name: String,
    #[serde(default)]
    messages: Vec<Message>,
    #[serde(default)]
    all: bool,
}

#[derive(Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    name: String,
    #[serde(default = "first")]
    version: i64,
    #[serde(rename = "type", deserialize_with = "kind")]
    kind: Kind,
}

fn first() -> i64 {
    1
}

/// The place of every subscriber in the file.
pub(crate) fn load(path: &Path, domain: &Domain) -> Result<Vec<Attachment>> {
    let shown = path.display();
    let text =
        fs::read(path).with_context(|| format!("cannot read the subscribers from {shown}"))?;
    read(&text, domain).with_context(|| format!("cannot use the subscribers in {shown}"))
}

fn read(text: &[u8], domain: &Domain) -> Result<Vec<Attachment>> {
    let subscribers: Vec<Subscriber> =
        serde_json::from_slice(text).map_err(|error| misuse(error.to_string()))?;
    let mut names = HashSet::new();
    let mut attachments = Vec::new();
    for subscriber in subscribers {
        let name = &subscriber.name;
        if !names.insert(name.clone()) {
            return Err(misuse(format!("two subscribers are named `{name}`")).into());
        }
        let interests = subscriber.interests()?;
        for interest in interests {
            // Without a store, one that receives everything has no place.
            if interest != Interest::All || domain.has_store() {
                attachments.push(domain.attach(name, &interest, &domain.retry_policy())?);
            }
        }
    }
    Ok(attachments)
}

impl Subscriber {
    /// What it wants to receive.
    fn interests(&self) -> Result<Vec<Interest>, Error> {
        let name = &self.name;
        match (self.all, self.messages.is_empty()) {
            (true, true) => return Ok(vec![Interest::All]),
            (true, false) => {
                return Err(misuse(format!(
                    "subscriber `{name}` receives all messages already: leave out its `messages`, or `all`"
                )));
            }
            (false, true) => {
                return Err(misuse(format!(
                    "subscriber `{name}` receives nothing: give it `messages`, or `\"all\": true`"
                )));
            }
            (false, false) => {}
        }
        let mut seen = HashSet::new();
        if let Some(twin) = self.messages.iter().find(|message| !seen.insert(*message)) {
            return Err(misuse(format!(
                "subscriber `{name}` names `{}` twice",
                twin.name
            )));
        }
        let interest = |message: &Message| Interest::Named {
            name: message.name.clone(),
            version: message.version,
            kind: message.kind,
        };
        Ok(self.messages.iter().map(interest).collect())
    }
}

fn misuse(context: impl Into<String>) -> Error {
    Error::new(ErrorKind::Misuse, context)
}

/// Reads the kind from the wire's word for it.
fn kind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Kind, D::Error> {
    let word = String::deserialize(deserializer)?;
    match &*word {
        "domain_event" => Ok(Kind::Event),
        "command" => Ok(Kind::Command),
        other => Err(de::Error::custom(format!(
            "`{other}` is no kind of message: use `domain_event` or `command`"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queues(json: &str) -> Result<Vec<String>> {
        let domain = Domain::new("o", "s")?;
        let attachments = read(json.as_bytes(), &domain)?;
        Ok(attachments.iter().map(|it| it.queue.to_string()).collect())
    }

    fn check(json: &str, expected: &str) {
        let error = format!("{:#}", queues(json).unwrap_err());
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn each_message_has_a_queue() {
        let json = r#"[
            {"name": "a", "messages": [{"name": "x.y", "type": "domain_event"}, {"name": "z", "version": 2, "type": "command"}]},
            {"name": "all", "all": true}
        ]"#;
        assert_eq!(
            queues(json).unwrap(),
            ["o.s.1.event.x_y.a", "o.s.2.command.z.a", "store"]
        );
    }

    #[test]
    fn says_what_is_wrong_with_the_file() {
        let event = r#"{"name": "a.b", "type": "domain_event"}"#;
        check("", "EOF");
        check("{}", "expected a sequence");
        check(r#"[{"name": "s", "every": true}]"#, "unknown field `every`");
        check(r#"[{"name": "s"}]"#, "`s` receives nothing");
        check(
            r#"[{"name": "s", "messages": [{"name": "a.b", "type": "event"}]}]"#,
            "`event` is no kind of message: use `domain_event` or `command`",
        );
        check(
            &format!(r#"[{{"name": "s", "all": true, "messages": [{event}]}}]"#),
            "receives all messages already",
        );
        check(
            &format!(r#"[{{"name": "s", "messages": [{event}, {event}]}}]"#),
            "names `a.b` twice",
        );
        check(
            r#"[{"name": "s", "all": true}, {"name": "s", "all": true}]"#,
            "two subscribers are named `s`",
        );
    }
}
