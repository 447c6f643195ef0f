//! What must exist on a broker: exchanges, queues and bindings.
//!
//! The model is RabbitMQ's, because it is the richest; a transport that cannot express a part of it refuses
//! at start-up and names the part.

pub mod arguments;
pub mod definitions;
mod difference;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, collections::BTreeMap, fmt, sync::Arc, time::Duration};

pub use self::difference::{Difference, Thing};
use crate::{
    error::{Error, ErrorKind, Result},
    headers::{HeaderValue, Headers},
};

/// A set of exchanges, queues and bindings. Declaring it twice changes nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Topology {
    /// The exchanges, in the order of declaration.
    pub exchanges: Vec<Exchange>,
    /// The queues, in the order of declaration.
    pub queues: Vec<Queue>,
    /// The bindings, in the order of declaration.
    pub bindings: Vec<Binding>,
}

/// A named place that copies messages to queues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// The name; never empty, that one exists by itself.
    pub name: Arc<str>,
    /// How it matches routing keys.
    pub kind: ExchangeKind,
    /// Whether it survives a restart of the broker.
    pub durable: bool,
}

/// How an exchange matches routing keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ExchangeKind {
    /// The key equals the pattern.
    Direct,
    /// Everything matches.
    Fanout,
    /// Words separated by dots; `*` stands for one word, `#` for any number of words.
    Topic,
}

/// A named place that keeps messages until they are handled.
#[derive(Clone, Debug, PartialEq)]
pub struct Queue {
    /// The name.
    pub name: Arc<str>,
    /// How long a message waits before it expires, whole milliseconds; `None` means for ever.
    pub message_ttl: Option<Duration>,
    /// Where rejected and expired messages go; `None` means they are dropped.
    pub dead_letter: Option<DeadLetter>,
    /// Whether it belongs to one connection and goes with it.
    pub exclusive: bool,
    /// Whether it survives a restart of the broker.
    pub durable: bool,
    /// Further arguments that only some transports understand.
    pub arguments: Headers,
}

/// Where rejected and expired messages of a queue go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The exchange.
    pub exchange: Arc<str>,
    /// The routing key; `None` keeps the message's own.
    pub key: Option<Arc<str>>,
}

/// A path from an exchange to a queue.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Binding {
    /// From here.
    pub exchange: Arc<str>,
    /// To here.
    pub queue: Arc<str>,
    /// The pattern that a routing key must match.
    pub pattern: Arc<str>,
}

impl Exchange {
    /// A durable exchange.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>, kind: ExchangeKind) -> Self {
        Self {
            name: name.into(),
            kind,
            durable: true,
        }
    }

    /// A durable topic exchange.
    #[must_use]
    pub fn topic(name: impl Into<Arc<str>>) -> Self {
        Self::new(name, ExchangeKind::Topic)
    }

    /// A durable direct exchange.
    #[must_use]
    pub fn direct(name: impl Into<Arc<str>>) -> Self {
        Self::new(name, ExchangeKind::Direct)
    }

    /// Lets the broker forget it in a restart.
    #[must_use]
    pub fn transient(mut self) -> Self {
        self.durable = false;
        self
    }
}

impl fmt::Display for ExchangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Direct => "direct",
            Self::Fanout => "fanout",
            Self::Topic => "topic",
        })
    }
}

impl Queue {
    /// A durable, shared queue whose messages wait for ever.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            message_ttl: None,
            dead_letter: None,
            exclusive: false,
            durable: true,
            arguments: Headers::new(),
        }
    }

    /// A queue that belongs to one connection and goes with it, for replies.
    #[must_use]
    pub fn exclusive(name: impl Into<Arc<str>>) -> Self {
        Self {
            exclusive: true,
            durable: false,
            ..Self::new(name)
        }
    }

    /// Sets or clears how long messages wait.
    #[must_use]
    pub fn with_ttl(mut self, ttl: impl Into<Option<Duration>>) -> Self {
        self.message_ttl = ttl.into();
        self
    }

    /// Sends rejected and expired messages to a routing key on an exchange.
    #[must_use]
    pub fn with_dead_letter(
        mut self,
        exchange: impl Into<Arc<str>>,
        key: impl Into<Arc<str>>,
    ) -> Self {
        self.dead_letter = Some(DeadLetter {
            exchange: exchange.into(),
            key: Some(key.into()),
        });
        self
    }

    /// Sets an argument that only some transports understand; see [`arguments`].
    #[must_use]
    pub fn with_argument(
        mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<HeaderValue>,
    ) -> Self {
        self.arguments.set(name, value);
        self
    }
}

