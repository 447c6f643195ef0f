//! What can be set, and the URL that sets it.

use std::time::Duration;

use lapin::uri::AMQPUri;

/// Where the broker is and how it is used.
#[derive(Clone)]
#[non_exhaustive]
pub struct RabbitMqConfig {
    /// How this process is called in the broker's own tools.
    pub name: String,
    /// How long one attempt to connect may take.
    pub connection_timeout: Duration,
    /// How long the first connect keeps trying while nobody answers. Zero means one attempt.
    pub wait: Duration,
    /// How long a publish may wait for its confirm, reconnects included.
    pub confirm_timeout: Duration,
    /// How many publishes are sent and unconfirmed at a time.
    pub window: usize,
}

impl RabbitMqConfig {
    pub(crate) fn to_uri(&self) -> AMQPUri {
        AMQPUri::default()
    }
}
