//! Brokers in Docker containers.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use crate::brokers::Broker;

/// Whether there is a Docker that can be used: the client alone is not enough.
pub(crate) fn is_usable() -> bool {
    Command::new("docker")
        .args(["info", "--format", "{{.ServerVersion}}"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Creates a container and starts it; returns its name.
pub(crate) fn run(broker: &Broker, name: &str, ports: &[u16]) -> Result<String> {
    let arguments = arguments(broker, name, ports);
    docker(&arguments.iter().map(String::as_str).collect::<Vec<_>>())?;
    Ok(container(name, ports))
}

/// Starts a container that was stopped or killed.
pub(crate) fn start(container: &str) -> Result<()> {
    docker(&["start", container]).map(drop)
}

/// Lets a container end by itself, and kills it after the grace period.
pub(crate) fn stop(container: &str, grace: Duration) -> Result<()> {
    let seconds = grace.as_secs().to_string();
    docker(&["stop", "--time", &seconds, container]).map(drop)
}

pub(crate) fn kill(container: &str) -> Result<()> {
    docker(&["kill", container]).map(drop)
}

/// Removes a container, running or not, with its data; one that is gone already is fine.
pub(crate) fn remove(container: &str) -> Result<()> {
    docker(&["rm", "--force", "--volumes", container]).map(drop)
}

/// Runs a program inside a container.
pub(crate) fn exec(container: &str, words: &[&str]) -> Result<()> {
    let mut arguments = vec!["exec", container];
    arguments.extend(words);
    docker(&arguments).map(drop)
}

/// The process of a container, if it runs.
pub(crate) fn pid(container: &str) -> Option<u32> {
    let answer = docker(&["inspect", "--format", "{{.State.Pid}}", container]).ok()?;
    answer.parse().ok().filter(|pid| *pid != 0)
}

/// A name that no other checkout uses at the same time, because its port is in it.
fn container(name: &str, ports: &[u16]) -> String {
    let port = ports.first().copied().unwrap_or_default();
    format!("tidings-{name}-{port}")
}

fn arguments(broker: &Broker, name: &str, ports: &[u16]) -> Vec<String> {
    let mut arguments = vec![
        "run".to_owned(),
        "--detach".into(),
        "--name".into(),
        container(name, ports),
        // Without it each container has another name, and RabbitMQ keeps its data under the name of the host.
        "--hostname".into(),
        "tidings".into(),
    ];
    for (inside, outside) in broker.image_ports.iter().zip(ports) {
        arguments.extend(["--publish".into(), format!("127.0.0.1:{outside}:{inside}")]);
    }
    for (name, value) in broker.image_settings {
        arguments.extend(["--env".into(), format!("{name}={value}")]);
    }
    arguments.push(broker.image.into());
    arguments
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
    use crate::brokers::rabbitmq::RABBITMQ;

    #[test]
    fn publishes_every_port_on_this_machine_only() {
        let line = arguments(&RABBITMQ, "node-a", &[20_001, 20_002, 20_003, 20_004]).join(" ");
        assert!(line.contains("--name tidings-node-a-20001"), "{line}");
        let published: Vec<_> = line.matches("--publish 127.0.0.1:").collect();
        assert_eq!(published.len(), 2, "{line}");
        assert!(line.contains("127.0.0.1:20001:5672"), "{line}");
        assert!(line.contains("127.0.0.1:20002:15672"), "{line}");
        assert!(line.ends_with("-management"), "{line}");
    }
}