impl Binding {
    /// From an exchange to a queue, for keys that match the pattern.
    #[must_use]
    pub fn new(
        exchange: impl Into<Arc<str>>,
        queue: impl Into<Arc<str>>,
        pattern: impl Into<Arc<str>>,
    ) -> Self {
        Self {
            exchange: exchange.into(),
            queue: queue.into(),
            pattern: pattern.into(),
        }
    }
}

impl Topology {
    /// Nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an exchange.
    #[must_use]
    pub fn exchange(mut self, exchange: Exchange) -> Self {
        self.exchanges.push(exchange);
        self
    }

    /// Adds a queue.
    #[must_use]
    pub fn queue(mut self, queue: Queue) -> Self {
        self.queues.push(queue);
        self
    }

    /// Adds a binding.
    #[must_use]
    pub fn bind(
        mut self,
        exchange: impl Into<Arc<str>>,
        queue: impl Into<Arc<str>>,
        pattern: impl Into<Arc<str>>,
    ) -> Self {
        self.bindings.push(Binding::new(exchange, queue, pattern));
        self
    }

    /// Adds everything of another topology that is not in this one yet.
    pub fn merge(&mut self, other: Self) {
        extend_new(&mut self.exchanges, other.exchanges);
        extend_new(&mut self.queues, other.queues);
        extend_new(&mut self.bindings, other.bindings);
    }

    /// Checks what every broker would refuse: empty or over-long names, one name with two definitions, a TTL
    /// that is not a whole number of milliseconds or too long.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`] that names the thing and the rule.
    pub fn validate(&self) -> Result<()> {
        let mut exchanges = BTreeMap::new();
        for exchange in &self.exchanges {
            check_name("exchange", &exchange.name)?;
            check_same(
                "exchange",
                &exchange.name,
                exchanges.insert(&exchange.name, exchange),
                exchange,
            )?;
        }
        let mut queues = BTreeMap::new();
        for queue in &self.queues {
            check_name("queue", &queue.name)?;
            check_ttl(queue)?;
            check_dead_letter(queue)?;
            check_same(
                "queue",
                &queue.name,
                queues.insert(&queue.name, queue),
                queue,
            )?;
        }
        for binding in &self.bindings {
            check_name("queue", &binding.queue)?;
            check_name("exchange", &binding.exchange)?;
            check_length("binding pattern", &binding.pattern)?;
        }
        Ok(())
    }
}

fn extend_new<T: PartialEq>(to: &mut Vec<T>, from: Vec<T>) {
    for item in from {
        if !to.contains(&item) {
            to.push(item);
        }
    }
}

fn misuse(context: String) -> Error {
    Error::new(ErrorKind::Misuse, context)
}

fn check_name(what: &str, name: &str) -> Result<()> {
    if name.is_empty() {
        let article = if what == "exchange" { "an" } else { "a" };
        return Err(misuse(format!(
            "{article} {what} needs a name: the empty name is the broker's own"
        )));
    }
    check_length(what, name)
}

/// AMQP 0.9.1 names are short strings: at most 255 bytes.
fn check_length(what: &str, name: &str) -> Result<()> {
    if name.len() <= 255 {
        return Ok(());
    }
    Err(misuse(format!(
        "{what} `{name}` is {} bytes long: shorten it to at most 255",
        name.len()
    )))
}

fn check_ttl(queue: &Queue) -> Result<()> {
    let Some(ttl) = queue.message_ttl else {
        return Ok(());
    };
    if ttl.subsec_nanos() % 1_000_000 == 0 && ttl.as_millis() <= u128::from(u32::MAX) {
        return Ok(());
    }
    Err(misuse(format!(
        "queue `{}` has a message TTL of {ttl:?}: use whole milliseconds, at most {} (49 days)",
        queue.name,
        u32::MAX
    )))
}

fn check_dead_letter(queue: &Queue) -> Result<()> {
    let Some(DeadLetter { exchange, key }) = &queue.dead_letter else {
        return Ok(());
    };
    check_length("dead-letter exchange", exchange)?;
    check_length("dead-letter key", key.as_deref().unwrap_or_default())
}

fn check_same<T: PartialEq>(what: &str, name: &str, before: Option<&T>, now: &T) -> Result<()> {
    match before {
        Some(before) if before != now => Err(misuse(format!(
            "{what} `{name}` is declared twice with different settings: keep one of them"
        ))),
        _ => Ok(()),
    }
}
