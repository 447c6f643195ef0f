//! The way in.

use std::sync::Arc;

use tidings_core::{Call, Completion, transport::Publisher};

use crate::{link::Link, session::Session};

/// Publishes to a broker in memory. It needs no numbering: nothing can be lost on the way.
#[derive(Debug)]
pub(crate) struct LocalPublisher {
    session: Arc<Session>,
}

impl LocalPublisher {
    pub(crate) fn new(session: Arc<Session>) -> Self {
        Self { session }
    }
}

impl Publisher for LocalPublisher {
    fn publish(&self, call: Call) -> Completion {
        match self.session.broker() {
            Ok(broker) => broker.publish(None, call),
            Err(error) => Completion::ready(Err(error)),
        }
    }
}

/// Publishes to a durable file, whichever process owns it at the moment.
#[derive(Debug)]
pub(crate) struct FilePublisher {
    link: Link,
}

impl FilePublisher {
    pub(crate) fn new(link: Link) -> Self {
        Self { link }
    }
}

impl Publisher for FilePublisher {
    fn publish(&self, call: Call) -> Completion {
        self.link.publish(call)
    }
}
