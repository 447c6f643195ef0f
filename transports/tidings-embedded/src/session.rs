//! One connection to a broker in memory: what a transport and its publishers share until it is closed.

use std::sync::atomic::{AtomicBool, Ordering};

use tidings_core::Result;

use crate::{
    broker::{Broker, ConnectionId},
    error,
};

/// A connection. Closing it or dropping its last handle ends it and leaves the broker to the others.
#[derive(Debug)]
pub(crate) struct Session {
    broker: Broker,
    pub(crate) connection: ConnectionId,
    closed: AtomicBool,
}

impl Session {
    pub(crate) fn new(broker: Broker) -> Self {
        let connection = broker.connect();
        Self {
            broker,
            connection,
            closed: AtomicBool::new(false),
        }
    }

    /// The broker, while the connection is open.
    pub(crate) fn broker(&self) -> Result<&Broker> {
        if self.closed.load(Ordering::Acquire) {
            return Err(error::closed());
        }
        Ok(&self.broker)
    }

    /// Ends the connection. In memory nothing is ever under way, so there is nothing to wait for.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.broker.disconnect(self.connection);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.broker.disconnect(self.connection);
    }
}
