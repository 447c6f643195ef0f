//! Private nodes: brokers that one test has for itself, so that it may stop, kill and start them.
//!
//! A test runs the program that it finds in the variable [`PROGRAM`], with the arguments `brokers node …`, and
//! reads the last line of what it prints. A node keeps its ports and its data until it is removed. It belongs to the
//! test run that it was started in, and ends with it at the latest.

use std::{path::Path, str::FromStr};

use anyhow::{Context, Result, bail, ensure};
use clap::{Subcommand, ValueEnum};
use serde::Serialize;

use crate::{
    brokers::{
        Broker, Site, docker,
        identity::Identity,
        obtain,
        rabbitmq::{self, RABBITMQ},
        record::{Held, Record},
        root::{self, RABBITMQ_4},
        start::{Means, Starter},
    },
    environment,
    runner::Runner,
};

/// Where tests find the program that starts nodes; not set where none can be had.
pub(crate) const PROGRAM: &str = "TIDINGS_TEST_NODE";
/// The version of nodes for which none is asked for.
pub(crate) const VERSION: &str = "TIDINGS_TEST_NODE_VERSION";
/// The process of the test run to which the nodes belong.
pub(crate) const SESSION: &str = "TIDINGS_TEST_SESSION";

/// What can be done with a node.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Action {
    /// Start a new RabbitMQ node; returns when it is ready
    Start {
        /// Letters, digits and hyphens
        name: Name,
        /// Which RabbitMQ it is
        #[arg(long, value_enum)]
        version: Option<Version>,
    },
    /// Let a node end by itself, and keep its data
    Stop { name: Name },
    /// End a node as a power failure would, and keep its data
    Kill { name: Name },
    /// Start a node again that was stopped or killed
    Resume { name: Name },
    /// Make a node short of memory, so that it blocks those who publish
    Alarm { name: Name },
    /// Give a node its memory back
    Calm { name: Name },
    /// End a node, and remove it with its data
    Remove { name: Name },
}

/// Which RabbitMQ a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Version {
    /// The one of Debian 12, 3.10
    Debian,
    /// The newest 4 that can be had
    #[value(name = "4")]
    Four,
}

impl Version {
    fn broker(self) -> &'static Broker {
        match self {
            Self::Debian => &RABBITMQ,
            Self::Four => &RABBITMQ_4,
        }
    }

    /// What the variable says, or the oldest.
    fn by_default() -> Result<Self> {
        let Some(value) = environment::variable(VERSION) else {
            return Ok(Self::Debian);
        };
        Self::from_str(&value, true)
            .ok()
            .with_context(|| format!("{VERSION} is `{value}`, which is no version"))
    }
}

/// What [`VERSION`] must say so that private nodes are of this kind; none if they cannot be.
pub(crate) fn version_of(broker: &Broker) -> Option<String> {
    let version = Version::value_variants()
        .iter()
        .find(|version| version.broker().name == broker.name)?;
    Some(version.to_possible_value()?.get_name().to_owned())
}

/// The name of a node: part of file names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name(String);

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_fine = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if text.is_empty() || text.len() > 100 || !text.chars().all(is_fine) {
            return Err("a name is 1 to 100 letters, digits, `-` and `_`".into());
        }
        Ok(Self(text.to_owned()))
    }
}

impl Name {
    /// Under which it is recorded, apart from the brokers that all tests share.
    fn record(&self) -> String {
        format!("{PREFIX}{}", self.0)
    }
}

const PREFIX: &str = "node-";

/// What is printed: how to reach the node, and its process if it runs.
#[derive(Debug, Serialize)]
struct Line<'a> {
    url: &'a str,
    management: Option<String>,
    pid: Option<u32>,
}

