//! RabbitMQ: as a container, or from the Debian package without a service manager.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;

use crate::brokers::Broker;

/// The broker as `cargo xtask` knows it.
pub(crate) const RABBITMQ: Broker = Broker {
    name: "rabbitmq",
    needed_by: "tidings-rabbitmq",
    image: "rabbitmq:4",
    port: 5672,
    package: "rabbitmq-server",
    program,
    launch,
    url: |port| format!("amqp://guest:guest@127.0.0.1:{port}"),
    greeting: b"AMQP\x00\x00\x09\x01",
};

/// The script inside the package: the one on the search path insists on changing to the user `rabbitmq`.
fn program() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/rabbitmq/lib").ok()?;
    versions
        .filter_map(Result::ok)
        .map(|version| version.path().join("sbin/rabbitmq-server"))
        .find(|script| script.is_file())
}

/// A node with everything in one folder, on free ports, under a name that does not depend on the machine's.
fn launch(program: &Path, data: &Path, port: u16) -> Result<Command> {
    std::fs::write(
        data.join("rabbitmq.conf"),
        format!("listeners.tcp.1 = 127.0.0.1:{port}\n"),
    )?;
    std::fs::write(data.join("enabled_plugins"), "[].\n")?;
    let other = [
        TcpListener::bind("127.0.0.1:0")?,
        TcpListener::bind("127.0.0.1:0")?,
    ];
    let [distribution, names] = [other[0].local_addr()?.port(), other[1].local_addr()?.port()];
    // The Erlang name server would start itself as a daemon and stay; started here it ends with the group.
    let script = "epmd & exec \"$0\"";
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(script)
        .arg(program)
        .env("HOME", data)
        .env("LC_ALL", "C.UTF-8")
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        .env("ERL_EPMD_PORT", names.to_string())
        .env("RABBITMQ_DIST_PORT", distribution.to_string())
        .env("RABBITMQ_NODENAME", "tidings@localhost")
        .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
        .env("RABBITMQ_CONFIG_FILE", data.join("rabbitmq"))
        .env("RABBITMQ_ADVANCED_CONFIG_FILE", data.join("advanced"))
        .env(
            "RABBITMQ_ENABLED_PLUGINS_FILE",
            data.join("enabled_plugins"),
        )
        .env("RABBITMQ_MNESIA_BASE", data.join("data"))
        .env("RABBITMQ_LOG_BASE", data.join("log"))
        .env("RABBITMQ_PID_FILE", data.join("pid"))
        .env("RABBITMQ_GENERATED_CONFIG_DIR", data.join("generated"));
    Ok(command)
}
