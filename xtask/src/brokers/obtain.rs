//! Gets a broker by the first means that this machine has, in the order that costs a person least.
//!
//! One that is named by its URL, one that `brokers up` has left running, a Docker container, an installed
//! program, a Debian package. A broker that cannot be had is not an error here: whether a skip is a failure is
//! for the caller to say.

use std::{
    fmt,
    net::TcpListener,
    os::unix::process::CommandExt,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use crate::{
    brokers::{
        Broker, docker,
        record::{Held, Record},
    },
    debian, environment,
    runner::Runner,
};

/// How long a broker may take until it answers.
const START: Duration = Duration::from_secs(120);

/// What this machine offers for one broker.
#[derive(Clone, Debug, Default)]
pub(crate) struct Means {
    pub(crate) given: Option<String>,
    pub(crate) docker: bool,
    pub(crate) installed: bool,
    pub(crate) apt: bool,
}

impl Means {
    pub(crate) fn of(broker: &Broker) -> Self {
        Self {
            given: environment::variable(&broker.variable()),
            docker: docker::is_usable(),
            installed: (broker.program)().is_some(),
            apt: debian::can_install(),
        }
    }
}

impl fmt::Display for Means {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let means = [
            (self.given.is_some(), "its variable"),
            (self.docker, "Docker"),
            (self.installed, "an installed program"),
            (self.apt, "a Debian package"),
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

/// A broker that tests can use, or why there is none.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Obtained {
    /// It answers. `started` says whether it was started now, and so must be stopped.
    Ready {
        url: String,
        how: &'static str,
        started: bool,
    },
    /// It cannot be had on this machine.
    Skipped { why: String },
}

/// Gets a broker, starting one if need be.
pub(crate) fn obtain(
    broker: &Broker,
    means: &Means,
    runner: &Runner,
    folder: &Path,
) -> Result<Obtained> {
    if let Some(url) = &means.given {
        return Ok(Obtained::Ready {
            url: url.clone(),
            how: "given by its variable",
            started: false,
        });
    }
    if let Some(record) = Record::read(folder, broker.name) {
        if broker.answers(record.port) {
            return Ok(Obtained::Ready {
                url: record.url,
                how: "running already",
                started: false,
            });
        }
        record.stop(broker, folder)?;
    }
    let (how, record) = if means.docker {
        ("started with Docker", docker::start(broker)?)
    } else if means.installed {
        ("started", start(broker, folder)?)
    } else if means.apt {
        debian::install(runner, &[broker.package])?;
        ("installed and started", start(broker, folder)?)
    } else {
        return Ok(Obtained::Skipped {
            why: advice(broker),
        });
    };
    // Written before it answers, so that an interrupted start leaves nothing behind that is not known.
    record.write(folder, broker.name)?;
    if let Err(error) = wait_until_it_answers(broker, record.port, runner) {
        record.kill(broker, folder)?;
        return Err(error);
    }
    Ok(Obtained::Ready {
        url: record.url,
        how,
        started: true,
    })
}

fn advice(broker: &Broker) -> String {
    format!(
        "no Docker, no `{}` installed, and not root on Debian: set {}",
        broker.package,
        broker.variable()
    )
}

/// Starts the installed program in a process group of its own.
fn start(broker: &Broker, folder: &Path) -> Result<Record> {
    let program = (broker.program)().with_context(|| {
        format!(
            "the package `{}` is installed but has no program",
            broker.package
        )
    })?;
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let data = folder.join(broker.name);
    std::fs::create_dir_all(&data).with_context(|| format!("cannot create {}", data.display()))?;
    let log = std::fs::File::create(data.join("output.log"))?;
    let child = (broker.launch)(&program, &data, port)?
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))?;
    Ok(Record {
        url: (broker.url)(port),
        port,
        held: Held::Process(child.id()),
    })
}

fn wait_until_it_answers(broker: &Broker, port: u16, runner: &Runner) -> Result<()> {
    let deadline = Instant::now() + START;
    while !broker.answers(port) {
        runner.pause(Duration::from_millis(200))?;
        anyhow::ensure!(
            Instant::now() < deadline,
            "{} does not answer on port {port} after {} s: see its output.log under .tidings/brokers",
            broker.name,
            START.as_secs()
        );
    }
    Ok(())
}
