//! The file that names subscribers and what they subscribe to.

use std::{collections::HashSet, fs, path::Path};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Deserializer, de};
use tidings::{
    Domain, Kind,
    convention::{Attachment, Convention, Interest},
};

/// A list of subscribers, each with a name of its own and something to receive.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct SubscriberFile {
    subscribers: Vec<Named>,
}

/// One subscriber: either messages by name, or all of them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Named {
    pub(crate) name: String,
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

impl SubscriberFile {
    /// Reads the file.
    pub(crate) fn load(path: &Path) -> Result<Self> {
        let path_shown = path.display();
        let text = fs::read(path)
            .with_context(|| format!("cannot read the subscribers from {path_shown}"))?;
        Self::parse(&text).with_context(|| format!("cannot use the subscribers in {path_shown}"))
    }

    fn parse(text: &[u8]) -> Result<Self> {
        let file: Self = serde_json::from_slice(text)?;
        let mut names = HashSet::new();
        for subscriber in &file.subscribers {
            subscriber.check()?;
            let name = &*subscriber.name;
            ensure!(names.insert(name), "two subscribers are named `{name}`");
        }
        Ok(file)
    }

    /// Those of these names, all if there are none.
    pub(crate) fn only(&self, wanted: &[String]) -> Result<Vec<&Named>> {
        for name in wanted {
            self.check_known(name)?;
        }
        let is_wanted = |named: &&Named| wanted.is_empty() || wanted.contains(&named.name);
        Ok(self.subscribers.iter().filter(is_wanted).collect())
    }

    /// Refuses the name of a subscriber that is not in the file.
    pub(crate) fn check_known(&self, name: &str) -> Result<()> {
        if self.subscribers.iter().any(|known| known.name == name) {
            return Ok(());
        }
        let known: Vec<_> = self
            .subscribers
            .iter()
            .map(|known| format!("`{}`", known.name))
            .collect();
        bail!(
            "there is no subscriber `{name}`: the file has {}",
            known.join(", ")
        )
    }

    /// Every place of every subscriber. Without a store, one that receives everything has none.
    pub(crate) fn attachments(&self, domain: &Domain) -> Result<Vec<Attachment>> {
        let mut attachments = Vec::new();
        for subscriber in &self.subscribers {
            for interest in subscriber.interests() {
                if interest == Interest::All && !domain.has_store() {
                    continue;
                }
                let retry = domain.retry_policy();
                attachments.push(domain.attach(&subscriber.name, &interest, &retry)?);
            }
        }
        Ok(attachments)
    }
}

impl Named {
    /// What it wants to receive.
    pub(crate) fn interests(&self) -> Vec<Interest> {
        if self.all {
            return vec![Interest::All];
        }
        self.messages.iter().map(Message::interest).collect()
    }

    fn check(&self) -> Result<()> {
        let Self {
            name,
            messages,
            all,
        } = self;
        ensure!(!name.is_empty(), "a subscriber has an empty name");
        ensure!(
            !all || messages.is_empty(),
            "subscriber `{name}` receives all messages already: leave out its `messages`, or `all`"
        );
        ensure!(
            *all || !messages.is_empty(),
            "subscriber `{name}` receives nothing: give it `messages`, or `\"all\": true`"
        );
        let mut seen = HashSet::new();
        for message in messages {
            let Message { name: of, .. } = message;
            ensure!(
                seen.insert(message),
                "subscriber `{name}` names `{of}` twice"
            );
        }
        Ok(())
    }
}

impl Message {
    fn interest(&self) -> Interest {
        Interest::Named {
            name: self.name.clone(),
            version: self.version,
            kind: self.kind,
        }
    }
}

/// Reads the kind from the wire's word for it.
pub(crate) fn kind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Kind, D::Error> {
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

    fn check(json: &str, expected: &str) {
        let error = SubscriberFile::parse(json.as_bytes()).unwrap_err();
        assert!(format!("{error:#}").contains(expected), "{error:#}");
    }

    #[test]
    fn says_what_is_wrong_with_the_file() {
        let event = r#"{"name": "a.b", "type": "domain_event"}"#;
        check("", "EOF");
        check("{}", "expected a sequence");
        check(r#"[{"messages": []}]"#, "missing field `name`");
        check(r#"[{"name": "s", "every": true}]"#, "unknown field `every`");
        check(r#"[{"name": "s"}]"#, "`s` receives nothing");
        check(r#"[{"name": "", "all": true}]"#, "empty name");
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

    #[test]
    fn unknown_names_are_answered_with_the_known_ones() {
        let file = br#"[{"name": "one", "all": true}, {"name": "two", "all": true}]"#;
        let file = SubscriberFile::parse(file).unwrap();
        let error = file.only(&["three".to_owned()]).unwrap_err().to_string();
        assert_eq!(
            error,
            "there is no subscriber `three`: the file has `one`, `two`"
        );
        assert_eq!(file.only(&["two".to_owned()]).unwrap()[0].name, "two");
        assert_eq!(file.only(&[]).unwrap().len(), 2);
    }
}
