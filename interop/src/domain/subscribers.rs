//! The file that names subscribers and what they subscribe to.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use tidings::{
    Domain, Kind,
    convention::{Attachment, Convention, Interest},
};

/// A list of subscribers.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct SubscriberFile {
    pub(crate) subscribers: Vec<Named>,
}

/// One subscriber: either messages by name, or all of them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Named {
    pub(crate) name: String,
    #[serde(default)]
    messages: Vec<Message>,
    #[serde(default)]
    pub(crate) all: bool,
}

#[derive(Debug, Deserialize)]
struct Message {
    name: String,
    version: i64,
    #[serde(rename = "type")]
    kind: String,
}

impl SubscriberFile {
    /// Reads the file.
    pub(crate) fn load(path: &Path) -> Result<Self> {
        let text = fs::read(path)
            .with_context(|| format!("cannot read subscribers from {}", path.display()))?;
        serde_json::from_slice(&text)
            .with_context(|| format!("cannot understand the subscribers in {}", path.display()))
    }

    /// Every place of every subscriber.
    pub(crate) fn attachments(&self, domain: &Domain) -> Result<Vec<Attachment>> {
        let mut attachments = Vec::new();
        for subscriber in &self.subscribers {
            for interest in subscriber.interests()? {
                attachments.push(domain.attach(
                    &subscriber.name,
                    &interest,
                    &domain.retry_policy(),
                )?);
            }
        }
        Ok(attachments)
    }
}

impl Named {
    /// What it wants to receive.
    pub(crate) fn interests(&self) -> Result<Vec<Interest>> {
        if self.all {
            return Ok(vec![Interest::All]);
        }
        self.messages.iter().map(Message::interest).collect()
    }
}

impl Message {
    fn interest(&self) -> Result<Interest> {
        Ok(Interest::Named {
            name: self.name.clone(),
            version: self.version,
            kind: kind(&self.kind)?,
        })
    }
}

/// The kind by the wire's word for it.
pub(crate) fn kind(word: &str) -> Result<Kind> {
    match word {
        "domain_event" => Ok(Kind::Event),
        "command" => Ok(Kind::Command),
        other => bail!("`{other}` is no kind of message: use `domain_event` or `command`"),
    }
}
