//! What is not as a topology wants it: the one comparison behind `compare` and behind the refusal of `declare`.

use std::{collections::HashSet, fmt, sync::Arc};

use tidings_core::{
    HeaderValue, Result,
    topology::{self, Binding, Difference, ExchangeKind, Thing, Topology},
};

use crate::{
    broker::{ConnectionId, queue::Queue, state::State},
    error,
};

impl State {
    /// What a declaration would create or be refused for, in the order of the topology.
    pub(crate) fn compare(
        &self,
        connection: ConnectionId,
        topology: &Topology,
    ) -> Result<Vec<Difference>> {
        if self.closed {
            return Err(error::closed());
        }
        topology.validate()?;
        self.check_bindings(connection, topology)?;
        let mut differences = Vec::new();
        for exchange in &topology.exchanges {
            differences.extend(self.exchange_difference(exchange)?);
        }
        for queue in &topology.queues {
            self.queue_differences(connection, queue, &mut differences);
        }
        let missing = topology.bindings.iter().filter(|it| !self.is_bound(it));
        differences.extend(missing.map(|binding| Difference::Missing(binding.into())));
        Ok(differences)
    }

    /// Whether a queue belongs exclusively to another connection.
    pub(super) fn is_others(&self, connection: ConnectionId, queue: &str) -> bool {
        let owner = self.named(queue).and_then(|queue| queue.owner);
        owner.is_some_and(|owner| owner != connection)
    }

    /// A binding needs both its ends, there or declared with it.
    fn check_bindings(&self, connection: ConnectionId, topology: &Topology) -> Result<()> {
        let exchanges: HashSet<_> = topology.exchanges.iter().map(|it| &it.name).collect();
        let queues: HashSet<_> = topology.queues.iter().map(|it| &it.name).collect();
        for binding in &topology.bindings {
            let (exchange, queue) = (&binding.exchange, &binding.queue);
            if !exchanges.contains(exchange) && self.exchanges.kind(exchange).is_none() {
                return Err(error::unbindable(binding, "exchange", exchange));
            }
            if queues.contains(queue) {
                continue;
            }
            if self.named(queue).is_none() {
                return Err(error::unbindable(binding, "queue", queue));
            }
            if self.is_others(connection, queue) {
                return Err(error::exclusive(queue));
            }
        }
        Ok(())
    }

    fn exchange_difference(&self, wanted: &topology::Exchange) -> Result<Option<Difference>> {
        match wanted.kind {
            ExchangeKind::Direct | ExchangeKind::Fanout | ExchangeKind::Topic => {}
            kind => return Err(error::unknown_kind(&wanted.name, kind)),
        }
        let thing = Thing::Exchange(Arc::clone(&wanted.name));
        Ok(match self.exchanges.kind(&wanted.name) {
            None => Some(Difference::Missing(thing)),
            Some(kind) if kind == wanted.kind => None,
            Some(kind) => Some(differs(&thing, "kind", kind, wanted.kind)),
        })
    }

    fn queue_differences(
        &self,
        connection: ConnectionId,
        wanted: &topology::Queue,
        to: &mut Vec<Difference>,
    ) {
        let thing = Thing::Queue(Arc::clone(&wanted.name));
        match self.named(&wanted.name) {
            None => to.push(Difference::Missing(thing)),
            Some(_) if self.is_others(connection, &wanted.name) => to.push(Difference::Unknown {
                thing,
                why: "it belongs exclusively to another connection".to_owned(),
            }),
            Some(queue) => settings(&thing, &queue.settings, wanted, to),
        }
    }

    fn is_bound(&self, binding: &Binding) -> bool {
        let queue = self.exchanges.queue(&binding.queue);
        queue.is_some_and(|queue| {
            self.exchanges
                .is_bound(&binding.exchange, &binding.pattern, queue)
        })
    }

    fn named(&self, queue: &str) -> Option<&Queue> {
        let id = self.exchanges.queue(queue)?;
        self.queues.get(&id)
    }
}

/// Every setting in which two queues differ.
fn settings(
    thing: &Thing,
    has: &topology::Queue,
    wants: &topology::Queue,
    to: &mut Vec<Difference>,
) {
    let mut compare = |setting: &str, has: String, wants: String| {
        if has != wants {
            to.push(differs(thing, setting, has, wants));
        }
    };
    compare("message TTL", ttl(has), ttl(wants));
    let exchange = |queue| dead_letter(queue, |to| quoted(&to.exchange));
    compare("dead-letter exchange", exchange(has), exchange(wants));
    let key = |queue| dead_letter(queue, |to| to.key.as_deref().map_or_else(none, quoted));
    compare("dead-letter key", key(has), key(wants));
    compare(
        "exclusive",
        has.exclusive.to_string(),
        wants.exclusive.to_string(),
    );
    compare(
        "durable",
        has.durable.to_string(),
        wants.durable.to_string(),
    );
    let added = wants.arguments.iter().map(|(name, _)| name);
    let added = added.filter(|name| has.arguments.get(name).is_none());
    for name in has.arguments.iter().map(|(name, _)| name).chain(added) {
        let value = |queue: &topology::Queue| {
            let value = queue.arguments.get(name);
            value.map_or_else(none, in_words)
        };
        compare(&format!("argument `{name}`"), value(has), value(wants));
    }
}

fn ttl(queue: &topology::Queue) -> String {
    let ttl = queue.message_ttl;
    ttl.map_or_else(none, |ttl| format!("{} ms", ttl.as_millis()))
}

fn dead_letter(
    queue: &topology::Queue,
    part: impl FnOnce(&topology::DeadLetter) -> String,
) -> String {
    queue.dead_letter.as_ref().map_or_else(none, part)
}

fn quoted(name: &str) -> String {
    format!("`{name}`")
}

fn in_words(value: &HeaderValue) -> String {
    match value {
        HeaderValue::Text(text) => quoted(text),
        HeaderValue::Int(int) => int.to_string(),
        HeaderValue::Bool(truth) => truth.to_string(),
        other => format!("{other:?}"),
    }
}

fn none() -> String {
    "none".to_owned()
}

fn differs(
    thing: &Thing,
    setting: &str,
    has: impl fmt::Display,
    wants: impl fmt::Display,
) -> Difference {
    Difference::Differs {
        thing: thing.clone(),
        setting: setting.to_owned(),
        has: has.to_string(),
        wants: wants.to_string(),
    }
}
