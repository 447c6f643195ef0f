//! Which runs there are, by name: a run is a child process that is told its name and its number of messages.

use std::fmt;

use anyhow::{Result, bail};
use tidings::Domain;
use tokio::runtime::{Builder, Runtime};

use super::{bare::BareJson, ours, peer};
use crate::measured::Allocated;

/// Whose code runs, and on which bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Tidings with the domain convention.
    Domain,
    /// Tidings with messages that are the fields and nothing else.
    Bare,
    /// RustStream, whose messages are the fields and nothing else.
    Peer,
}

/// Which part of the way is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// Publish, route, decode, handle, ack.
    Whole,
    /// From the broker's queue to the ack.
    Receive,
    /// From the typed event to the broker's queue, confirmed.
    Publish,
    /// From bytes to the typed event.
    Decode,
}

/// One run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scenario {
    pub subject: Subject,
    pub path: Path,
    /// How many are handled at a time; `None` is the default.
    pub concurrency: Option<u16>,
}

impl Path {
    /// In the order of the table's columns.
    pub const ALL: [Self; 4] = [Self::Whole, Self::Receive, Self::Publish, Self::Decode];

    /// Whether it matters how many are handled at a time.
    fn handles(self) -> bool {
        matches!(self, Self::Whole | Self::Receive)
    }
}

impl Scenario {
    /// With as many handled at a time as by default.
    pub fn new(subject: Subject, path: Path) -> Self {
        Self {
            subject,
            path,
            concurrency: None,
        }
    }

    pub fn with_concurrency(self, concurrency: Option<u16>) -> Self {
        Self {
            concurrency,
            ..self
        }
    }

    /// The rows of the table.
    pub fn rows() -> [(Subject, Option<u16>); 5] {
        [
            (Subject::Domain, None),
            (Subject::Domain, Some(1)),
            (Subject::Bare, None),
            (Subject::Bare, Some(1)),
            (Subject::Peer, None),
        ]
    }

    pub fn name_of_row(subject: Subject, concurrency: Option<u16>) -> String {
        let name = match subject {
            Subject::Domain => "Tidings, domain message",
            Subject::Bare => "Tidings, bare JSON",
            Subject::Peer => "RustStream 0.7.7, bare JSON",
        };
        match concurrency {
            Some(lanes) => format!("  concurrency {lanes}"),
            None => name.to_owned(),
        }
    }

    /// Every run that the table needs.
    pub fn all() -> Vec<Self> {
        let row = |(subject, concurrency): (Subject, Option<u16>)| {
            Path::ALL
                .into_iter()
                .filter(move |path| concurrency.is_none() || path.handles())
                .map(move |path| Self::new(subject, path).with_concurrency(concurrency))
        };
        Self::rows().into_iter().flat_map(row).collect()
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}-{:?}", self.subject, self.path)?;
        self.concurrency
            .map_or(Ok(()), |lanes| write!(f, "-{lanes}"))
    }
}

/// Runs the scenario of this name.
pub fn run(name: &str, messages: usize) -> Result<Allocated> {
    let Some(scenario) = Scenario::all()
        .into_iter()
        .find(|one| one.to_string() == name)
    else {
        bail!("there is no scenario `{name}`");
    };
    let Scenario {
        subject,
        path,
        concurrency,
    } = scenario;
    match subject {
        Subject::Domain => ours::run(domain()?, path, concurrency, messages),
        Subject::Bare => ours::run(BareJson::new(), path, concurrency, messages),
        Subject::Peer => peer::run(path, messages),
    }
}

/// The domain convention with its defaults.
pub fn domain() -> tidings::Result<Domain> {
    Domain::new("acme", "shop")
}

/// One thread: one order of execution.
pub fn runtime() -> Result<Runtime> {
    Ok(Builder::new_current_thread().enable_all().build()?)
}
