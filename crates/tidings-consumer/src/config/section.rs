//! A mapping of the file while it is read: its members by name, and a complaint for each that is not as it should be.

use std::sync::Arc;

use super::{
    complaint::{Complaint, Level},
    node::{Key, Kind, Node, Position},
    scalar::Meaning,
    secret::{Secret, Surroundings},
};

/// How alike a name must be to one that is known to be taken for a slip of it.
const ALIKE: f64 = 0.75;

/// The complaints about a file, as they are collected.
pub(super) struct Reading<'a> {
    pub(super) surroundings: Surroundings<'a>,
    pub(super) complaints: Vec<Complaint>,
    /// The virtual host that is being read.
    pub(super) virtual_host: Option<String>,
}

impl Reading<'_> {
    pub(super) fn complain(
        &mut self,
        level: Level,
        at: Position,
        key: impl Into<String>,
        what: impl Into<String>,
    ) {
        self.complaints.push(Complaint {
            at,
            key: key.into(),
            what: what.into(),
            level,
            virtual_host: self.virtual_host.clone(),
        });
    }
}

/// What Python does with a key that it does not know.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unknown {
    Ignored,
    Refused,
}

/// A mapping with its place in the file.
pub(super) struct Section<'n> {
    path: String,
    pub(super) at: Position,
    members: &'n [(Key, Arc<Node>)],
}

impl<'n> Section<'n> {
    /// The mapping that this part of the file is; `example` shows one.
    pub(super) fn of(
        node: &'n Node,
        path: &str,
        example: &str,
        reading: &mut Reading<'_>,
    ) -> Option<Self> {
        if let Kind::Map(members) = &node.kind {
            return Some(Self {
                path: path.to_owned(),
                at: node.at,
                members,
            });
        }
        let what = format!(
            "is {}, and must be a mapping such as `{example}`",
            name_of(node)
        );
        reading.complain(Level::Error, node.at, path, what);
        None
    }

    /// The full name of a member.
    pub(super) fn path(&self, name: &str) -> String {
        if self.path.is_empty() {
            return name.to_owned();
        }
        format!("{}.{name}", self.path)
    }