/// Does what is asked for, and prints one line.
pub(crate) fn run(runner: &Runner, folder: &Path, action: &Action) -> Result<()> {
    let owner = environment::variable(SESSION).and_then(|pid| Identity::parse(&pid));
    let starter = Starter {
        runner,
        folder,
        owner: owner.as_ref(),
    };
    let record = match action {
        Action::Start { name, version } => {
            let version = version.map_or_else(Version::by_default, Ok)?;
            let broker = version.broker();
            start(starter, broker, &Means::of(broker, folder), name)?
        }
        Action::Resume { name } => resume(starter, broker_of, name)?,
        Action::Stop { name } => find(folder, name).and_then(|it| it.stop().map(|()| it))?,
        Action::Kill { name } => find(folder, name).and_then(|it| it.kill().map(|()| it))?,
        Action::Alarm { name } => limit_memory(folder, name, true)?,
        Action::Calm { name } => limit_memory(folder, name, false)?,
        Action::Remove { name } => {
            let record = find(folder, name)?;
            record.remove(folder, &name.record())?;
            record
        }
    };
    let line = Line {
        url: &record.url,
        management: rabbitmq::management(&record.ports),
        pid: record.pid(),
    };
    println!("{}", serde_json::to_string(&line)?);
    Ok(())
}

fn start(starter: Starter<'_>, broker: &Broker, means: &Means, name: &Name) -> Result<Record> {
    let taken = Record::read(starter.folder, &name.record());
    ensure!(
        taken.is_none(),
        "there is a node `{}` already: remove it, or choose another name",
        name.0
    );
    if let Some(why) = obtain::prepare(broker, means, starter.runner, starter.folder)? {
        bail!("there is no {} here: {why}", broker.name);
    }
    starter.start(broker, means, &name.record())
}

fn resume(
    starter: Starter<'_>,
    broker_of: impl Fn(&Record) -> Option<&'static Broker>,
    name: &Name,
) -> Result<Record> {
    let record = find(starter.folder, name)?;
    let broker =
        broker_of(&record).with_context(|| format!("there is no broker `{}`", record.broker))?;
    starter.resume(broker, &name.record(), record)
}

/// Says to a node how much memory it may have. What it does when it has too much is RabbitMQ's own business.
fn limit_memory(folder: &Path, name: &Name, is_short: bool) -> Result<Record> {
    let record = find(folder, name)?;
    let words = rabbitmq::memory_limit(is_short);
    if let Held::Container(container) = &record.held {
        docker::exec(container, &[&["rabbitmqctl"], &words[..]].concat())?;
        return Ok(record);
    }
    let broker =
        broker_of(&record).with_context(|| format!("there is no broker `{}`", record.broker))?;
    let site = Site {
        program: (broker.program)(folder)
            .with_context(|| format!("{} has no program", broker.package))?,
        data: record.data.clone(),
        ports: record.ports.clone(),
    };
    let mut command = match broker.name == RABBITMQ_4.name {
        true => root::control(&site)?,
        false => rabbitmq::control(&site)?,
    };
    let output = command
        .args(words)
        .output()
        .context("cannot run rabbitmqctl")?;
    ensure!(
        output.status.success(),
        "rabbitmqctl failed: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(record)
}

fn broker_of(record: &Record) -> Option<&'static Broker> {
    Version::value_variants()
        .iter()
        .map(|version| version.broker())
        .find(|broker| broker.name == record.broker)
}

