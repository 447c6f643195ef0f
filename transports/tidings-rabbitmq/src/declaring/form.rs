//! A queue or an exchange as it goes over the wire.

use std::{collections::BTreeMap, sync::Arc};

use lapin::{
    Channel, ExchangeKind as Kind,
    options::{ExchangeDeclareOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable, ShortString},
};
use tidings_core::{
    HeaderValue, Result,
    topology::{Exchange, ExchangeKind, Queue, Thing, arguments},
};

use crate::{config::QueueType, error, notation};

/// What is declared, argument by argument.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Form {
    pub(super) thing: Thing,
    pub(super) name: ShortString,
    /// The type of an exchange; `None` for a queue.
    pub(super) kind: Option<String>,
    pub(super) durable: bool,
    pub(super) exclusive: bool,
    pub(super) auto_delete: bool,
    pub(super) internal: bool,
    pub(super) arguments: BTreeMap<ShortString, AMQPValue>,
    /// The argument that nobody asked for: a queue that has another value of it is as good.
    pub(super) implied: Option<&'static str>,
}

/// What the name of a setting is in the broker's texts, apart from arguments.
pub(super) const DURABLE: &str = "durable";
pub(super) const EXCLUSIVE: &str = "exclusive";
pub(super) const AUTO_DELETE: &str = "auto_delete";
pub(super) const INTERNAL: &str = "internal";
pub(super) const KIND: &str = "type";

impl Form {
    /// An exchange.
    pub(super) fn of_exchange(exchange: &Exchange) -> Result<Self> {
        let kind = match exchange.kind {
            ExchangeKind::Direct => "direct",
            ExchangeKind::Fanout => "fanout",
            ExchangeKind::Topic => "topic",
            other => return Err(error::unknown_kind(&exchange.name, other)),
        };
        Ok(Self {
            kind: Some(kind.to_owned()),
            ..Self::named(
                Thing::Exchange(Arc::clone(&exchange.name)),
                &exchange.name,
                exchange.durable,
            )?
        })
    }

