//! The Python client and consumer whose wire we speak: the real packages, in a virtual environment.
//!
//! The client opens a connection for every call and looks for the reply twice a second; that is how it is made, so it
//! makes fewer calls. Where there is no Python or no network, it is skipped, and that is said.

use std::{path::Path, process::Command};

use anyhow::{Context, Result, anyhow, bail};
use lapin::uri::{AMQPScheme, AMQPUri};
use tidings_benches::venv;

use crate::case::{Case, Outcome, Work};

/// What is installed.
const REQUIREMENTS: &[&str] = &[
    "python3-cyberfusion-rpc-client==1.2.1",
    "python3-cyberfusion-rabbitmq-consumer==3.1.1",
];

const SCRIPT: &str = include_str!("python.py");

/// As many calls as say something at its speed.
pub fn calls(work: Work) -> usize {
    match work {
        Work::One => 5,
        Work::Many | Work::Memory => 320,
    }
}

/// Makes the environment if need be; fails if it cannot take part.
pub fn prepare(url: &str) -> Result<()> {
    broker(url)?;
    venv::python(REQUIREMENTS).map(drop)
}

/// Runs one case in interpreters of its own.
pub fn run(url: &str, case: Case) -> Result<Outcome> {
    let broker = broker(url)?;
    let handlers = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bin/rpc/handlers");
    let mut script = Command::new(venv::python(REQUIREMENTS)?);
    script.args(["-W", "ignore", "-B", "-c", SCRIPT]);
    script.args([broker.authority.port.to_string(), broker.vhost]);
    script.args([case.work.in_flight().to_string(), case.calls.to_string()]);
    script.arg(handlers);
    let said = venv::answer(&mut script)?;
    serde_json::from_slice(&said).context("the script did not answer with an outcome")
}

/// The broker, if the script can reach it.
fn broker(url: &str) -> Result<AMQPUri> {
    let broker: AMQPUri = url.parse().map_err(|error: String| anyhow!(error))?;
    let user = &broker.authority.userinfo;
    if broker.scheme != AMQPScheme::AMQP || (&*user.username, &*user.password) != ("guest", "guest")
    {
        bail!("the script knows no TLS, and only the user `guest`");
    }
    Ok(broker)
}
