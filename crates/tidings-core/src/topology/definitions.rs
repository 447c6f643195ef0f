//! A topology as a file: the definitions format of RabbitMQ, which its own tools export and import.
//!
//! Of that format we write exchanges, queues and bindings, and read nothing else; users, policies and limits are
//! the operator's business. Source: the JSON that `rabbitmqctl export_definitions` writes.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

use super::{Binding, DeadLetter, Exchange, ExchangeKind, Queue, Topology, arguments};
use crate::{
    error::{Error, ErrorKind, Result},
    headers::{HeaderValue, Headers},
};

#[derive(Serialize, Deserialize)]
struct Definitions {
    #[serde(default)]
    exchanges: Vec<ExchangeDefinition>,
    #[serde(default)]
    queues: Vec<QueueDefinition>,
    #[serde(default)]
    bindings: Vec<BindingDefinition>,
}

#[derive(Serialize, Deserialize)]
struct ExchangeDefinition {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    vhost: Option<String>,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default = "yes")]
    durable: bool,
    #[serde(default)]
    auto_delete: bool,
    #[serde(default)]
    internal: bool,
    #[serde(default)]
    arguments: Map<String, Value>,
}

#[derive(Serialize, Deserialize)]
struct QueueDefinition {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    vhost: Option<String>,
    #[serde(default = "yes")]
    durable: bool,
    #[serde(default)]
    auto_delete: bool,
    #[serde(default)]
    arguments: Map<String, Value>,
}

#[derive(Serialize, Deserialize)]
struct BindingDefinition {
    source: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    vhost: Option<String>,
    destination: String,
    destination_type: String,
    routing_key: String,
    #[serde(default)]
    arguments: Map<String, Value>,
}

fn yes() -> bool {
    true
}

impl Topology {
    /// The topology as definitions, for all virtual hosts or for one.
    ///
    /// Exclusive queues are left out: they belong to a connection and cannot be imported.
    #[must_use]
    pub fn to_definitions(&self, vhost: Option<&str>) -> Value {
        let vhost = vhost.map(str::to_owned);
        let exchanges = self.exchanges.iter().map(|exchange| ExchangeDefinition {
            name: exchange.name.to_string(),
            vhost: vhost.clone(),
            kind: exchange.kind.to_string(),
            durable: exchange.durable,
            auto_delete: false,
            internal: false,
            arguments: Map::new(),
        });
        let shared = self.queues.iter().filter(|queue| !queue.exclusive);
        let queues = shared.map(|queue| QueueDefinition {
            name: queue.name.to_string(),
            vhost: vhost.clone(),
            durable: queue.durable,
            auto_delete: false,
            arguments: arguments_of(queue),
        });
        let exclusive = |name: &str| {
            let mut queues = self.queues.iter();
            queues.any(|queue| queue.exclusive && &*queue.name == name)
        };
        let bindings = self
            .bindings
            .iter()
            .filter(|binding| !exclusive(&binding.queue))
            .map(|binding| BindingDefinition {
                source: binding.exchange.to_string(),
                vhost: vhost.clone(),
                destination: binding.queue.to_string(),
                destination_type: "queue".to_owned(),
                routing_key: binding.pattern.to_string(),
                arguments: Map::new(),
            });
        let definitions = Definitions {
            exchanges: exchanges.collect(),
            queues: queues.collect(),
            bindings: bindings.collect(),
        };
        // Maps with text keys, numbers and text always serialize.
        serde_json::to_value(definitions).unwrap_or_default()
    }

