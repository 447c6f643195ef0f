//! What the tests of this crate share: a virtual host of their own, and a plain client in it.

use std::time::Duration;

use lapin::{Channel, Connection, ConnectionProperties};
use tidings_testkit::rabbitmq::{VirtualHost, shared};

/// A virtual host on a real broker, deleted with it.
pub(crate) struct Bed {
    pub(crate) host: VirtualHost,
}

/// An empty virtual host. Without a broker it says so and returns `None`, which on CI is a failure.
pub(crate) async fn bed() -> Option<Bed> {
    let host = shared().await?;
    Some(Bed { host })
}

impl Bed {
    /// The URL of the virtual host, with the HTTP API.
    pub(crate) fn url(&self) -> String {
        self.host.url()
    }

    /// The same without the HTTP API.
    pub(crate) fn plain_url(&self) -> String {
        let url = self.url();
        url.split('?').next().unwrap_or_default().to_owned()
    }

    /// The same as another user.
    pub(crate) fn url_as(&self, user: &str, password: &str) -> String {
        format!(
            "amqp://{user}:{password}@{}/{}",
            self.host.address(),
            self.host.name()
        )
    }

    /// A channel of the plain client, to look and to interfere with. It keeps its connection.
    pub(crate) async fn channel(&self) -> Channel {
        let properties = ConnectionProperties::default();
        let connection = Connection::connect(&self.plain_url(), properties).await;
        connection.unwrap().create_channel().await.unwrap()
    }
}

/// Waits until something is so; half a minute is a failure.
pub(crate) async fn until(what: &str, reached: impl AsyncFn() -> bool) {
    let mut tick = tokio::time::interval(Duration::from_millis(50));
    let waiting = async {
        while !reached().await {
            tick.tick().await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(30), waiting).await;
    assert!(waited.is_ok(), "{what} did not come to pass");
}
