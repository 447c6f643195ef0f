//! The brokers of one test run: started before it, stopped after it, whatever happens in between.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::{
    brokers::{
        Broker,
        identity::Identity,
        node,
        obtain::{Obtained, obtain},
        record::Record,
        start::{Means, Starter},
    },
    runner::Runner,
    workspace,
};

/// Brokers in use. Dropping it stops those that it started, and the private nodes that tests have left.
#[derive(Debug)]
pub(crate) struct Session {
    folder: PathBuf,
    owner: Identity,
    brokers: Vec<(&'static Broker, Obtained)>,
    /// Which private nodes a test can start, if any.
    nodes: Option<String>,
}

impl Session {
    /// Gets every broker that is asked for; those that cannot be had are [`skipped`](Self::skipped).
    pub(crate) fn open(
        wanted: &[&'static Broker],
        means: impl Fn(&Broker) -> Means,
        runner: &Runner,
        folder: &Path,
    ) -> Result<Self> {
        Record::sweep_orphans(folder)?;
        let mut session = Self {
            folder: folder.to_owned(),
            owner: Identity::this(),
            brokers: Vec::new(),
            nodes: None,
        };
        for broker in wanted {
            let starter = Starter {
                runner,
                folder,
                owner: Some(&session.owner),
            };
            let obtained = obtain(broker, &means(broker), starter)?;
            session.brokers.push((broker, obtained));
            // Asked again: it may have been installed just now.
            if means(broker).can_start() {
                session.nodes = session.nodes.take().or_else(|| node::version_of(broker));
            }
        }
        Ok(session)
    }

    /// With what this machine has.
    pub(crate) fn for_tests(
        wanted: &[&'static Broker],
        runner: &Runner,
        folder: &Path,
    ) -> Result<Self> {
        Self::open(wanted, |broker| Means::of(broker, folder), runner, folder)
    }

    /// The variables in which the tests find the brokers.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (String, &str)> {
        self.brokers
            .iter()
            .filter_map(|(broker, obtained)| match obtained {
                Obtained::Ready { url, .. } => Some((broker.variable_of_tests(), url.as_str())),
                Obtained::Skipped { .. } => None,
            })
    }

    /// The variables in which the tests find the program that starts private nodes, if they can have any.
    pub(crate) fn node_variables(&self, root: &Path) -> Result<Vec<(&'static str, OsString)>> {
        let Some(version) = &self.nodes else {
            return Ok(Vec::new());
        };
        let program = std::env::current_exe().context("cannot find the program that runs")?;
        Ok(vec![
            (node::PROGRAM, program.into()),
            (node::VERSION, version.into()),
            (node::SESSION, self.owner.to_string().into()),
            (workspace::ROOT, root.into()),
        ])
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
        let is_own = |record: &Record| record.owner.as_ref() == Some(&self.owner);
        if let Err(error) = Record::sweep(&self.folder, is_own) {
            println!("cannot remove the brokers of this run: {error:#}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::brokers::fake::FAKE;

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

    fn installed() -> Means {
        Means {
            installed: true,
            ..Means::default()
        }
    }

    /// As a person does, or a test.
    fn start(folder: &Path, name: &str, owner: Option<&Identity>) -> Record {
        let runner = Runner::new(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
        let starter = Starter {
            runner: &runner,
            folder,
            owner,
        };
        starter.start(&FAKE, &installed(), name).unwrap()
    }

    #[test]
    fn a_started_broker_answers_and_is_stopped_at_the_end() {
        let folder = scratch("started");
        let session = open(&folder, &installed());
        let (_, record) = Record::all(&folder).remove(0);
        assert!(FAKE.answers(&record.ports));
        assert_eq!(
            session.variables().next(),
            Some(("TIDINGS_TEST_FAKE_URL".into(), record.url.as_str()))
        );

        drop(session);
        assert!(!FAKE.answers(&record.ports));
        assert_eq!(Record::all(&folder), []);
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_a_person_has_started_is_used_and_left_running() {
        let folder = scratch("running");
        let record = start(&folder, "fake", None);
        let session = open(&folder, &installed());
        assert_eq!(session.ready().next(), Some(("fake", "running already")));
        drop(session);
        assert!(FAKE.answers(&record.ports));
        record.remove(&folder, "fake").unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn private_nodes_end_with_the_run_that_they_belong_to() {
        let folder = scratch("nodes");
        let session = open(&folder, &Means::default());
        let own = start(&folder, "node-own", Some(&Identity::this()));
        let other = start(&folder, "node-other", None);

        drop(session);
        assert!(!FAKE.answers(&own.ports));
        assert!(FAKE.answers(&other.ports), "a person started it");
        assert_eq!(Record::all(&folder), [("node-other".into(), other.clone())]);
        other.remove(&folder, "node-other").unwrap();
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
        assert_eq!(Record::all(&folder), [], "nothing was started");
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
