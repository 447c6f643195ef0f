//! Brokers in Docker containers.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::brokers::{
    Broker,
    record::{Held, Record},
};

/// Whether there is a Docker that can be used: the client alone is not enough.
pub(crate) fn is_usable() -> bool {
    Command::new("docker")
        .args(["info", "--format", "{{.ServerVersion}}"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Starts a container whose port is published on a free local one.
pub(crate) fn start(broker: &Broker) -> Result<Record> {
    let publish = format!("127.0.0.1::{}", broker.port);
    let id = docker(&[
        "run",
        "--detach",
        "--rm",
        "--publish",
        &publish,
        broker.image,
    ])?;
    let mapping = docker(&["port", &id, &broker.port.to_string()])?;
    let port =
        mapped_port(&mapping).with_context(|| format!("docker reports no port in `{mapping}`"))?;
    Ok(Record {
        url: (broker.url)(port),
        port,
        held: Held::Container(id),
    })
}

/// Removes a container; one that is gone already is fine.
pub(crate) fn stop(id: &str) -> Result<()> {
    docker(&["rm", "--force", "--volumes", id]).map(drop)
}

/// The port in a line like `127.0.0.1:49153`, of which there may be several.
fn mapped_port(mapping: &str) -> Option<u16> {
    mapping
        .lines()
        .next()?
        .rsplit_once(':')?
        .1
        .trim()
        .parse()
        .ok()
}

fn docker(arguments: &[&str]) -> Result<String> {
    let output = Command::new("docker")
        .args(arguments)
        .output()
        .context("cannot run docker")?;
    ensure!(
        output.status.success(),
        "docker {} failed: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_published_port() {
        assert_eq!(mapped_port("127.0.0.1:49153"), Some(49153));
        assert_eq!(mapped_port("127.0.0.1:49153\n[::1]:49154"), Some(49153));
        assert_eq!(mapped_port(""), None);
    }
}