    /// Reads definitions: ours, or an export of RabbitMQ. With a virtual host, only what belongs to it or to none.
    ///
    /// Exchanges that every broker has by itself (`amq.…`) are left out.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`] that names what is wrong: no JSON of this shape, an exchange kind or a binding that a
    /// [`Topology`] cannot express, or what [`Topology::validate`] refuses.
    pub fn from_definitions(json: &str, vhost: Option<&str>) -> Result<Self> {
        let read: Definitions = serde_json::from_str(json).map_err(|error| {
            misuse(format!(
                "not a file of definitions (`exchanges`, `queues`, `bindings`): {error}"
            ))
        })?;
        let ours = |of: &Option<String>| match (of.as_deref(), vhost) {
            (Some(of), Some(wanted)) => of == wanted,
            _ => true,
        };
        let mut topology = Self::new();
        for exchange in read.exchanges {
            if ours(&exchange.vhost) && !is_the_brokers(&exchange.name) {
                topology.exchanges.push(exchange.read()?);
            }
        }
        for queue in read.queues {
            if ours(&queue.vhost) {
                topology.queues.push(queue.read()?);
            }
        }
        for binding in read.bindings {
            if ours(&binding.vhost) && !binding.source.is_empty() {
                topology.bindings.push(binding.read()?);
            }
        }
        topology.validate()?;
        Ok(topology)
    }
}

fn is_the_brokers(exchange: &str) -> bool {
    exchange.is_empty() || exchange.starts_with("amq.")
}

impl ExchangeDefinition {
    fn read(self) -> Result<Exchange> {
        let kind = match self.kind.as_str() {
            "direct" => ExchangeKind::Direct,
            "fanout" => ExchangeKind::Fanout,
            "topic" => ExchangeKind::Topic,
            other => {
                return Err(misuse(format!(
                    "exchange `{}` has the type `{other}`: only direct, fanout and topic can be read",
                    self.name
                )));
            }
        };
        if self.auto_delete || self.internal || !self.arguments.is_empty() {
            return Err(misuse(format!(
                "exchange `{}` is auto-delete, internal or has arguments: only plain exchanges can be read",
                self.name
            )));
        }
        Ok(Exchange {
            name: self.name.into(),
            kind,
            durable: self.durable,
        })
    }
}

impl QueueDefinition {
    fn read(self) -> Result<Queue> {
        if self.auto_delete {
            return Err(misuse(format!(
                "queue `{}` is auto-delete: only queues that stay can be read",
                self.name
            )));
        }
        let mut queue = Queue::new(self.name);
        queue.durable = self.durable;
        let (mut exchange, mut key) = (None, None);
        for (name, value) in self.arguments {
            let text = || value.as_str().map(Arc::<str>::from);
            match name.as_str() {
                arguments::MESSAGE_TTL => {
                    queue.message_ttl = value.as_u64().map(Duration::from_millis);
                }
                arguments::DEAD_LETTER_EXCHANGE => exchange = text(),
                arguments::DEAD_LETTER_KEY => key = text(),
                _ => queue.arguments.set(name, header_value(&value)),
            }
        }
        queue.dead_letter = exchange.map(|exchange| DeadLetter { exchange, key });
        Ok(queue)
    }
}

impl BindingDefinition {
    fn read(self) -> Result<Binding> {
        if self.destination_type != "queue" || !self.arguments.is_empty() {
            return Err(misuse(format!(
                "the binding from `{}` to `{}` leads to an exchange or has arguments: only plain bindings of queues can be read",
                self.source, self.destination
            )));
        }
        Ok(Binding::new(
            self.source,
            self.destination,
            self.routing_key,
        ))
    }
}

fn arguments_of(queue: &Queue) -> Map<String, Value> {
    let mut map = Map::new();
    if let Some(ttl) = queue.message_ttl {
        let millis = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        map.insert(arguments::MESSAGE_TTL.into(), millis.into());
    }
    if let Some(DeadLetter { exchange, key }) = &queue.dead_letter {
        map.insert(arguments::DEAD_LETTER_EXCHANGE.into(), (**exchange).into());
        if let Some(key) = key {
            map.insert(arguments::DEAD_LETTER_KEY.into(), (**key).into());
        }
    }
    for (name, value) in queue.arguments.iter() {
        map.insert(name.to_owned(), json_value(value));
    }
    map
}

fn json_value(value: &HeaderValue) -> Value {
    match value {
        HeaderValue::Null => Value::Null,
        HeaderValue::Bool(truth) => (*truth).into(),
        HeaderValue::Int(int) | HeaderValue::Timestamp(int) => (*int).into(),
        HeaderValue::Float(float) => Number::from_f64(*float).map_or(Value::Null, Value::Number),
        HeaderValue::Text(text) => (**text).into(),
        HeaderValue::Bytes(bytes) => String::from_utf8_lossy(bytes).into(),
        HeaderValue::List(list) => list.iter().map(json_value).collect(),
        HeaderValue::Table(table) => {
            let entries = table.iter();
            Value::Object(
                entries
                    .map(|(name, value)| (name.to_owned(), json_value(value)))
                    .collect(),
            )
        }
    }
}

