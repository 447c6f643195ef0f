//! What the keys of the file mean.

use std::time::Duration;

use tidings_rpc::Keys;

use super::{
    Broker, LogServer, VirtualHost,
    complaint::{Complaint, Level},
    node::{Document, Kind, Node, Position, Twice},
    secret::{Secret, Surroundings},
    section::{self, Reading, Section, Unknown},
};

/// How many requests are handled at a time unless the file says otherwise.
const SIMULTANEOUS: u64 = 5;

/// What a virtual host may say.
const OF_VIRTUAL_HOST: [&str; 6] = [
    "queue",
    "fernet_key",
    "fernet_ttl",
    "fernet_strict",
    "max_simultaneous_requests",
    "exchanges",
];

/// What could be read; the rest has been complained about.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) mock: bool,
    pub(super) server: Option<Broker>,
    pub(super) log_server: Option<LogServer>,
    pub(super) virtual_hosts: Vec<(String, Option<VirtualHost>)>,
}

/// Reads everything, and collects what is wrong instead of stopping at it.
pub(super) fn all(document: &Document, surroundings: Surroundings<'_>) -> (Read, Vec<Complaint>) {
    let mut reading = Reading {
        surroundings,
        complaints: Vec::new(),
        virtual_host: None,
    };
    for Twice {
        name,
        first,
        second,
    } in &document.twice
    {
        let what = format!(
            "is there twice, first on line {}: the last one counts",
            first.line
        );
        reading.complain(Level::Warning, *second, name, what);
    }
    tabs(&document.tabs, &mut reading);
    let example = "server: {host: localhost, …}";
    let read = Section::of(&document.root, "", example, &mut reading)
        .map(|file| whole(&file, &mut reading))
        .unwrap_or_default();
    reading.complaints.sort_by_key(|complaint| complaint.at);
    (read, reading.complaints)
}

/// One complaint for all of them: whoever mends one mends the others.
fn tabs(tabs: &[Position], reading: &mut Reading<'_>) {
    let Some(first) = tabs.first() else { return };
    let others = match tabs.len() - 1 {
        0 => String::new(),
        1 => ", and on one more line".to_owned(),
        more => format!(", and on {more} more lines"),
    };
    let what = format!(
        "a tab stands here{others}: Python's consumer cannot read such a file; write spaces, or put the text in quotes"
    );
    reading.complain(Level::Warning, *first, "", what);
}

fn whole(file: &Section<'_>, reading: &mut Reading<'_>) -> Read {
    let known = [
        "mock",
        "default_user",
        "resources",
        "server",
        "log_server",
        "virtual_hosts",
    ];
    file.only(&known, Unknown::Ignored, reading);
    unheeded(file, reading);
    let server = file
        .require("server", "{host: localhost, …}", reading)
        .and_then(|node| Section::of(node, "server", "host: localhost", reading));
    let server = server.and_then(|server| broker(&server, reading));
    let log_server = file
        .given("log_server")
        .and_then(|node| Section::of(node, "log_server", "base_url: https://…", reading));
    Read {
        mock: file.truth("mock", reading).unwrap_or(false),
        server,
        log_server: log_server.and_then(|section| journal(&section, reading)),
        virtual_hosts: virtual_hosts(file, reading),
    }
}

/// What Python's consumer arranges with systemd for each request is arranged here for the whole unit.
fn unheeded(file: &Section<'_>, reading: &mut Reading<'_>) {
    if let Some(node) = file.given("default_user") {
        let what = "has no effect: handlers run as the user of this process, which `User=` of its unit says";
        reading.complain(Level::Warning, node.at, "default_user", what);
    }
    let Some(node) = file.given("resources") else {
        return;
    };
    let Some(resources) = Section::of(node, "resources", "memory_limit: 1G", reading) else {
        return;
    };
    resources.only(&["memory_limit", "cpu_limit"], Unknown::Refused, reading);
    for (name, property) in [("memory_limit", "MemoryMax="), ("cpu_limit", "CPUQuota=")] {
        if let Some(node) = resources.given(name) {
            let what = format!("has no effect: set `{property}` in the unit of this process");
            reading.complain(Level::Warning, node.at, resources.path(name), what);
        }
    }
}

