//! A server that every machine with Python has, in the place of a broker: for tests of what holds for all brokers.

use std::process::Command;

use anyhow::bail;

use crate::{brokers::Broker, environment};

pub(crate) const FAKE: Broker = Broker {
    name: "fake",
    takes_the_place_of: None,
    needed_by: "nobody",
    image: "none",
    image_ports: &[],
    image_settings: &[],
    package: "the package `python3`",
    program: |_| environment::program("python3"),
    can_install: || false,
    install: |_, _| bail!("tests install nothing"),
    data: |folder, name| folder.join(name),
    ports: 1,
    launch: |site| {
        let mut command = Command::new(&site.program);
        command.args(["-m", "http.server", "--bind", "127.0.0.1", "--directory"]);
        command.arg(&site.data);
        command.args(site.ports.iter().map(ToString::to_string));
        Ok(command)
    },
    url: |ports| format!("http://127.0.0.1:{}", ports[0]),
    greetings: &[b"HEAD / HTTP/1.0\r\n\r\n"],
};
