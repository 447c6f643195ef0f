//! Whose requests are recorded: what the records of one queue have in common.

use std::{collections::HashMap, fmt, fs};

use tidings_router::registry::RequestInfo;
use tidings_rpc::Rpc;

/// A queue of a virtual host, and what is known about the requests that come out of it.
#[derive(Clone)]
pub struct Source {
    pub(super) rpc: Rpc,
    pub(super) virtual_host: String,
    pub(super) username: String,
    pub(super) hostname: String,
    pub(super) requests: HashMap<&'static str, RequestInfo>,
}

impl Source {
    /// The requests of this convention, received in this virtual host by this user of the broker.
    ///
    /// The convention must know which members are secret: see [`Rpc::with_secrets`].
    #[must_use]
    pub fn new(rpc: Rpc, virtual_host: impl Into<String>, username: impl Into<String>) -> Self {
        Self {
            rpc,
            virtual_host: virtual_host.into(),
            username: username.into(),
            hostname: hostname(),
            requests: HashMap::new(),
        }
    }

    /// These requests are recorded as they were understood. Others are recorded as they came.
    #[must_use]
    pub fn with_requests(mut self, requests: impl IntoIterator<Item = RequestInfo>) -> Self {
        let named = requests
            .into_iter()
            .map(|request| (request.contract.name, request));
        self.requests.extend(named);
        self
    }

    /// Says another name of this machine than the one it gives itself.
    #[must_use]
    pub fn with_hostname(mut self, hostname: impl Into<String>) -> Self {
        self.hostname = hostname.into();
        self
    }
}

/// What this machine calls itself; a record cannot do without.
fn hostname() -> String {
    let name = ["/proc/sys/kernel/hostname", "/etc/hostname"]
        .iter()
        .find_map(|file| fs::read_to_string(file).ok());
    let name = name.as_deref().map(str::trim).unwrap_or_default();
    if name.is_empty() { "unknown" } else { name }.to_owned()
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("rpc", &self.rpc)
            .field("virtual_host", &self.virtual_host)
            .field("username", &self.username)
            .field("hostname", &self.hostname)
            .field("requests", &self.requests.len())
            .finish()
    }
}
