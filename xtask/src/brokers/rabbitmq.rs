//! RabbitMQ: as a container, or from the Debian package without a service manager.
//!
//! The management plugin is part of it, because tests create their virtual hosts through the HTTP API and look
//! there at what AMQP does not tell. Its figures are two seconds old at most.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{
    brokers::{Broker, Site},
    debian,
};

/// The broker as `cargo xtask` knows it: the version that Debian 12 has, wherever it comes from.
pub(crate) const RABBITMQ: Broker = Broker {
    name: "rabbitmq",
    takes_the_place_of: None,
    needed_by: "tidings-rabbitmq",
    image: "rabbitmq:3.10-management",
    image_ports: &[5672, 15672],
    image_settings: &[("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", STATISTICS)],
    package: "the package `rabbitmq-server`",
    program: |_| server_in(Path::new("/")),
    can_install: debian::can_install,
    install: |runner, _| debian::install(runner, &["rabbitmq-server"]),
    data: |folder, name| folder.join(name),
    ports: 4,
    launch: |site| {
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT]).arg(&site.program);
        command.envs(prepare(site, &site.data)?);
        Ok(command)
    },
    url,
    greetings: &[b"AMQP\x00\x00\x09\x01", b"HEAD / HTTP/1.0\r\n\r\n"],
};

/// Figures are sent, and samples of them taken, once a second; either alone leaves them five seconds old. These are
/// settings on the command line because the container takes them as well.
const STATISTICS: &str = "-rabbit collect_statistics_interval 1000 \
    -rabbitmq_management_agent sample_retention_policies \
    [{global,[{605,1},{3660,60}]},{basic,[{605,1},{3600,60}]},{detailed,[{605,1}]}]";

/// The Erlang name server would start itself as a daemon and stay; started here it ends with the group.
pub(crate) const SCRIPT: &str = "epmd & exec \"$0\"";

/// How clients reach it, and where its HTTP API is.
fn url(ports: &[u16]) -> String {
    let main = ports.first().copied().unwrap_or_default();
    let management = management(ports).unwrap_or_default();
    format!("amqp://guest:guest@127.0.0.1:{main}?management={management}")
}

/// Where the HTTP API of a node is.
pub(crate) fn management(ports: &[u16]) -> Option<String> {
    let port = ports.get(1)?;
    Some(format!("http://127.0.0.1:{port}"))
}

/// The script inside the package: the one on the search path insists on changing to the user `rabbitmq`.
pub(crate) fn server_in(root: &Path) -> Option<PathBuf> {
    let versions = fs::read_dir(root.join("usr/lib/rabbitmq/lib")).ok()?;
    versions
        .filter_map(Result::ok)
        .map(|version| version.path().join("sbin/rabbitmq-server"))
        .find(|script| script.is_file())
}

/// What RabbitMQ's own tool is told so that a node is short of memory, or is not any more.
pub(crate) fn memory_limit(is_short: bool) -> [&'static str; 2] {
    let share = if is_short { "0.000001" } else { "0.4" };
    ["set_vm_memory_high_watermark", share]
}

/// RabbitMQ's own tool for the node that runs here.
pub(crate) fn control(site: &Site) -> Result<Command> {
    let mut command = Command::new(tool(&site.program));
    command.envs(prepare(site, &site.data)?);
    Ok(command)
}

/// It lies beside the server.
pub(crate) fn tool(server: &Path) -> PathBuf {
    server.with_file_name("rabbitmqctl")
}

/// Writes the configuration of a node that has everything in one folder, and returns the variables that make
/// the program use it. `inside` is that folder as the node sees it.
pub(crate) fn prepare(site: &Site, inside: &Path) -> Result<Vec<(&'static str, String)>> {
    let [amqp, management, distribution, names] = site.ports[..] else {
        anyhow::bail!("a node has four ports, not {:?}", site.ports);
    };
    let configuration = format!(
        "listeners.tcp.1 = 127.0.0.1:{amqp}\n\
         management.tcp.ip = 127.0.0.1\n\
         management.tcp.port = {management}\n\
         disk_free_limit.absolute = 50MB\n"
    );
    for (file, text) in [
        ("rabbitmq.conf", configuration.as_str()),
        ("enabled_plugins", "[rabbitmq_management].\n"),
    ] {
        let file = site.data.join(file);
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    let within = |name: &str| inside.join(name).display().to_string();
    Ok(vec![
        // Its own cookie: nodes of different people must not find each other.
        ("HOME", inside.display().to_string()),
        ("LC_ALL", "C.UTF-8".into()),
        // Without it the script stays between us and the node, and takes a second to pass on a signal.
        ("RUNNING_UNDER_SYSTEMD", "true".into()),
        ("ERL_EPMD_ADDRESS", "127.0.0.1".into()),
        ("ERL_EPMD_PORT", names.to_string()),
        ("RABBITMQ_DIST_PORT", distribution.to_string()),
        // A name that does not depend on the machine's.
        ("RABBITMQ_NODENAME", "tidings@localhost".into()),
        ("RABBITMQ_CONF_ENV_FILE", "/dev/null".into()),
        ("RABBITMQ_CONFIG_FILE", within("rabbitmq")),
        ("RABBITMQ_ADVANCED_CONFIG_FILE", within("advanced")),
        ("RABBITMQ_ENABLED_PLUGINS_FILE", within("enabled_plugins")),
        ("RABBITMQ_MNESIA_BASE", within("data")),
        ("RABBITMQ_LOG_BASE", within("log")),
        ("RABBITMQ_PID_FILE", within("pid")),
        ("RABBITMQ_GENERATED_CONFIG_DIR", within("generated")),
        (
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
            format!("-kernel inet_dist_use_interface {{127,0,0,1}} {STATISTICS}"),
        ),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_says_where_the_http_api_is() {
        assert_eq!(
            url(&[20_001, 20_002, 20_003, 20_004]),
            "amqp://guest:guest@127.0.0.1:20001?management=http://127.0.0.1:20002"
        );
    }
}
