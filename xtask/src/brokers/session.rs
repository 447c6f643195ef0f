//! The brokers of one test run: started before it, stopped after it, whatever happens in between.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::{
    brokers::{
        Broker,
        obtain::{Means, Obtained, obtain},
        record::Record,
    },
    runner::Runner,
};

/// Brokers in use. Dropping it stops those that it started.
#[derive(Debug)]
pub(crate) struct Session {
    folder: PathBuf,
    brokers: Vec<(&'static Broker, Obtained)>,
}

impl Session {
    /// Gets every broker that is asked for; those that cannot be had are [`skipped`](Self::skipped).
    pub(crate) fn open(
        wanted: &[&'static Broker],
        means: impl Fn(&Broker) -> Means,
        runner: &Runner,
        folder: &Path,
    ) -> Result<Self> {
        let mut session = Self {
            folder: folder.to_owned(),
            brokers: Vec::new(),
        };
        for broker in wanted {
            let obtained = obtain(broker, &means(broker), runner, folder)?;
            session.brokers.push((broker, obtained));
        }
        Ok(session)
    }

    /// With what this machine has.
    pub(crate) fn for_tests(
        wanted: &[&'static Broker],
        runner: &Runner,
        folder: &Path,
    ) -> Result<Self> {
        Self::open(wanted, Means::of, runner, folder)
    }

    /// The variables in which the tests find the brokers.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (String, &str)> {
        self.brokers
            .iter()
            .filter_map(|(broker, obtained)| match obtained {
                Obtained::Ready { url, .. } => Some((broker.variable(), url.as_str())),
                Obtained::Skipped { .. } => None,
            })
    }

    /// Names of the brokers in use, and how each was had.
    pub(crate) fn ready(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.brokers
            .iter()
            .filter_map(|(broker, obtained)| match obtained {
                Obtained::Ready { how, .. } => Some((broker.name, *how)),
                Obtained::Skipped { .. } => None,
            })
    }

    /// Names of the brokers that cannot be had, and why.
    pub(crate) fn skipped(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.brokers
            .iter()
            .filter_map(|(broker, obtained)| match obtained {
                Obtained::Skipped { why } => Some((broker.name, why.as_str())),
                Obtained::Ready { .. } => None,
            })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        for (broker, obtained) in &self.brokers {
            let Obtained::Ready { started: true, .. } = obtained else {
                continue;
            };
            let Some(record) = Record::read(&self.folder, broker.name) else {
                continue;
            };
            if let Err(error) = record.stop(broker, &self.folder) {
                println!("cannot stop {}: {error:#}", broker.name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, process::Command};

    use super::*;
    use crate::environment;

    /// A server that every machine with Python has, in the place of a broker.
    static FAKE: Broker = Broker {
        name: "fake",
        needed_by: "nobody",
        image: "none",
        port: 1,
        package: "python3",
        program: || environment::program("python3"),
        launch: |program, _, port| {
            let mut command = Command::new(program);
            command.args([
                "-m",
                "http.server",
                "--bind",
                "127.0.0.1",
                &port.to_string(),
            ]);
            Ok(command)
        },
        url: |port| format!("http://127.0.0.1:{port}"),
        greeting: b"HEAD / HTTP/1.0\r\n\r\n",
    };

    fn scratch(name: &str) -> PathBuf {
        let folder =
            std::env::temp_dir().join(format!("tidings-xtask-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn open(folder: &Path, means: &Means) -> Session {
        let runner = Runner::new(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
        Session::open(&[&FAKE], |_| means.clone(), &runner, folder).unwrap()
    }

    #[test]
    fn a_started_broker_answers_and_is_stopped_at_the_end() {
        let folder = scratch("started");
        let means = Means {
            installed: true,
            ..Means::default()
        };
        let session = open(&folder, &means);
        let record = Record::read(&folder, "fake").unwrap();
        assert!(FAKE.answers(record.port));
        assert_eq!(
            session.variables().next(),
            Some(("TIDINGS_TEST_FAKE_URL".into(), record.url.as_str()))
        );

        let second = open(&folder, &means);
        assert_eq!(second.ready().next(), Some(("fake", "running already")));
        drop(second);
        assert!(
            FAKE.answers(record.port),
            "a session stops only what it started itself"
        );

        drop(session);
        assert!(!FAKE.answers(record.port));
        assert_eq!(Record::read(&folder, "fake"), None);
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_given_broker_is_used_and_left_alone() {
        let folder = scratch("given");
        let session = open(
            &folder,
            &Means {
                given: Some("http://there".into()),
                ..Means::default()
            },
        );
        assert_eq!(
            session.variables().next(),
            Some(("TIDINGS_TEST_FAKE_URL".into(), "http://there"))
        );
        assert_eq!(Record::read(&folder, "fake"), None, "nothing was started");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_broker_that_cannot_be_had_is_named() {
        let folder = scratch("skipped");
        let session = open(&folder, &Means::default());
        let (name, why) = session.skipped().next().unwrap();
        assert_eq!(name, "fake");
        assert!(why.ends_with("set TIDINGS_TEST_FAKE_URL"), "{why}");
        assert_eq!(session.variables().next(), None);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
