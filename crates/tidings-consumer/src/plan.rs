//! What of a virtual host can be served by the handlers that are linked.

use std::fmt;

use tidings_core::{Error, ErrorKind, error::Result};
use tidings_router::registry::{Registered, Registration};
use tidings_rpc::{Keys, Rpc};

use crate::config::VirtualHost;

/// How many requests are handled at a time where the file does not care.
const UNLIMITED: u16 = 1_024;

/// A virtual host, and who handles what in it.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) host: VirtualHost,
    /// The handlers, in the order of the file.
    pub(crate) handlers: Vec<Registration>,
    /// The exchanges that nobody handles.
    pub(crate) missing: Vec<String>,
    /// The names of all handlers that there are.
    linked: Vec<&'static str>,
}

impl Plan {
    pub(crate) fn new(host: VirtualHost, registered: &Registered) -> Self {
        let (mut handlers, mut missing) = (Vec::new(), Vec::new());
        for exchange in &host.exchanges {
            match registered.get(exchange) {
                Some(handler) => handlers.push(*handler),
                None => missing.push(exchange.clone()),
            }
        }
        Self {
            host,
            handlers,
            missing,
            linked: registered.exchanges().collect(),
        }
    }

    /// Refuses a virtual host with exchanges that nobody handles.
    ///
    /// # Errors
    /// [`ErrorKind::NoRoute`] that names them, and what there is instead.
    pub(crate) fn check_complete(&self) -> Result<()> {
        match self.shortcoming() {
            None => Ok(()),
            Some(shortcoming) => {
                let missing: Vec<_> = self.missing.iter().map(String::as_str).collect();
                let context = format!("{shortcoming}; {}", self.hint(&missing));
                Err(Error::new(ErrorKind::NoRoute, context))
            }
        }
    }

    /// What keeps the virtual host from being served as a whole.
    pub(crate) fn shortcoming(&self) -> Option<String> {
        let missing = &self.missing;
        (!missing.is_empty()).then(|| {
            let name = &self.host.name;
            format!(
                "virtual host `{name}`: no handler for exchange {}",
                list(missing)
            )
        })
    }

    /// What may be meant by exchanges that nobody handles, and what there is.
    pub(crate) fn hint(&self, missing: &[&str]) -> String {
        let meant = missing.iter().filter_map(|exchange| self.meant(exchange));
        hint(&meant.collect::<Vec<_>>(), &self.linked)
    }

    /// How many requests are handled at a time.
    pub(crate) fn lanes(&self) -> u16 {
        match self.host.max_simultaneous_requests {
            0 => UNLIMITED,
            some => some,
        }
    }

    /// The handler that is meant by an exchange which nobody handles. One that is in the file under its own name is not.
    fn meant(&self, exchange: &str) -> Option<&'static str> {
        let is_used = |name: &str| self.host.exchanges.iter().any(|used| used == name);
        meant(exchange, self.linked.iter().filter(|name| !is_used(name)))
    }

    /// How requests of this virtual host look, with its keys and with what its contracts keep secret.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`] if a name is too long or a key is no key.
    pub(crate) fn convention(&self) -> Result<Rpc> {
        let host = &self.host;
        let within = |error: Error| error.within(format_args!("virtual host `{}`", host.name));
        let mut rpc = Rpc::new(&*host.queue).map_err(within)?;
        for exchange in &host.exchanges {
            rpc = rpc.exchange(&**exchange).map_err(within)?;
        }
        for handler in &self.handlers {
            rpc = rpc.with_secrets(handler.exchange(), handler.request.secrets);
        }
        if host.fernet_keys.is_empty() {
            return Ok(rpc);
        }
        let mut keys = Keys::new(host.fernet_keys.iter().map(|key| key.reveal()))
            .map_err(|error| within(error.within("`fernet_key`")))?;
        if let Some(ttl) = host.fernet_ttl {
            keys = keys.with_ttl(ttl);
        }
        if host.fernet_strict {
            keys = keys.strict();
        }
        Ok(rpc.with_keys(keys))
    }
}

/// What would be served, for people.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = &self.host;
        let at_a_time = match self.lanes() {
            1 => "one request at a time".to_owned(),
            many => format!("{many} requests at a time"),
        };
        writeln!(
            f,
            "virtual host `{}`: queue `{}`, {at_a_time}",
            host.name, host.queue
        )?;
        for handler in &self.handlers {
            let (exchange, function) = (handler.exchange(), handler.function);
            writeln!(f, "  {exchange}: {function} ({})", handler.at)?;
        }
        for exchange in &self.missing {
            match self.meant(exchange) {
                None => writeln!(f, "  {exchange}: NO HANDLER")?,
                Some(meant) => writeln!(f, "  {exchange}: NO HANDLER (did you mean `{meant}`?)")?,
            }
        }
        if !self.missing.is_empty() {
            writeln!(f, "  ({})", linked(&self.linked))?;
        }
        Ok(())
    }
}

/// What whoever looks for handlers that there are not may have meant, and what there is.
pub(crate) fn hint(meant: &[&str], exchanges: &[&str]) -> String {
    let linked = linked(exchanges);
    match meant {
        [] => linked,
        meant => format!("did you mean {}? {linked}", list(meant)),
    }
}

/// What handlers there are.
fn linked(exchanges: &[&str]) -> String {
    match exchanges {
        [] => "no handler is linked into this program: name a crate with handlers in it, `use that_crate as _;`"
            .to_owned(),
        linked => format!("linked into this program are handlers for {}", list(linked)),
    }
}

/// The exchange that this one is a slip of: two letters off at most, and fewer in a short name. Names of actions are
/// alike, so what is only similar is somebody else's.
pub(crate) fn meant<'l>(
    exchange: &str,
    linked: impl IntoIterator<Item = &'l &'static str>,
) -> Option<&'static str> {
    let slips = |linked: &str| strsim::osa_distance(&exchange.to_lowercase(), linked);
    let near = linked.into_iter().map(|name| (slips(name), *name));
    let (slips, name) = near.min()?;
    (slips <= 2 && slips * 4 <= name.chars().count()).then_some(name)
}

fn list(names: &[impl fmt::Display]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(exchange: &str, expected: Option<&str>) {
        let linked = ["create_site", "delete_site", "wait", "Wipe"];
        assert_eq!(meant(exchange, &linked), expected, "{exchange}");
    }

    #[test]
    fn a_slip_of_a_name_is_told_from_another_name() {
        check("craete_site", Some("create_site"));
        check("create-site", Some("create_site"));
        check("create_sites", Some("create_site"));
        check("Create_Site", Some("create_site"));
        check("wiat", Some("wait"));
        check("update_site", None);
        check("create_user", None);
        check("wa", None);
        check("", None);
        assert_eq!(meant("wait", &[]), None);
    }

    #[test]
    fn what_is_linked_is_told_or_that_nothing_is() {
        assert_eq!(
            linked(&["a", "b"]),
            "linked into this program are handlers for `a`, `b`"
        );
        assert!(linked(&[]).contains("use that_crate as _;"));
    }
}
