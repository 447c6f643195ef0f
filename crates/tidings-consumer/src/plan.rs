//! What of a virtual host can be served by the handlers that are linked.

use std::fmt;

use tidings_core::{Error, ErrorKind, error::Result};
use tidings_router::registry::{Registered, Registration};
use tidings_rpc::{Keys, Rpc};

use crate::config::VirtualHost;

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
                let context = format!("{shortcoming}; {}", self.linked());
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

    /// What is linked, for whoever looks for a handler that is not.
    pub(crate) fn linked(&self) -> String {
        match &self.linked[..] {
            [] => "no handler is linked into this program: name a crate with handlers in it, `use that_crate as _;`"
                .to_owned(),
            linked => format!("linked into this program are handlers for {}", list(linked)),
        }
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
        let at_a_time = match host.max_simultaneous_requests {
            0 => "any number of requests at a time".to_owned(),
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
            writeln!(f, "  {exchange}: NO HANDLER")?;
        }
        Ok(())
    }
}

fn list(names: &[impl fmt::Display]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}
