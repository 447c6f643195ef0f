//! What is wrong with a configuration file: where, which key, what, and what to do.

use std::fmt;

use super::node::Position;

/// One thing that is wrong in a configuration file, or that is not as it seems.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Complaint {
    /// Where in the file.
    pub at: Position,
    /// The key, with the keys around it: `virtual_hosts.servers.queue`.
    pub key: String,
    /// What is wrong with it, and what to do.
    pub what: String,
    /// Whether the file can be used nevertheless.
    pub level: Level,
    /// The virtual host that it concerns; `None` if it concerns all of them.
    pub virtual_host: Option<String>,
}

/// Whether a file can be used although something is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Level {
    /// It can.
    Warning,
    /// It cannot.
    Error,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, key, what, .. } = self;
        if key.is_empty() {
            return write!(f, "{at}: {what}");
        }
        write!(f, "{at}: `{key}` {what}")
    }
}