    pub(super) fn members(&self) -> &'n [(Key, Arc<Node>)] {
        self.members
    }

    /// The value of a member, if it is there.
    pub(super) fn get(&self, name: &str) -> Option<&'n Node> {
        let (_, node) = self.members.iter().find(|(key, _)| key.name == name)?;
        Some(node)
    }

    /// The value of a member, unless it is absent or null.
    pub(super) fn given(&self, name: &str) -> Option<&'n Node> {
        self.get(name).filter(|node| !is_null(node))
    }

    /// The value of a member that must be there.
    pub(super) fn require(
        &self,
        name: &str,
        example: &str,
        reading: &mut Reading<'_>,
    ) -> Option<&'n Node> {
        let node = self.get(name);
        if node.is_none() {
            let what = format!("is missing: add it, for example `{name}: {example}`");
            reading.complain(Level::Error, self.at, self.path(name), what);
        }
        node
    }

    /// The text of a member that must be there.
    pub(super) fn text(
        &self,
        name: &str,
        example: &str,
        reading: &mut Reading<'_>,
    ) -> Option<String> {
        let node = self.require(name, example, reading)?;
        text(node, &self.path(name), reading).map(str::to_owned)
    }

    /// The secret that a member stands for, which must be there.
    pub(super) fn secret(&self, name: &str, reading: &mut Reading<'_>) -> Option<Secret> {
        let node = self.require(name, "$env:NAME", reading)?;
        secret(node, &self.path(name), reading)
    }

    /// Whether a member says yes; `None` if it is absent or says something else.
    pub(super) fn truth(&self, name: &str, reading: &mut Reading<'_>) -> Option<bool> {
        let node = self.get(name)?;
        let Kind::Scalar(scalar) = &node.kind else {
            let what = format!("is {}: write `true` or `false`", name_of(node));
            reading.complain(Level::Error, node.at, self.path(name), what);
            return None;
        };
        match scalar.meaning() {
            Meaning::Bool(truth) => Some(truth),
            Meaning::Int(Some(number @ (0 | 1))) => Some(number == 1),
            // To Python any text is true, also "false".
            _ => {
                let what = format!(
                    "is {}: write `true` or `false`, without quotes",
                    name_of(node)
                );
                reading.complain(Level::Error, node.at, self.path(name), what);
                None
            }
        }
    }

    /// The number of a member, unless it is absent or not within the bounds.
    pub(super) fn number(
        &self,
        name: &str,
        (least, most): (u64, u64),
        reading: &mut Reading<'_>,
    ) -> Option<u64> {
        let node = self.get(name)?;
        let number = match &node.kind {
            Kind::Scalar(scalar) => match scalar.meaning() {
                Meaning::Int(number) => number,
                Meaning::Text(text) => text.parse().ok(),
                _ => None,
            },
            _ => None,
        };
        let number = number.and_then(|number| u64::try_from(number).ok());
        let fits = number.filter(|number| (least..=most).contains(number));
        if fits.is_none() {
            let what = format!("must be a whole number from {least} to {most}");
            reading.complain(Level::Error, node.at, self.path(name), what);
        }
        fits
    }

    /// Complains about members that nobody knows.
    pub(super) fn only(&self, known: &[&str], unknown: Unknown, reading: &mut Reading<'_>) {
        for (key, _) in self.members {
            if known.contains(&&*key.name) {
                continue;
            }
            let hint = match nearest(&key.name, known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known are `{}`", known.join("`, `")),
            };
            let path = self.path(&key.name);
            match unknown {
                Unknown::Refused => {
                    let what = format!("is not known: {hint}");
                    reading.complain(Level::Error, key.at, path, what);
                }
                Unknown::Ignored => {
                    let what = format!("is not known and has no effect: {hint}");
                    reading.complain(Level::Warning, key.at, path, what);
                }
            }
        }
    }

    /// A member that is taken for a slip of this name.
    pub(super) fn slip_of(&self, name: &str, known: &[&str]) -> Option<&'n Key> {
        let is_slip =
            |key: &Key| !known.contains(&&*key.name) && nearest(&key.name, known) == Some(name);
        self.members
            .iter()
            .map(|(key, _)| key)
            .find(|key| is_slip(key))
    }
}

/// The text of a value. What Python reads as something else must be quoted.
pub(super) fn text<'n>(node: &'n Node, path: &str, reading: &mut Reading<'_>) -> Option<&'n str> {
    let what = match &node.kind {
        Kind::Scalar(scalar) => match scalar.meaning() {
            Meaning::Text("") => "is empty".to_owned(),
            Meaning::Text(text) => return Some(text),
            Meaning::Null => "has no value".to_owned(),
            _ => format!("is {} as it stands: put it in quotes", name_of(node)),
        },
        _ => format!("is {}, and must be text", name_of(node)),
    };
    reading.complain(Level::Error, node.at, path, what);
    None
}

/// The secret that a value stands for.
pub(super) fn secret(node: &Node, path: &str, reading: &mut Reading<'_>) -> Option<Secret> {
    let written = text(node, path, reading)?;
    match reading.surroundings.secret(written) {
        Ok(secret) => Some(secret),
        Err(what) => {
            reading.complain(Level::Error, node.at, path, what);
            None
        }
    }
}

/// The name among these that this one is probably meant to be.
pub(crate) fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let likeness = |known: &str| strsim::jaro_winkler(&name.to_lowercase(), known);
    let best = known
        .iter()
        .map(|known| (likeness(known), *known))
        .max_by(|(one, _), (other, _)| one.total_cmp(other))?;
    (best.0 >= ALIKE).then_some(best.1)
}

fn is_null(node: &Node) -> bool {
    matches!(&node.kind, Kind::Scalar(scalar) if scalar.meaning() == Meaning::Null)
}

/// What a value is, without the value: it may be a secret.
fn name_of(node: &Node) -> &'static str {
    match &node.kind {
        Kind::List(_) => "a list",
        Kind::Map(_) => "a mapping",
        Kind::Scalar(scalar) => match scalar.meaning() {
            Meaning::Null => "empty",
            Meaning::Bool(_) => "true or false",
            Meaning::Int(_) | Meaning::Float => "a number",
            Meaning::Text(_) => "text",
        },
    }
}
