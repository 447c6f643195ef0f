//! Which broker is meant, and the connection to it.
//!
//! The only file that reads variables of the environment which say where a broker is. An embedded file that does
//! not exist is not created by looking at it: a mistyped path is an error, as a mistyped host is.

use std::{env, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use clap::Args;
use tidings::{
    Deadline, Error, ErrorKind,
    embedded::EmbeddedConfig,
    transport::{Transport, redact},
};

use crate::{
    exit::{self, Stopped},
    stop::Stop,
};

/// How long what is under way may take at the end.
const GRACE: Duration = Duration::from_secs(10);

/// Where the broker is.
#[derive(Clone, Debug, Args)]
pub(crate) struct Connection {
    /// The broker: embedded:PATH, amqp://user:password@host/vhost, …; else the one of RABBITMQ_HOST, _PORT, _USER, _PASSWORD
    #[arg(
        long,
        short,
        global = true,
        env = "TIDINGS_URL",
        hide_env_values = true,
        help_heading = "For every command",
        value_name = "URL"
    )]
    url: Option<String>,
}

/// What becomes of an embedded file that does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Absent {
    /// It is an error.
    Refuse,
    /// It is created.
    Create,
    /// It stays absent, and counts as a broker without anything in it.
    Imagine,
}

impl Connection {
    /// Opens the broker, which must exist.
    pub(crate) async fn open(&self, stop: &Stop) -> Result<Arc<dyn Transport>> {
        self.open_or(Absent::Refuse, stop).await
    }

    /// Opens the broker.
    pub(crate) async fn open_or(&self, absent: Absent, stop: &Stop) -> Result<Arc<dyn Transport>> {
        let url = self.url()?;
        let url = match (absent_file(&url)?, absent) {
            (Some(path), Absent::Refuse) => return Err(no_file(&path)),
            (Some(_), Absent::Imagine) => "embedded:".to_owned(),
            (Some(_), Absent::Create) | (None, _) => url,
        };
        tokio::select! {
            opened = tidings::open(&url) => {
                opened.with_context(|| format!("cannot open {}", redact(&url)))
            }
            () = stop.requested() => Err(Stopped.into()), // Cancel-safe: nothing was done with it yet.
        }
    }

    fn url(&self) -> Result<String> {
        if let Some(url) = &self.url {
            return Ok(url.clone());
        }
        let can_amqp = tidings::transports().schemes().any(|known| known == "amqp");
        let named = can_amqp.then(|| rabbitmq_url(variable)).flatten();
        named.ok_or_else(|| {
            let variables = if can_amqp { ", or RABBITMQ_HOST" } else { "" };
            exit::usage(format!(
                "no broker is named: say --url URL, or set TIDINGS_URL{variables}"
            ))
        })
    }
}

/// Ends the connection: what was handed to it is sent, what was not settled goes back.
pub(crate) async fn close<T>(transport: &dyn Transport, done: Result<T>) -> Result<T> {
    let closed = transport.close(Deadline::after(GRACE)).await;
    // The first error is the cause.
    let done = done?;
    closed.context("cannot end the connection in good order")?;
    Ok(done)
}

/// The file that an embedded URL names, if there is none.
fn absent_file(url: &str) -> Result<Option<PathBuf>> {
    if !url.starts_with("embedded:") {
        return Ok(None);
    }
    let path = match EmbeddedConfig::from_url(url)? {
        EmbeddedConfig::File(file) => file.path,
        _ => {
            return Err(exit::usage(
                "`embedded:` is in the memory of one process and empty here: name a file, `embedded:PATH`",
            ));
        }
    };
    Ok((!path.exists()).then_some(path))
}

fn no_file(path: &std::path::Path) -> anyhow::Error {
    let context = format!(
        "there is no broker file {}: correct the path, or create it with `tidings topology apply`",
        path.display()
    );
    Error::new(ErrorKind::NotFound, context).into()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the broker's variables are read here and nowhere else"
)]
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// The URL that these variables spell, if one of them says where the broker is or who we are.
fn rabbitmq_url(get: impl Fn(&str) -> Option<String>) -> Option<String> {
    let names = ["HOST", "PORT", "USER", "PASSWORD"];
    let values = names.map(|name| get(&format!("RABBITMQ_{name}")));
    if values.iter().all(Option::is_none) {
        return None;
    }
    let [host, port, user, password] = values;
    let heartbeat = get("RABBITMQ_HEARTBEAT").map_or_else(String::new, |seconds| {
        format!("?heartbeat={}", encode(&seconds))
    });
    Some(format!(
        "amqp://{}:{}@{}:{}{heartbeat}",
        encode(&user.unwrap_or_else(|| "guest".to_owned())),
        encode(&password.unwrap_or_else(|| "guest".to_owned())),
        host.unwrap_or_else(|| "localhost".to_owned()),
        port.unwrap_or_else(|| "5672".to_owned()),
    ))
}

/// Percent-encodes everything that may mean something in a URL.
fn encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(variables: &[(&str, &str)], expected: Option<&str>) {
        let get = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        assert_eq!(rabbitmq_url(get).as_deref(), expected);
    }

    #[test]
    fn one_variable_is_enough_and_the_rest_has_defaults() {
        check(&[], None);
        check(&[("RABBITMQ_HEARTBEAT", "10")], None);
        check(
            &[("RABBITMQ_HOST", "broker")],
            Some("amqp://guest:guest@broker:5672"),
        );
        check(
            &[
                ("RABBITMQ_USER", "me@home"),
                ("RABBITMQ_PASSWORD", "a/b:c?d"),
                ("RABBITMQ_PORT", "5673"),
                ("RABBITMQ_HEARTBEAT", "10"),
            ],
            Some("amqp://me%40home:a%2Fb%3Ac%3Fd@localhost:5673?heartbeat=10"),
        );
    }

    #[test]
    fn a_file_that_is_not_there_is_noticed_and_memory_is_refused() {
        assert!(absent_file("embedded:no/such/file").unwrap().is_some());
        assert!(absent_file("embedded:Cargo.toml").unwrap().is_none());
        assert!(absent_file("amqp://host").unwrap().is_none());
        assert!(absent_file("embedded:").is_err());
    }
}
