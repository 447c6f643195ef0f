//! Where a message goes, in the words of the richest broker: an exchange and a routing key.
//!
//! Transports that have no exchanges map an address onto what they have (a subject, a topic, a path)
//! and say so in their documentation.

use std::{fmt, sync::Arc};

/// An exchange and a routing key. Cloning copies two pointers.
///
/// ```
/// use tidings_core::Address;
///
/// let address = Address::new("acme.registration", "acme.registration.1.event.user_created");
/// assert_eq!(address.to_string(), "acme.registration/acme.registration.1.event.user_created");
/// assert_eq!(Address::queue("store").to_string(), "store");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// The exchange; empty means the default exchange, which routes to the queue named by the key.
    pub exchange: Arc<str>,
    /// The routing key.
    pub key: Arc<str>,
}

impl Address {
    /// A routing key on an exchange.
    #[must_use]
    pub fn new(exchange: impl Into<Arc<str>>, key: impl Into<Arc<str>>) -> Self {
        Self {
            exchange: exchange.into(),
            key: key.into(),
        }
    }

    /// One queue, by name, through the default exchange.
    #[must_use]
    pub fn queue(name: impl Into<Arc<str>>) -> Self {
        Self::new("", name)
    }

    /// Whether this address names a queue directly.
    #[must_use]
    pub fn is_queue(&self) -> bool {
        self.exchange.is_empty()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_queue() {
            f.write_str(&self.key)
        } else {
            write!(f, "{}/{}", self.exchange, self.key)
        }
    }
}
