//! Settles deliveries of the broker in this process.

use tidings_core::{Completion, Settlement, acker::Settle};

use crate::broker::Broker;

/// One for all deliveries of a subscription.
#[derive(Debug)]
pub(crate) struct LocalSettle {
    broker: Broker,
}

impl LocalSettle {
    pub(crate) fn new(broker: Broker) -> Self {
        Self { broker }
    }
}

impl Settle for LocalSettle {
    fn settle(&self, tag: u64, how: Settlement) -> Completion {
        self.broker.settle(tag, &how)
    }

    fn abandon(&self, tag: u64) {
        self.broker.abandon(tag);
    }
}
