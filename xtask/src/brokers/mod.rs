//! The brokers that tests may need: how each is had, started, looked at and stopped.
//!
//! A transport that talks to a server adds one [`Broker`] to [`ALL`]; the rest is the same for every broker.
//! The embedded broker is not here: it lives in the process that uses it. What the tests do with a broker is
//! their business; they find it in the variable [`Broker::variable`].

mod docker;
#[cfg(test)]
mod fake;
mod identity;
mod node;
mod obtain;
mod ports;
mod postgres;
mod process;
mod rabbitmq;
mod record;
mod root;
mod session;
mod start;

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
    obtain::Obtained,
    record::Record,
    start::{Means, Site, Starter},
};
use crate::{
    runner::Runner,
    table::{Cell, Table, Tone},
    workspace::Workspace,
};

/// Every broker that some crate of the workspace can talk to, and the database of the stores.
const ALL: &[Broker] = &[rabbitmq::RABBITMQ, postgres::POSTGRES];

/// Other versions of them, which are started only when they are asked for.
const OTHERS: &[Broker] = &[root::RABBITMQ_4];

/// What `cargo xtask brokers` can do.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Action {
    /// Start every broker and leave it running
    Up,
    /// Stop what was started from here, but for what running tests use
    Down,
    /// Show which brokers can be had and which are running
    Status,
    /// Private nodes, which a test may stop, kill and start again
    Node {
        #[command(subcommand)]
        action: node::Action,
    },
}

/// One kind of server, and how to get it.
#[derive(Debug)]
pub(crate) struct Broker {
    /// As in `TIDINGS_TEST_<NAME>_URL`, in lower case.
    name: &'static str,
    /// The broker of which it is another version: tests find it in that one's variable.
    takes_the_place_of: Option<&'static str>,
    /// The crate whose tests need it; while the workspace has no such crate, nobody does.
    needed_by: &'static str,
    /// The Docker image, the ports it listens on, and variables that it reads.
    image: &'static str,
    image_ports: &'static [u16],
    image_settings: &'static [(&'static str, &'static str)],
    /// What is installed where there is no Docker, in words.
    package: &'static str,
    /// Where its program is, if it is installed. The folder is that of all brokers.
    program: fn(&Path) -> Option<PathBuf>,
    /// Whether it can be installed on this machine, and how.
    can_install: fn() -> bool,
    install: fn(&Runner, &Path) -> Result<()>,
    /// Its own folder, by its name in that of all brokers.
    data: fn(&Path, &str) -> PathBuf,
    /// How many ports the program needs, those for clients first, in the order of `image_ports`.
    ports: usize,
    /// How the program is started.
    launch: fn(&Site) -> Result<Command>,
    /// How clients reach it.
    url: fn(&[u16]) -> String,
    /// What clients say first, by port; a broker that is ready answers each with something.
    greetings: &'static [&'static [u8]],
}

impl Broker {
    /// The environment variable in which a person may name one of their own.
    fn variable(&self) -> String {
        variable(self.name)
    }

    /// The environment variable in which tests find it.
    fn variable_of_tests(&self) -> String {
        variable(self.takes_the_place_of.unwrap_or(self.name))
    }

    /// Whether a broker of this kind answers on its local ports.
    fn answers(&self, ports: &[u16]) -> bool {
        let patience = Some(Duration::from_secs(2));
        let ask = |port: u16, greeting: &[u8]| -> std::io::Result<usize> {
            let mut stream = TcpStream::connect(("127.0.0.1", port))?;
            stream.set_read_timeout(patience)?;
            stream.write_all(greeting)?;
            stream.read(&mut [0])
        };
        let mut doors = ports.iter().zip(self.greetings);
        doors.all(|(port, greeting)| ask(*port, greeting).is_ok_and(|bytes| bytes > 0))
    }
}

fn variable(name: &str) -> String {
    format!("TIDINGS_TEST_{}_URL", name.to_uppercase().replace('-', "_"))
}

/// Does one of the `brokers` commands; `false` if a broker could not be had.
pub(crate) fn run(runner: &Runner, workspace: &Workspace, action: &Action) -> Result<bool> {
    let folder = folder(workspace);
    match action {
        Action::Up => up(runner, &folder),
        Action::Down => down(&folder),
        Action::Status => {
            print!("{}", status(&folder));
            Ok(true)
        }
        Action::Node { action } => node::run(runner, &folder, action).map(|()| true),
    }
}

/// The brokers that the tests of this workspace need.
pub(crate) fn needed(workspace: &Workspace) -> Vec<&'static Broker> {
    ALL.iter()
        .filter(|broker| workspace.has_package(broker.needed_by))
        .collect()
}

/// The brokers with these names.
pub(crate) fn named(names: &[&str]) -> Vec<&'static Broker> {
    ALL.iter()
        .filter(|broker| names.contains(&broker.name))
        .collect()
}

/// The brokers of a second round of tests, on the next version; where it cannot be had, it is skipped.
pub(crate) fn session_of_rabbitmq_4(runner: &Runner, folder: &Path) -> Result<Session> {
    Session::for_tests(&[&root::RABBITMQ_4], runner, folder)
}

/// Installs what that round needs; says why if that cannot be done.
pub(crate) fn prepare_rabbitmq_4(runner: &Runner, folder: &Path) -> Result<Option<String>> {
    let broker = &root::RABBITMQ_4;
    let means = Means::of(broker, folder);
    if means.given.is_some() {
        return Ok(None);
    }
    obtain::prepare(broker, &means, runner, folder)
}

/// Where the brokers keep their data, and we what we know of them.
pub(crate) fn folder(workspace: &Workspace) -> PathBuf {
    workspace.root().join(".tidings").join("brokers")
}

fn up(runner: &Runner, folder: &Path) -> Result<bool> {
    let starter = Starter {
        runner,
        folder,
        owner: None,
    };
    let mut all_there = true;
    for broker in ALL {
        match obtain::obtain(broker, &Means::of(broker, folder), starter)? {
            Obtained::Ready { url, how, .. } => {
                let variable = broker.variable_of_tests();
                println!("{}: {how}\n  export {variable}='{url}'", broker.name);
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
    for name in Record::sweep(folder, |record| !record.is_in_use())? {
        println!("{name}: stopped");
    }
    for (name, _) in Record::all(folder) {
        println!("{name}: left to the tests that use it");
    }
    Ok(true)
}

fn status(folder: &Path) -> Table {
    let mut table = Table::new(&["broker", "can be had from"]);
    for broker in ALL.iter().chain(OTHERS) {
        let means = Means::of(broker, folder).to_string();
        table.row([broker.name.into(), means.into()]);
    }
    for (name, record) in Record::all(folder) {
        let state = match record.pid() {
            Some(pid) => Cell::new(format!("process {pid}, {}", record.url), Tone::Good),
            None => Cell::new("stopped", Tone::Quiet),
        };
        table.row([name.into(), state]);
    }
    table
}