    /// A queue. `queue_type` is for durable, shared ones that name no type.
    pub(super) fn of_queue(queue: &Queue, queue_type: QueueType) -> Result<Self> {
        let mut form = Self::named(
            Thing::Queue(Arc::clone(&queue.name)),
            &queue.name,
            queue.durable,
        )?;
        form.exclusive = queue.exclusive;
        let quoted =
            |failed: tidings_core::Error| failed.within(format_args!("queue `{}`", queue.name));
        let table = notation::to_table(&queue.arguments).map_err(quoted)?;
        form.arguments = table.inner().clone();
        if let Some(ttl) = queue.message_ttl {
            // Valid by `Topology::validate`; petisco writes it as an int32 as well.
            let millis = i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX);
            form.set(arguments::MESSAGE_TTL, int(millis));
        }
        if let Some(dead_letter) = &queue.dead_letter {
            form.set(arguments::DEAD_LETTER_EXCHANGE, text(&dead_letter.exchange));
            if let Some(key) = &dead_letter.key {
                form.set(arguments::DEAD_LETTER_KEY, text(key));
            }
        }
        let names_type = queue.arguments.get(arguments::QUEUE_TYPE).is_some();
        if queue_type == QueueType::Quorum && queue.durable && !queue.exclusive && !names_type {
            form.set(arguments::QUEUE_TYPE, text("quorum"));
        }
        Ok(form)
    }

    /// Something that must exist, and of which nothing but the name is known.
    pub(super) fn named(thing: Thing, name: &str, durable: bool) -> Result<Self> {
        let kind = match &thing {
            Thing::Exchange(_) => Some("direct".to_owned()),
            _ => None,
        };
        Ok(Self {
            name: notation::short(name, thing.kind())?,
            thing,
            kind,
            durable,
            exclusive: false,
            auto_delete: false,
            internal: false,
            arguments: BTreeMap::new(),
            implied: None,
        })
    }

    /// Whether it is a quorum queue.
    pub(super) fn is_quorum(&self) -> bool {
        self.arguments.get(arguments::QUEUE_TYPE) == Some(&text("quorum"))
    }

    /// Sets an argument.
    pub(super) fn set(&mut self, name: &'static str, value: AMQPValue) {
        self.arguments.insert(name.into(), value);
    }

    /// What a setting is here.
    pub(super) fn get(&self, setting: &str) -> Option<AMQPValue> {
        match setting {
            DURABLE => Some(AMQPValue::Boolean(self.durable)),
            EXCLUSIVE => Some(AMQPValue::Boolean(self.exclusive)),
            AUTO_DELETE => Some(AMQPValue::Boolean(self.auto_delete)),
            INTERNAL => Some(AMQPValue::Boolean(self.internal)),
            KIND => self.kind.as_deref().map(text),
            argument => self.arguments.get(argument).cloned(),
        }
    }

    /// Takes over what a setting is on the broker. Returns whether that changed anything.
    pub(super) fn adopt(&mut self, setting: &str, value: Option<AMQPValue>) -> bool {
        if self.get(setting) == value {
            return false;
        }
        match (setting, value) {
            (DURABLE, Some(AMQPValue::Boolean(truth))) => self.durable = truth,
            (EXCLUSIVE, Some(AMQPValue::Boolean(truth))) => self.exclusive = truth,
            (AUTO_DELETE, Some(AMQPValue::Boolean(truth))) => self.auto_delete = truth,
            (INTERNAL, Some(AMQPValue::Boolean(truth))) => self.internal = truth,
            (KIND, Some(AMQPValue::LongString(kind))) => self.kind = Some(kind.to_string()),
            (argument, Some(value)) => {
                self.arguments.insert(argument.into(), value);
            }
            (argument, None) => {
                self.arguments.remove(argument);
            }
        }
        true
    }

    /// Declares it: creates it, or checks that it exists with these settings.
    pub(super) async fn declare(&self, channel: &Channel) -> lapin::Result<()> {
        let arguments = FieldTable::from(self.arguments.clone());
        match &self.kind {
            Some(kind) => {
                let options = ExchangeDeclareOptions {
                    durable: self.durable,
                    auto_delete: self.auto_delete,
                    internal: self.internal,
                    ..ExchangeDeclareOptions::default()
                };
                let kind = Kind::Custom(kind.clone());
                channel
                    .exchange_declare(self.name.clone(), kind, options, arguments)
                    .await
            }
            None => {
                let options = QueueDeclareOptions {
                    durable: self.durable,
                    exclusive: self.exclusive,
                    auto_delete: self.auto_delete,
                    ..QueueDeclareOptions::default()
                };
                channel
                    .queue_declare(self.name.clone(), options, arguments)
                    .await
                    .map(|_| ())
            }
        }
    }

    /// Asks whether it exists, whatever its settings; for a queue also how many messages and consumers it has.
    pub(super) async fn look(&self, channel: &Channel) -> lapin::Result<(u32, u32)> {
        let arguments = FieldTable::default();
        if let Some(kind) = &self.kind {
            let options = ExchangeDeclareOptions {
                passive: true,
                ..ExchangeDeclareOptions::default()
            };
            let kind = Kind::Custom(kind.clone());
            channel
                .exchange_declare(self.name.clone(), kind, options, arguments)
                .await?;
            return Ok((0, 0));
        }
        let options = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::default()
        };
        let queue = channel
            .queue_declare(self.name.clone(), options, arguments)
            .await?;
        Ok((queue.message_count(), queue.consumer_count()))
    }
}

/// As narrow as it fits, which is how Python clients write it.
pub(super) fn int(value: i64) -> AMQPValue {
    i32::try_from(value).map_or(AMQPValue::LongLongInt(value), AMQPValue::LongInt)
}

pub(super) fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.as_bytes().into())
}

/// What an argument is, as headers have it.
pub(super) fn value_of(value: &AMQPValue) -> HeaderValue {
    let mut table = FieldTable::default();
    table.insert("value".into(), value.clone());
    let mut headers = notation::from_table(&table);
    headers.remove("value").unwrap_or(HeaderValue::Null)
}
