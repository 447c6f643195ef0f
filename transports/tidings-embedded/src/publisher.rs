//! The way in, for the process that owns the broker.

use tidings_core::{Call, Completion, transport::Publisher};

use crate::broker::Broker;

/// A publisher in the process that owns the broker. It needs no numbering: nothing can be lost on the way.
#[derive(Debug)]
pub(crate) struct LocalPublisher {
    broker: Broker,
}

impl LocalPublisher {
    pub(crate) fn new(broker: Broker) -> Self {
        Self { broker }
    }
}

impl Publisher for LocalPublisher {
    fn publish(&self, call: Call) -> Completion {
        self.broker.publish(None, call)
    }
}