fn broker(server: &Section<'_>, reading: &mut Reading<'_>) -> Option<Broker> {
    let known = ["host", "port", "username", "password", "ssl"];
    server.only(&known, Unknown::Refused, reading);
    let host = server.text("host", "localhost", reading);
    let port = server
        .require("port", "5672", reading)
        .and_then(|_| server.number("port", (1, 65_535), reading));
    let username = server.text("username", "guest", reading);
    let password = server.secret("password", reading);
    let ssl = server
        .require("ssl", "true", reading)
        .and_then(|_| server.truth("ssl", reading));
    Some(Broker {
        host: host?,
        port: u16::try_from(port?).ok()?,
        username: username?,
        password: password?,
        ssl: ssl?,
    })
}

fn journal(section: &Section<'_>, reading: &mut Reading<'_>) -> Option<LogServer> {
    section.only(&["base_url", "api_token"], Unknown::Refused, reading);
    let example = "https://logs.example.com/api/v1/";
    let base_url = section.text("base_url", example, reading);
    let api_token = section.secret("api_token", reading);
    let base_url = base_url?;
    if !base_url.starts_with("http://") && !base_url.starts_with("https://") {
        let at = section.get("base_url").map_or(section.at, |node| node.at);
        let what = format!("must be a URL such as `{example}`");
        reading.complain(Level::Error, at, "log_server.base_url", what);
        return None;
    }
    Some(LogServer {
        base_url,
        api_token: api_token?,
    })
}

fn virtual_hosts(
    file: &Section<'_>,
    reading: &mut Reading<'_>,
) -> Vec<(String, Option<VirtualHost>)> {
    let example = "{servers: {queue: web1, …}}";
    let section = file
        .require("virtual_hosts", example, reading)
        .and_then(|node| Section::of(node, "virtual_hosts", "servers: {queue: web1, …}", reading));
    let Some(section) = section else {
        return Vec::new();
    };
    if section.members().is_empty() {
        let what = "names none: add one, with its queue and its exchanges";
        reading.complain(Level::Error, section.at, "virtual_hosts", what);
    }
    let mut read = Vec::with_capacity(section.members().len());
    for (key, node) in section.members() {
        reading.virtual_host = Some(key.name.clone());
        let path = section.path(&key.name);
        named(key.plain, &key.name, key.at, &path, reading);
        let found = Section::of(node, &path, "queue: web1", reading)
            .and_then(|section| virtual_host(&key.name, &section, reading));
        read.push((key.name.clone(), found));
    }
    reading.virtual_host = None;
    read
}

/// A name that Python reads as something else than text is not the name that it looks like there.
fn named(plain: bool, name: &str, at: Position, path: &str, reading: &mut Reading<'_>) {
    use super::scalar::{Meaning, resolve};
    if plain && !matches!(resolve(name), Meaning::Text(_)) {
        let what = "is no text as it stands, so that Python finds nothing under that name: put it in quotes";
        reading.complain(Level::Warning, at, path, what);
    }
}

fn virtual_host(
    name: &str,
    section: &Section<'_>,
    reading: &mut Reading<'_>,
) -> Option<VirtualHost> {
    section.only(&OF_VIRTUAL_HOST, Unknown::Ignored, reading);
    let queue = section.text("queue", "web1.example.com", reading);
    let fernet_keys = fernet_keys(section, reading);
    let ttl = section
        .given("fernet_ttl")
        .and_then(|_| section.number("fernet_ttl", (1, u64::from(u32::MAX)), reading));
    let simultaneous = match section.get("max_simultaneous_requests") {
        None => Some(SIMULTANEOUS),
        Some(_) => section.number("max_simultaneous_requests", (0, 65_535), reading),
    };
    Some(VirtualHost {
        exchanges: exchanges(section, reading)?,
        name: name.to_owned(),
        queue: queue?,
        fernet_keys: fernet_keys?,
        fernet_ttl: ttl.map(Duration::from_secs),
        fernet_strict: section.truth("fernet_strict", reading).unwrap_or(false),
        max_simultaneous_requests: u16::try_from(simultaneous?).ok()?,
    })
}

