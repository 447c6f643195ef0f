//! What is known of a broker that was started here: written to a file, so that another run can stop it.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::brokers::{docker, identity::Identity, process};

/// How long a broker may take to end by itself.
const GRACE: Duration = Duration::from_secs(30);

/// By what a broker is held, running or not.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) enum Held {
    /// The name of its container.
    Container(String),
    /// The leader of its process group.
    Process(Identity),
}

/// A broker that was started here.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct Record {
    /// Which of the brokers it is.
    pub(crate) broker: String,
    /// How clients reach it, and by which ports; they stay the same as long as it exists.
    pub(crate) url: String,
    pub(crate) ports: Vec<u16>,
    /// Its own folder.
    pub(crate) data: PathBuf,
    pub(crate) held: Held,
    /// The test run that it ends with; none if a person started it.
    pub(crate) owner: Option<Identity>,
}

impl Record {
    /// Reads what an earlier run wrote; a file that makes no sense is as good as none.
    pub(crate) fn read(folder: &Path, name: &str) -> Option<Self> {
        Self::parse(&fs::read_to_string(file(folder, name)).ok()?)
    }

    /// All that there are, with their names.
    pub(crate) fn all(folder: &Path) -> Vec<(String, Self)> {
        let files = fs::read_dir(folder).into_iter().flatten();
        let mut records: Vec<_> = files
            .filter_map(|file| {
                let name = file.ok()?.file_name().into_string().ok()?;
                let name = name.strip_suffix(".json")?.to_owned();
                let record = Self::read(folder, &name)?;
                Some((name, record))
            })
            .collect();
        records.sort_by(|(a, _), (b, _)| a.cmp(b));
        records
    }

    pub(crate) fn write(&self, folder: &Path, name: &str) -> Result<()> {
        let file = file(folder, name);
        let text = serde_json::to_string_pretty(self)?;
        // Whole or not at all: another run may read it at this moment.
        let draft = file.with_extension("draft");
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        fs::write(&draft, text)
            .and_then(|()| fs::rename(&draft, &file))
            .with_context(|| format!("cannot write {}", file.display()))
    }

    /// The process of the broker itself, if it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        match &self.held {
            Held::Container(name) => docker::pid(name),
            Held::Process(leader) => leader.is_alive().then_some(leader.pid()),
        }
    }

    /// Lets the broker end by itself. It can be started again.
    pub(crate) fn stop(&self) -> Result<()> {
        match &self.held {
            Held::Container(name) => docker::stop(name, GRACE),
            Held::Process(leader) => {
                if !process::stop(leader, &self.data, GRACE) {
                    println!("the broker did not end by itself, and was killed");
                }
                Ok(())
            }
        }
    }

    /// Ends the broker as a power failure would. It can be started again.
    pub(crate) fn kill(&self) -> Result<()> {
        match &self.held {
            Held::Container(name) => docker::kill(name),
            Held::Process(leader) => {
                process::kill(leader, &self.data);
                Ok(())
            }
        }
    }

    /// Ends the broker and forgets it, with its data. Nobody will miss them, so nothing is asked to end by itself.
    pub(crate) fn remove(&self, folder: &Path, name: &str) -> Result<()> {
        self.forget(folder, name)?;
        unless_gone(fs::remove_dir_all(&self.data))
            .with_context(|| format!("cannot remove {}", self.data.display()))
    }

    /// As [`remove`](Self::remove), but keeps its data, and so its log.
    pub(crate) fn forget(&self, folder: &Path, name: &str) -> Result<()> {
        match &self.held {
            Held::Container(container) => docker::remove(container)?,
            Held::Process(leader) => process::kill(leader, &self.data),
        }
        let file = file(folder, name);
        unless_gone(fs::remove_file(&file))
            .with_context(|| format!("cannot remove {}", file.display()))
    }

    /// Removes those that are chosen, and returns their names.
    pub(crate) fn sweep(folder: &Path, chosen: impl Fn(&Self) -> bool) -> Result<Vec<String>> {
        let mut removed = Vec::new();
        for (name, record) in Self::all(folder) {
            if chosen(&record) {
                record.remove(folder, &name)?;
                removed.push(name);
            }
        }
        Ok(removed)
    }

    /// Removes what belongs to test runs that were killed, and so could not do it themselves.
    pub(crate) fn sweep_orphans(folder: &Path) -> Result<Vec<String>> {
        Self::sweep(folder, Self::is_orphan)
    }

    fn is_orphan(&self) -> bool {
        self.owner.as_ref().is_some_and(|owner| !owner.is_alive())
    }

    /// Whether it belongs to a test run that goes on.
    pub(crate) fn is_in_use(&self) -> bool {
        self.owner.as_ref().is_some_and(Identity::is_alive)
    }

    fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

fn unless_gone(removed: std::io::Result<()>) -> std::io::Result<()> {
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn file(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(held: Held) -> Record {
        Record {
            broker: "fake".into(),
            url: "amqp://localhost:1".into(),
            ports: vec![1, 2],
            data: "there".into(),
            held,
            owner: Some(Identity::this()),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let folder =
            std::env::temp_dir().join(format!("tidings-xtask-{}-records", std::process::id()));
        for held in [
            Held::Container("4f2a".into()),
            Held::Process(Identity::this()),
        ] {
            let record = record(held);
            record.write(&folder, "one").unwrap();
            assert_eq!(Record::read(&folder, "one"), Some(record.clone()));
            assert_eq!(Record::all(&folder), [("one".into(), record)]);
        }
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn nonsense_is_no_record() {
        for text in [
            "",
            "amqp://localhost:1\n1\nprocess 17\n",
            "{}",
            "[]",
            "null",
        ] {
            assert_eq!(Record::parse(text), None, "{text:?}");
        }
    }
}
