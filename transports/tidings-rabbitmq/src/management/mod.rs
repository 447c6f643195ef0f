//! The broker's HTTP API, for what AMQP does not tell: which queues there are and how they are doing, which bindings.
//!
//! Its figures are as old as the broker's statistics, up to 5 s unless configured otherwise.

mod client;
mod url;

use std::{collections::HashSet, fmt::Write, sync::Arc, time::Duration};

use serde::Deserialize;
use tidings_core::{
    Error, ErrorKind, Result,
    topology::Binding,
    transport::{QueueStatus, Rates},
};

pub use self::url::ManagementUrl;
use crate::{
    config::{RabbitMqConfig, TlsConfig},
    connection::server::Version,
    secret::Secret,
};

/// The largest page that the API gives.
const PAGE: usize = 500;
/// What is asked for of each queue: the whole of it would be many times as long.
const COLUMNS: &str = "name,consumers,messages_ready,messages_unacknowledged,\
message_stats.publish_details.rate,message_stats.deliver_get_details.rate,message_stats.ack_details.rate";

/// Asks the HTTP API about one virtual host.
#[derive(Clone, Debug)]
pub(crate) struct Management {
    url: ManagementUrl,
    vhost: String,
    credentials: (String, Secret),
    tls: Option<TlsConfig>,
    patience: Duration,
}

#[derive(Deserialize)]
struct Overview {
    rabbitmq_version: String,
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Queue>,
    #[serde(default)]
    page_count: usize,
}

#[derive(Deserialize)]
struct Queue {
    name: String,
    // A queue that is new, or whose node is away, has no figures.
    #[serde(default)]
    consumers: u32,
    #[serde(default)]
    messages_ready: u64,
    #[serde(default)]
    messages_unacknowledged: u64,
    #[serde(default)]
    message_stats: Stats,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Stats {
    publish_details: Rate,
    deliver_get_details: Rate,
    ack_details: Rate,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Rate {
    rate: f64,
}

#[derive(Deserialize)]
struct BindingRow {
    source: String,
    destination: String,
    destination_type: String,
    routing_key: String,
}

impl Management {
    pub(crate) fn new(url: ManagementUrl, config: &RabbitMqConfig) -> Self {
        let credentials = url.credentials.clone();
        let credentials =
            credentials.unwrap_or_else(|| (config.user.clone(), config.password.clone()));
        Self {
            url,
            vhost: config.vhost.clone(),
            credentials,
            tls: config.tls.clone(),
            patience: config.connection_timeout,
        }
    }

    /// Waits this long for an answer at most.
    pub(crate) fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience.min(self.patience);
        self
    }

    /// The broker's version.
    ///
    /// # Errors
    /// As everything here: not reachable, refused, or not the HTTP API.
    pub(crate) async fn version(&self) -> Result<Version> {
        let overview: Overview = self.get("overview?columns=rabbitmq_version").await?;
        Version::read(&overview.rabbitmq_version).ok_or_else(|| {
            let context = format!(
                "RabbitMQ at {} says that its version is `{}`",
                self.url, overview.rabbitmq_version
            );
            Error::new(ErrorKind::Unavailable, context)
        })
    }

    /// All queues, by name.
    ///
    /// # Errors
    /// As everything here: not reachable, refused, no such virtual host, or not the HTTP API.
    pub(crate) async fn queues(&self) -> Result<Vec<QueueStatus>> {
        let (mut queues, vhost) = (Vec::new(), encode(&self.vhost));
        for page in 1.. {
            let path = format!("queues/{vhost}?page={page}&page_size={PAGE}&columns={COLUMNS}");
            let found: Page = self.get(&path).await?;
            let is_last = page >= found.page_count || found.items.is_empty();
            queues.extend(found.items.into_iter().map(QueueStatus::from));
            if is_last {
                break;
            }
        }
        queues.sort_by(|a, b| a.name.cmp(&b.name));
        // Between two pages a queue may have moved to the next one.
        queues.dedup_by(|a, b| a.name == b.name);
        Ok(queues)
    }

    /// All bindings from an exchange to a queue.
    ///
    /// # Errors
    /// As everything here: not reachable, refused, no such virtual host, or not the HTTP API.
    pub(crate) async fn bindings(&self) -> Result<HashSet<Binding>> {
        let rows: Vec<BindingRow> = self
            .get(&format!("bindings/{}", encode(&self.vhost)))
            .await?;
        let of_queues = rows
            .into_iter()
            .filter(|row| row.destination_type == "queue" && !row.source.is_empty());
        Ok(of_queues
            .map(|row| Binding::new(row.source, row.destination, row.routing_key))
            .collect())
    }
}

impl From<Queue> for QueueStatus {
    fn from(queue: Queue) -> Self {
        let stats = queue.message_stats;
        Self {
            name: Arc::from(queue.name),
            ready: queue.messages_ready,
            unsettled: Some(queue.messages_unacknowledged),
            consumers: queue.consumers,
            rates: Some(Rates {
                arriving: stats.publish_details.rate,
                delivered: stats.deliver_get_details.rate,
                acked: stats.ack_details.rate,
            }),
        }
    }
}

/// A name as a part of a path.
fn encode(name: &str) -> String {
    let mut encoded = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            encoded.push(char::from(byte));
        } else {
            // Writing into a string cannot fail.
            let _written = write!(encoded, "%{byte:02X}").is_ok();
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_parts_of_a_path() {
        assert_eq!(encode("/"), "%2F");
        assert_eq!(encode("a-b_c.d~1"), "a-b_c.d~1");
        assert_eq!(encode("a b/é?"), "a%20b%2F%C3%A9%3F");
    }

    #[test]
    fn queues_without_figures_are_empty() {
        let page: Page = serde_json::from_str(
            r#"{"items": [{"name": "new"}, {"name": "busy", "consumers": 2, "messages_ready": 3, "messages_unacknowledged": 4,
                "message_stats": {"publish_details": {"rate": 1.5}, "ack_details": {"rate": 0.0}}}], "page_count": 1}"#,
        )
        .unwrap();
        let all: Vec<_> = page.items.into_iter().map(QueueStatus::from).collect();
        assert_eq!(
            (all[0].ready, all[0].unsettled, all[0].consumers),
            (0, Some(0), 0)
        );
        assert_eq!(
            (all[1].ready, all[1].unsettled, all[1].consumers),
            (3, Some(4), 2)
        );
        assert_eq!(all[1].rates.unwrap().arriving, 1.5);
    }
}