/// One key, several of them, or none. Python wants the key even where its value is null.
fn fernet_keys(section: &Section<'_>, reading: &mut Reading<'_>) -> Option<Vec<Secret>> {
    let path = section.path("fernet_key");
    let Some(node) = section.given("fernet_key") else {
        let slip = section.slip_of("fernet_key", &OF_VIRTUAL_HOST);
        return match slip.filter(|_| section.get("fernet_key").is_none()) {
            None => Some(Vec::new()),
            // A mistake here would hand encrypted passwords to handlers as they are.
            Some(slip) => {
                let what = format!("is missing, and `{}` looks like a slip of it", slip.name);
                reading.complain(Level::Error, slip.at, path, what);
                None
            }
        };
    };
    let Kind::List(list) = &node.kind else {
        return Some(vec![fernet_key(node, &path, reading)?]);
    };
    if list.is_empty() {
        let what = "is an empty list: name a key, or write `null`";
        reading.complain(Level::Error, node.at, path, what);
        return None;
    }
    let read = |(index, node): (usize, &std::sync::Arc<Node>)| {
        fernet_key(node, &format!("{path}[{index}]"), reading)
    };
    // Every one of them is read, so that every fault is told.
    let keys: Vec<_> = list.iter().enumerate().map(read).collect();
    keys.into_iter().collect()
}

/// A key that is one, so that a mistake is told with its place and beside the others.
fn fernet_key(node: &Node, path: &str, reading: &mut Reading<'_>) -> Option<Secret> {
    let key = section::secret(node, path, reading)?;
    let Err(error) = Keys::new([key.reveal()]) else {
        return Some(key);
    };
    reading.complain(
        Level::Error,
        node.at,
        path,
        format!("cannot be used: {error}"),
    );
    None
}

fn exchanges(section: &Section<'_>, reading: &mut Reading<'_>) -> Option<Vec<String>> {
    let path = section.path("exchanges");
    let node = section.require("exchanges", "{dx_example: {type: direct}}", reading)?;
    let exchanges = Section::of(node, &path, "dx_example: {type: direct}", reading)?;
    if exchanges.members().is_empty() {
        let what = "names no exchange, so that nothing is served";
        reading.complain(Level::Warning, exchanges.at, path, what);
    }
    let mut names = Vec::with_capacity(exchanges.members().len());
    for (key, node) in exchanges.members() {
        let path = exchanges.path(&key.name);
        named(key.plain, &key.name, key.at, &path, reading);
        if let Some(settings) = Section::of(node, &path, "type: direct", reading) {
            exchange(&settings, reading);
        }
        names.push(key.name.clone());
    }
    Some(names)
}

fn exchange(settings: &Section<'_>, reading: &mut Reading<'_>) {
    settings.only(&["type", "default_user"], Unknown::Ignored, reading);
    if let Some(node) = settings.given("default_user") {
        let what = "has no effect: handlers run as the user of this process";
        reading.complain(Level::Warning, node.at, settings.path("default_user"), what);
    }
    let Some(kind) = settings.text("type", "direct", reading) else {
        return;
    };
    if kind != "direct" {
        let at = settings.get("type").map_or(settings.at, |node| node.at);
        let what = "must be `direct`: only such an exchange brings a reply to who asked, and no client declares another";
        reading.complain(Level::Error, at, settings.path("type"), what);
    }
}
