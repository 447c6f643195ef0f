//! petisco, the Python system whose wire we speak: the real package, in a virtual environment.
//!
//! It publishes one message after the other and waits for each, and handles one after the other; that is how it is
//! made, so it gets fewer messages. Where there is no Python or no network, it is skipped, and that is said.

use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};
use lapin::uri::{AMQPScheme, AMQPUri};
use tidings_benches::venv;

use crate::{
    case::{Case, Outcome},
    load::BODY,
};

/// What is installed.
pub const REQUIREMENT: &str = "petisco[rabbitmq]==2.2.3";

/// As many messages as say something at its speed.
pub const MESSAGES: usize = 2_000;

const SCRIPT: &str = include_str!("petisco.py");

/// Makes the environment if need be; fails if petisco cannot take part.
pub fn prepare(url: &str) -> Result<()> {
    broker(url)?;
    venv::python(&[REQUIREMENT]).map(drop)
}

/// Runs one case in an interpreter of its own.
pub fn run(url: &str, case: Case) -> Result<Outcome> {
    let broker = broker(url)?;
    let mut script = Command::new(venv::python(&[REQUIREMENT])?);
    script.args(["-W", "ignore", "-c", SCRIPT]);
    script.args([case.work.to_string(), case.messages.to_string()]);
    script.arg(BODY.len().to_string());
    script
        .env("RABBITMQ_HOST", broker.authority.host)
        .env("RABBITMQ_PORT", broker.authority.port.to_string())
        .env("RABBITMQ_USER", broker.authority.userinfo.username)
        .env("RABBITMQ_PASSWORD", broker.authority.userinfo.password);
    let said = venv::answer(&mut script)?;
    serde_json::from_slice(&said).context("the script did not answer with an outcome")
}

/// The broker, if petisco can reach it.
fn broker(url: &str) -> Result<AMQPUri> {
    let broker: AMQPUri = url.parse().map_err(|error: String| anyhow!(error))?;
    if broker.scheme != AMQPScheme::AMQP || broker.vhost != "/" {
        bail!("it knows no TLS, and only the virtual host `/`");
    }
    Ok(broker)
}