fn find(folder: &Path, name: &Name) -> Result<Record> {
    Record::read(folder, &name.record()).with_context(|| format!("there is no node `{}`", name.0))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::brokers::fake::FAKE;

    fn installed() -> Means {
        Means {
            installed: true,
            ..Means::default()
        }
    }

    /// A folder and a runner for one test, and whom its nodes belong to.
    struct Scene {
        runner: Runner,
        folder: PathBuf,
        owner: Option<Identity>,
    }

    impl Scene {
        fn new(name: &str) -> Self {
            let name = format!("tidings-xtask-{}-node-{name}", std::process::id());
            Self {
                runner: Runner::new(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap(),
                folder: std::env::temp_dir().join(name),
                owner: None,
            }
        }

        fn starter(&self) -> Starter<'_> {
            Starter {
                runner: &self.runner,
                folder: &self.folder,
                owner: self.owner.as_ref(),
            }
        }

        fn start(&self, name: &Name) -> Record {
            start(self.starter(), &FAKE, &installed(), name).unwrap()
        }

        fn resume(&self, name: &Name) -> Result<Record> {
            resume(self.starter(), |_| Some(&FAKE), name)
        }
    }

    impl Drop for Scene {
        fn drop(&mut self) {
            Record::sweep(&self.folder, |_| true).unwrap();
            std::fs::remove_dir_all(&self.folder).unwrap();
        }
    }

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn a_node_that_is_killed_or_stopped_comes_back_with_its_data_on_its_ports() {
        let scene = Scene::new("back");
        let name = name("a");
        let first = scene.start(&name);
        std::fs::write(first.data.join("message"), "kept").unwrap();
        let mut before = first.pid();
        for end in [Record::kill, Record::stop] {
            let record = find(&scene.folder, &name).unwrap();
            end(&record).unwrap();
            assert!(!FAKE.answers(&first.ports));
            assert_eq!(record.pid(), None);

            let again = scene.resume(&name).unwrap();
            assert_eq!((&again.ports, &again.url), (&first.ports, &first.url));
            assert!(FAKE.answers(&first.ports));
            assert_ne!(again.pid(), before);
            before = again.pid();
            assert!(again.data.join("message").exists());
        }
        let refused = scene.resume(&name).unwrap_err().to_string();
        assert_eq!(refused, "`node-a` runs: stop or kill it first");

        let record = find(&scene.folder, &name).unwrap();
        record.remove(&scene.folder, &name.record()).unwrap();
        assert!(!FAKE.answers(&first.ports));
        assert!(!first.data.exists());
        let unknown = find(&scene.folder, &name).unwrap_err().to_string();
        assert_eq!(unknown, "there is no node `a`");
    }

    #[test]
    fn two_nodes_do_not_share_a_name_or_a_port() {
        let scene = Scene::new("two");
        let first = scene.start(&name("a"));
        let error = start(scene.starter(), &FAKE, &installed(), &name("a")).unwrap_err();
        assert!(
            error.to_string().starts_with("there is a node `a` already"),
            "{error}"
        );
        first.kill().unwrap();
        let second = scene.start(&name("b"));
        assert_ne!(first.ports, second.ports);
    }

    #[test]
    fn nodes_of_an_interrupted_run_are_removed_and_those_of_others_are_left() {
        let mut scene = Scene::new("interrupted");
        let by_hand = scene.start(&name("by-hand"));
        scene.owner = Some(Identity::this());
        let of_this_run = scene.start(&name("of-this-run"));
        let mut child = std::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        scene.owner = Identity::parse(&child.id().to_string());
        let left_over = scene.start(&name("left-over"));

        // It ends with its input, which `wait` closes.
        child.wait().unwrap();
        Record::sweep_orphans(&scene.folder).unwrap();
        assert!(!FAKE.answers(&left_over.ports));
        assert!(!left_over.data.exists());
        assert!(FAKE.answers(&by_hand.ports));
        assert!(FAKE.answers(&of_this_run.ports));
    }

    #[test]
    fn a_node_that_does_not_come_up_leaves_its_log_and_nothing_else() {
        const BROKEN: Broker = Broker {
            launch: |_| {
                let mut command = std::process::Command::new("sh");
                command.args(["-c", "sleep 600 & echo no >&2; exit 1"]);
                Ok(command)
            },
            ..FAKE
        };
        let scene = Scene::new("broken");
        let error = start(scene.starter(), &BROKEN, &installed(), &name("a")).unwrap_err();
        let error = error.to_string();
        let (what, log) = error.split_once(": see ").unwrap();
        assert_eq!(what, "fake ended while it started");
        assert_eq!(std::fs::read_to_string(log).unwrap(), "no\n");
        assert_eq!(Record::all(&scene.folder), []);
    }

    #[test]
    fn a_name_is_part_of_a_file_name() {
        for (text, fine) in [
            ("broker_restart-1", true),
            ("", false),
            ("../other", false),
            ("a b", false),
            ("a.json", false),
        ] {
            assert_eq!(text.parse::<Name>().is_ok(), fine, "{text:?}");
        }
    }

    #[test]
    fn prints_what_a_test_must_know() {
        let line = Line {
            url: "amqp://a",
            management: Some("http://b".into()),
            pid: None,
        };
        assert_eq!(
            serde_json::to_string(&line).unwrap(),
            r#"{"url":"amqp://a","management":"http://b","pid":null}"#
        );
    }
}