fn header_value(value: &Value) -> HeaderValue {
    match value {
        Value::Null => HeaderValue::Null,
        Value::Bool(truth) => (*truth).into(),
        Value::Number(number) => match number.as_i64() {
            Some(int) => int.into(),
            None => HeaderValue::Float(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => text.as_str().into(),
        Value::Array(list) => HeaderValue::List(list.iter().map(header_value).collect()),
        Value::Object(table) => {
            let mut headers = Headers::new();
            for (name, value) in table {
                headers.set(name.clone(), header_value(value));
            }
            HeaderValue::Table(headers)
        }
    }
}

fn misuse(context: String) -> Error {
    Error::new(ErrorKind::Misuse, context)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Topology {
        Topology::new()
            .exchange(Exchange::topic("acme"))
            .queue(
                Queue::new("orders")
                    .with_ttl(Duration::from_secs(5))
                    .with_dead_letter("dead", "dead.orders")
                    .with_argument(arguments::QUEUE_TYPE, "quorum"),
            )
            .queue(Queue::new("plain"))
            .bind("acme", "orders", "order.*")
    }

    #[test]
    fn what_is_written_is_read() {
        for vhost in [None, Some("/")] {
            let json = sample().to_definitions(vhost).to_string();
            assert_eq!(Topology::from_definitions(&json, vhost).unwrap(), sample());
        }
    }

    #[test]
    fn only_one_virtual_host_is_read() {
        let json = sample().to_definitions(Some("one")).to_string();
        let other = Topology::from_definitions(&json, Some("two")).unwrap();
        assert_eq!(other, Topology::new());
        let all = Topology::from_definitions(&json, None).unwrap();
        assert_eq!(all, sample());
    }

    #[test]
    fn exclusive_queues_stay_out_with_their_bindings() {
        let topology = sample()
            .queue(Queue::exclusive("mine"))
            .bind("acme", "mine", "#");
        assert_eq!(topology.to_definitions(None), sample().to_definitions(None));
    }

    #[test]
    fn an_export_of_the_broker_is_read() {
        let json = r#"{"rabbit_version": "3.10.8", "users": [], "policies": [],
            "exchanges": [{"name": "amq.topic", "vhost": "/", "type": "topic"},
                          {"name": "acme", "vhost": "/", "type": "topic", "durable": true, "auto_delete": false, "internal": false, "arguments": {}}],
            "queues": [{"name": "store", "vhost": "/", "durable": true, "auto_delete": false, "arguments": {"x-max-length": 7}}],
            "bindings": []}"#;
        let read = Topology::from_definitions(json, Some("/")).unwrap();
        let wanted = Topology::new()
            .exchange(Exchange::topic("acme"))
            .queue(Queue::new("store").with_argument(arguments::MAX_LENGTH, 7_i64));
        assert_eq!(read, wanted);
    }

    fn check_refused(json: &str, mentions: &str) {
        let error = Topology::from_definitions(json, None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misuse, "{json}");
        assert!(error.to_string().contains(mentions), "{json}: {error}");
    }

    #[test]
    fn what_cannot_be_expressed_is_refused_by_name() {
        check_refused("[", "definitions");
        check_refused(
            r#"{"exchanges": [{"name": "e", "type": "headers"}]}"#,
            "`headers`",
        );
        check_refused(
            r#"{"exchanges": [{"name": "e", "type": "topic", "internal": true}]}"#,
            "`e`",
        );
        check_refused(r#"{"queues": [{"name": "q", "auto_delete": true}]}"#, "`q`");
        check_refused(
            r#"{"bindings": [{"source": "a", "destination": "b", "destination_type": "exchange", "routing_key": ""}]}"#,
            "from `a` to `b`",
        );
        check_refused(r#"{"queues": [{"name": ""}]}"#, "name");
    }
}
