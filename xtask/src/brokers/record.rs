//! What is known of a broker that was started here: written to a file, so that another run can stop it.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::mpsc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use crate::{
    brokers::{Broker, docker},
    runner::signal_group,
};

/// How long a broker may take to end by itself.
const GRACE: Duration = Duration::from_secs(15);

/// By what a running broker is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// The identifier of its container.
    Container(String),
    /// The leader of its process group.
    Process(u32),
}

/// A broker that was started here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) url: String,
    pub(crate) port: u16,
    pub(crate) held: Held,
}

impl Record {
    /// Reads what an earlier run wrote; a file that makes no sense is as good as none.
    pub(crate) fn read(folder: &Path, name: &str) -> Option<Self> {
        Self::parse(&fs::read_to_string(file(folder, name)).ok()?)
    }

    pub(crate) fn write(&self, folder: &Path, name: &str) -> Result<()> {
        let file = file(folder, name);
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        fs::write(&file, self.render()).with_context(|| format!("cannot write {}", file.display()))
    }

    /// Stops the broker and forgets it, with its data.
    pub(crate) fn stop(&self, broker: &Broker, folder: &Path) -> Result<()> {
        match &self.held {
            Held::Container(id) => docker::stop(id)?,
            Held::Process(leader) => self.stop_process(*leader, broker),
        }
        forget(folder, broker)?;
        unless_gone(fs::remove_dir_all(folder.join(broker.name)))
    }

    /// Ends a broker that was started just now and does not answer. Its data, and so its log, is kept.
    pub(crate) fn kill(&self, broker: &Broker, folder: &Path) -> Result<()> {
        match &self.held {
            Held::Container(id) => docker::stop(id)?,
            Held::Process(leader) => signal_group(*leader, "KILL"),
        }
        forget(folder, broker)
    }

    /// Asks its process group to end, and kills what is left when the grace period is over.
    fn stop_process(&self, leader: u32, broker: &Broker) {
        // A process that is ours answers; after a restart of the machine the number may be somebody else's.
        if !broker.answers(self.port) {
            return;
        }
        signal_group(leader, "TERM");
        let deadline = Instant::now() + GRACE;
        let (_never, pause) = mpsc::channel::<()>();
        while broker.answers(self.port) && Instant::now() < deadline {
            // Nothing is ever sent: this is a pause that needs no runtime. A signal must not cut it short.
            let _elapsed = pause.recv_timeout(Duration::from_millis(100));
        }
        signal_group(leader, "KILL");
    }

    fn render(&self) -> String {
        let held = match &self.held {
            Held::Container(id) => format!("container {id}"),
            Held::Process(leader) => format!("process {leader}"),
        };
        format!("{}\n{}\n{held}\n", self.url, self.port)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let (url, port) = (lines.next()?.to_owned(), lines.next()?.parse().ok()?);
        let held = match lines.next()?.split_once(' ')? {
            ("container", id) => Held::Container(id.to_owned()),
            ("process", leader) => Held::Process(leader.parse().ok()?),
            _ => return None,
        };
        Some(Self { url, port, held })
    }
}

fn forget(folder: &Path, broker: &Broker) -> Result<()> {
    unless_gone(fs::remove_file(file(folder, broker.name)))
}

fn unless_gone(removed: std::io::Result<()>) -> Result<()> {
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

fn file(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.txt"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for held in [Held::Container("4f2a".into()), Held::Process(17)] {
            let record = Record {
                url: "amqp://localhost:1".into(),
                port: 1,
                held,
            };
            assert_eq!(Record::parse(&record.render()), Some(record));
        }
    }

    #[test]
    fn nonsense_is_no_record() {
        for text in [
            "",
            "url\n",
            "url\nport\nprocess 1",
            "url\n1\nprocess x",
            "url\n1\nmagic 1",
        ] {
            assert_eq!(Record::parse(text), None, "{text:?}");
        }
    }
}
