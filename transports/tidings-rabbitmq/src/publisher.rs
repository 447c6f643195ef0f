//! The way in.

use tidings_core::{Call, Completion, transport::Publisher};

use crate::publishing::Publishing;

/// Publishes to RabbitMQ. All publishers of a transport share one channel, so that one task's publishes stay in order
/// whichever of them it uses.
#[derive(Debug)]
pub(crate) struct RabbitMqPublisher(Publishing);

impl RabbitMqPublisher {
    pub(crate) fn new(publishing: Publishing) -> Self {
        Self(publishing)
    }
}

impl Publisher for RabbitMqPublisher {
    fn publish(&self, call: Call) -> Completion {
        self.0.publish(call)
    }
}
