//! The brokers that tests may need: how each is had, started, looked at and stopped.
//!
//! A transport that talks to a server adds one [`Broker`] to [`ALL`]; the rest is the same for every broker.
//! The embedded broker is not here: it lives in the process that uses it. What the tests do with a broker is
//! their business; they find it in the variable [`Broker::variable`].

mod docker;
mod obtain;
mod rabbitmq;
mod record;
mod session;

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::Result;
use clap::Subcommand;

pub(crate) use self::session::Session;
use self::{
    obtain::{Means, Obtained},
    record::Record,
};
use crate::{
    runner::Runner,
    table::{Cell, Table, Tone},
    workspace::Workspace,
};

/// Every broker that some crate of the workspace can talk to.
const ALL: &[Broker] = &[rabbitmq::RABBITMQ];

/// What `cargo xtask brokers` can do.
#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum Action {
    /// Start every broker and leave it running
    Up,
    /// Stop every broker that `up` started
    Down,
    /// Show which brokers can be had and which are running
    Status,
}

/// One kind of server, and how to get it.
#[derive(Debug)]
pub(crate) struct Broker {
    /// As in `TIDINGS_TEST_<NAME>_URL`, in lower case.
    name: &'static str,
    /// The crate whose tests need it; while the workspace has no such crate, nobody does.
    needed_by: &'static str,
    /// The Docker image, and the port it listens on.
    image: &'static str,
    port: u16,
    /// The Debian package.
    package: &'static str,
    /// Where its program is, if it is installed.
    program: fn() -> Option<PathBuf>,
    /// How the program is started, with its data in a folder, on a port.
    launch: fn(&Path, &Path, u16) -> Result<Command>,
    /// How clients reach it.
    url: fn(u16) -> String,
    /// What a client says first; a broker that is ready answers it with something.
    greeting: &'static [u8],
}

impl Broker {
    /// The environment variable in which tests find it, and in which a person may name one of their own.
    fn variable(&self) -> String {
        format!("TIDINGS_TEST_{}_URL", self.name.to_uppercase())
    }

    /// Whether a broker of this kind answers on a local port.
    fn answers(&self, port: u16) -> bool {
        let patience = Some(Duration::from_secs(2));
        let ask = || -> std::io::Result<usize> {
            let mut stream = TcpStream::connect(("127.0.0.1", port))?;
            stream.set_read_timeout(patience)?;
            stream.write_all(self.greeting)?;
            stream.read(&mut [0])
        };
        ask().is_ok_and(|bytes| bytes > 0)
    }
}

/// Does one of the `brokers` commands; `false` if a broker could not be had.
pub(crate) fn run(runner: &Runner, workspace: &Workspace, action: Action) -> Result<bool> {
    let folder = folder(workspace);
    match action {
        Action::Up => up(runner, &folder),
        Action::Down => down(&folder),
        Action::Status => {
            print!("{}", status(&folder));
            Ok(true)
        }
    }
}

/// The brokers that the tests of this workspace need.
pub(crate) fn needed(workspace: &Workspace) -> Vec<&'static Broker> {
    ALL.iter()
        .filter(|broker| workspace.has_package(broker.needed_by))
        .collect()
}

/// Where the brokers keep their data, and we what we know of them.
pub(crate) fn folder(workspace: &Workspace) -> PathBuf {
    workspace.root().join(".tidings").join("brokers")
}

fn up(runner: &Runner, folder: &Path) -> Result<bool> {
    let mut all_there = true;
    for broker in ALL {
        match obtain::obtain(broker, &Means::of(broker), runner, folder)? {
            Obtained::Ready { url, how, .. } => {
                println!(
                    "{}: {how}\n  export {}={url}",
                    broker.name,
                    broker.variable()
                );
            }
            Obtained::Skipped { why } => {
                println!("{}: SKIPPED: {why}", broker.name);
                all_there = false;
            }
        }
    }
    Ok(all_there)
}

fn down(folder: &Path) -> Result<bool> {
    for broker in ALL {
        match Record::read(folder, broker.name) {
            Some(record) => {
                record.stop(broker, folder)?;
                println!("{}: stopped", broker.name);
            }
            None => println!("{}: not started from here", broker.name),
        }
    }
    Ok(true)
}

fn status(folder: &Path) -> Table {
    let mut table = Table::new(&["broker", "can be had from", "running"]);
    for broker in ALL {
        let means = Means::of(broker);
        let running = match Record::read(folder, broker.name) {
            Some(record) if broker.answers(record.port) => {
                Cell::new(format!("yes, {}", record.url), Tone::Good)
            }
            Some(_) => Cell::new("no longer: run `cargo xtask brokers down`", Tone::Bad),
            None => Cell::new("no", Tone::Quiet),
        };
        table.row([broker.name.into(), means.to_string().into(), running]);
    }
    table
}
