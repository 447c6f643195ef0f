//! Starts brokers, by the means that a machine has, and waits until they are ready.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    brokers::{
        Broker, docker,
        identity::Identity,
        ports::Reserved,
        process,
        record::{Held, Record},
    },
    environment,
    runner::Runner,
};

/// How long a broker may take until it answers.
const START: Duration = Duration::from_secs(120);
/// How often it is asked.
const LOOK: Duration = Duration::from_millis(50);

/// What this machine offers for one broker.
#[derive(Clone, Debug, Default)]
pub(crate) struct Means {
    pub(crate) given: Option<String>,
    pub(crate) docker: bool,
    pub(crate) installed: bool,
    pub(crate) installable: bool,
}

impl Means {
    pub(crate) fn of(broker: &Broker, folder: &Path) -> Self {
        Self {
            given: environment::variable(&broker.variable()),
            docker: docker::is_usable(),
            installed: (broker.program)(folder).is_some(),
            installable: (broker.can_install)(),
        }
    }

    /// Whether one can be started without installing anything.
    pub(crate) fn can_start(&self) -> bool {
        self.docker || self.installed
    }
}

impl fmt::Display for Means {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let means = [
            (self.given.is_some(), "its variable"),
            (self.docker, "Docker"),
            (self.installed, "an installed program"),
            (self.installable, "a Debian package"),
        ];
        let names: Vec<_> = means
            .iter()
            .filter(|(has, _)| *has)
            .map(|(_, name)| *name)
            .collect();
        f.write_str(if names.is_empty() { "nothing" } else { "" })?;
        f.write_str(&names.join(", "))
    }
}

/// Where a program is to run: its folder and its ports.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) program: PathBuf,
    pub(crate) data: PathBuf,
    pub(crate) ports: Vec<u16>,
}

/// Starts brokers in one folder.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Starter<'a> {
    pub(crate) runner: &'a Runner,
    pub(crate) folder: &'a Path,
    /// The test run that they belong to, if any.
    pub(crate) owner: Option<&'a Identity>,
}

impl Starter<'_> {
    /// Starts a new broker under a name.
    pub(crate) fn start(&self, broker: &Broker, means: &Means, name: &str) -> Result<Record> {
        let record = self.launch(broker, means, name)?;
        // Known before it answers, so that an interrupted start leaves nothing behind that is not.
        record.write(self.folder, name)?;
        if let Err(error) = self.wait_until_ready(broker, &record) {
            record.forget(self.folder, name)?;
            return Err(error);
        }
        Ok(record)
    }

    /// Starts a broker again that was stopped or killed.
    pub(crate) fn resume(&self, broker: &Broker, name: &str, record: Record) -> Result<Record> {
        ensure!(
            record.pid().is_none(),
            "`{name}` runs: stop or kill it first"
        );
        let held = match record.held {
            Held::Container(container) => {
                docker::start(&container)?;
                Held::Container(container)
            }
            Held::Process(_) => self.launch_program(broker, &record.data, &record.ports)?,
        };
        let record = Record { held, ..record };
        record.write(self.folder, name)?;
        self.wait_until_ready(broker, &record)?;
        Ok(record)
    }

    fn launch(&self, broker: &Broker, means: &Means, name: &str) -> Result<Record> {
        let taken: Vec<u16> = Record::all(self.folder)
            .into_iter()
            .flat_map(|(_, record)| record.ports)
            .collect();
        let reserved = Reserved::new(broker.ports, &taken)?;
        let ports = reserved.numbers()?;
        drop(reserved);
        let data = (broker.data)(self.folder, name);
        // Of one that failed, and whose log was kept.
        if data.exists() {
            fs::remove_dir_all(&data)
                .with_context(|| format!("cannot remove {}", data.display()))?;
        }
        let held = if means.docker {
            Held::Container(docker::run(broker, name, &ports)?)
        } else {
            self.launch_program(broker, &data, &ports)?
        };
        Ok(Record {
            broker: broker.name.into(),
            url: (broker.url)(&ports),
            ports,
            data,
            held,
            owner: self.owner.cloned(),
        })
    }

    fn launch_program(&self, broker: &Broker, data: &Path, ports: &[u16]) -> Result<Held> {
        let program = (broker.program)(self.folder)
            .with_context(|| format!("{} is installed but has no program", broker.package))?;
        fs::create_dir_all(data).with_context(|| format!("cannot create {}", data.display()))?;
        let site = Site {
            program,
            data: data.to_owned(),
            ports: ports.to_vec(),
        };
        let command = (broker.launch)(&site)?;
        process::start(command, data).map(Held::Process)
    }

    fn wait_until_ready(&self, broker: &Broker, record: &Record) -> Result<()> {
        let deadline = Instant::now() + START;
        while !broker.answers(&record.ports) {
            self.runner.pause(LOOK)?;
            let log = record.data.join("output.log");
            if record.pid().is_none() {
                bail!(
                    "{} ended while it started: see {}",
                    broker.name,
                    log.display()
                );
            }
            ensure!(
                Instant::now() < deadline,
                "{} does not answer on port {:?} after {} s: see {}",
                broker.name,
                record.ports,
                START.as_secs(),
                log.display()
            );
        }
        Ok(())
    }
}
