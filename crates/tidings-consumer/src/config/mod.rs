//! The configuration file: the YAML that deployed Python consumers read, with complaints that name line and column.
//!
//! A file stays readable by both: what Python ignores is only warned about, what Python dies of is refused here too, and
//! the keys that only we know stand where Python ignores them. Every virtual host is read, but what is wrong with one
//! that is not served is no reason not to serve the others.

mod complaint;
mod node;
mod read;
mod scalar;
mod secret;
mod section;
mod tabs;

use std::{fs, path::Path, time::Duration};

use tidings_core::{Error, ErrorKind, error::Result};

use self::section::nearest;
pub use self::{
    complaint::{Complaint, Level},
    node::Position,
    secret::Secret,
};
use self::{read::Read, secret::Surroundings};

/// What a file says about the virtual hosts that are served.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Whether replies are made up instead of asking the handlers.
    pub mock: bool,
    /// The broker.
    pub server: Broker,
    /// Where requests and replies are recorded.
    pub log_server: Option<LogServer>,
    /// The virtual hosts, in the order of the file.
    pub virtual_hosts: Vec<VirtualHost>,
}

/// The broker and how to get in.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Broker {
    /// Its name or address.
    pub host: String,
    /// Its port, which nothing else implies.
    pub port: u16,
    /// The user.
    pub username: String,
    /// The password.
    pub password: Secret,
    /// Whether the connection is encrypted.
    pub ssl: bool,
}

/// A log server and how to get in.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LogServer {
    /// What its paths are appended to.
    pub base_url: String,
    /// The token.
    pub api_token: Secret,
}

/// What is served in one virtual host.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct VirtualHost {
    /// Its name.
    pub name: String,
    /// The queue that all requests come through.
    pub queue: String,
    /// The Fernet keys, the one to encrypt with first; empty if nothing is encrypted.
    pub fernet_keys: Vec<Secret>,
    /// How old an encrypted value may be; `None` if that does not matter.
    pub fernet_ttl: Option<Duration>,
    /// Whether secrets that are not encrypted are refused.
    pub fernet_strict: bool,
    /// How many requests are handled at a time; 0 means that nobody minds.
    pub max_simultaneous_requests: u16,
    /// The exchanges, in the order of the file.
    pub exchanges: Vec<String>,
}

/// A configuration file that has been read, with everything that is wrong in it.
#[derive(Debug)]
pub struct File {
    path: String,
    read: Read,
    complaints: Vec<Complaint>,
}

impl File {
    /// Reads a file, and the files and variables that it names for its secrets.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if it cannot be read, [`ErrorKind::Misuse`] if it is not YAML.
    pub fn open(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(|error| {
            let context = format!(
                "configuration file `{}` cannot be read: check the path and who may read it",
                path.display()
            );
            Error::new(ErrorKind::NotFound, context).with_source(error)
        })?;
        let folder = path.parent().unwrap_or(Path::new("."));
        Self::parse(
            &path.display().to_string(),
            &text,
            Surroundings::of_process(folder),
        )
    }

    fn parse(path: &str, text: &str, surroundings: Surroundings<'_>) -> Result<Self> {
        // Some editors begin a file with a mark that is no part of it.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let document = node::read(text).map_err(|broken| {
            let context = format!("{path}:{}: this is not YAML: {}", broken.at, broken.why);
            Error::new(ErrorKind::Misuse, context)
        })?;
        let (read, complaints) = read::all(&document, surroundings);
        Ok(Self {
            path: path.to_owned(),
            read,
            complaints,
        })
    }

    /// The virtual hosts that the file names, in its order.
    pub fn virtual_hosts(&self) -> impl Iterator<Item = &str> {
        self.read.virtual_hosts.iter().map(|(name, _)| &**name)
    }

    /// What the file says about one virtual host, or about all of them, and what is not as it seems.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is no such virtual host; the text names those there are.
    /// [`ErrorKind::Misuse`] that lists everything that is wrong, with line and column.
    pub fn select(self, wanted: Option<&str>) -> Result<(Config, Vec<String>)> {
        if let Some(name) = wanted {
            self.check_known(name)?;
        }
        let served = |name: &str| wanted.is_none_or(|wanted| wanted == name);
        let concerns = |complaint: &Complaint| complaint.virtual_host.as_deref().is_none_or(served);
        let is_wrong =
            |complaint: &Complaint| complaint.level == Level::Error && concerns(complaint);
        let wrong: Vec<_> = self
            .complaints
            .iter()
            .filter(|complaint| is_wrong(complaint))
            .collect();
        if !wrong.is_empty() {
            // What has no effect may be the slip that explains what is missing; a place is told once.
            let elsewhere = |odd: &Complaint| wrong.iter().all(|wrong| wrong.at != odd.at);
            let told = self
                .complaints
                .iter()
                .filter(|complaint| concerns(complaint));
            let told = told.filter(|complaint| is_wrong(complaint) || elsewhere(complaint));
            return Err(self.refused(told));
        }
        let odd = self
            .complaints
            .iter()
            .map(|complaint| match complaint.level {
                Level::Error => format!(
                    "{}:{complaint} (that virtual host is not served here)",
                    self.path
                ),
                Level::Warning => format!("{}:{complaint}", self.path),
            });
        let odd = odd.collect();
        let refused = self.refused(&self.complaints);
        let chosen = self.read.virtual_hosts.into_iter();
        let chosen = chosen.filter(|(name, _)| served(name));
        let virtual_hosts: Option<Vec<_>> = chosen.map(|(_, read)| read).collect();
        // What could not be read has been complained about.
        let (Some(server), Some(virtual_hosts)) = (self.read.server, virtual_hosts) else {
            return Err(refused);
        };
        let config = Config {
            mock: self.read.mock,
            server,
            log_server: self.read.log_server,
            virtual_hosts,
        };
        Ok((config, odd))
    }

    fn refused<'c>(&self, complaints: impl IntoIterator<Item = &'c Complaint>) -> Error {
        let lines = complaints
            .into_iter()
            .map(|told| format!("{}:{told}", self.path));
        Error::new(ErrorKind::Misuse, lines.collect::<Vec<_>>().join("\n"))
    }

    fn check_known(&self, name: &str) -> Result<()> {
        let known: Vec<_> = self.virtual_hosts().collect();
        if known.is_empty() || known.contains(&name) {
            return Ok(());
        }
        let near = nearest(name, &known)
            .map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        let context = format!(
            "virtual host `{name}` is not in {}, which has `{}`{near}",
            self.path,
            known.join("`, `")
        );
        Err(Error::new(ErrorKind::NotFound, context))
    }
}

impl Broker {
    /// The URL of a virtual host.
    #[must_use]
    pub fn url(&self, virtual_host: &str) -> Secret {
        let scheme = if self.ssl { "amqps" } else { "amqp" };
        let [user, password, name] =
            [&self.username, self.password.reveal(), virtual_host].map(escape);
        let host = match self.host.contains(':') && !self.host.starts_with('[') {
            true => format!("[{}]", self.host),
            false => self.host.clone(),
        };
        let port = self.port;
        Secret::new(format!("{scheme}://{user}:{password}@{host}:{port}/{name}"))
    }
}

/// A text as a part of a URL, with everything escaped that might end it.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                escaped.push(char::from(byte));
            }
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests;
