//! What was declared through this transport and not deleted through it, to declare it again after a reconnect.
//!
//! Exclusive queues go with their connection, and a broker that was restored from a backup, or whose node lost its
//! disk, has nothing. Declaring what is still there changes nothing.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use tidings_core::{
    Error, Result,
    topology::{Binding, Thing, Topology},
    transport::Impairment,
};

use super::{
    form::Form,
    restore::{Refusals, restore},
};
use crate::connection::Generation;

/// The record. Shared by everything that declares and everything that must come back.
#[derive(Debug, Default)]
pub(crate) struct Record(Mutex<Inner>);

#[derive(Clone, Debug, Default)]
struct Inner {
    exchanges: BTreeMap<Arc<str>, Form>,
    queues: BTreeMap<Arc<str>, Form>,
    bindings: HashSet<Binding>,
    /// What could not be declared again, and why.
    refused: BTreeMap<Thing, String>,
}

/// What became of a queue that was declared again.
#[derive(Debug)]
pub(crate) enum Restoration {
    /// It is there.
    Restored,
    /// The broker refused it; kept as an impairment until it is there.
    Refused(Error),
    /// It is not in the record, and nothing was done.
    Unknown,
}

impl Record {
    fn with<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds what was declared.
    pub(super) fn add(&self, forms: Vec<Form>, bindings: &[Binding]) {
        self.with(|inner| {
            for form in forms {
                inner.refused.remove(&form.thing);
                match &form.thing {
                    Thing::Exchange(name) => inner.exchanges.insert(Arc::clone(name), form),
                    Thing::Queue(name) => inner.queues.insert(Arc::clone(name), form),
                    Thing::Binding { .. } => None,
                };
            }
            inner.bindings.extend(bindings.iter().cloned());
        });
    }

    /// Forgets what is to be deleted, so that a reconnect in between does not bring it back.
    pub(super) fn forget(&self, topology: &Topology) {
        self.with(|inner| {
            for queue in &topology.queues {
                inner.queues.remove(&queue.name);
                inner.refused.remove(&Thing::Queue(Arc::clone(&queue.name)));
                inner.bindings.retain(|binding| binding.queue != queue.name);
            }
            for exchange in &topology.exchanges {
                inner.exchanges.remove(&exchange.name);
                inner
                    .refused
                    .remove(&Thing::Exchange(Arc::clone(&exchange.name)));
                inner
                    .bindings
                    .retain(|binding| binding.exchange != exchange.name);
            }
        });
    }

    /// What could not be declared again.
    pub(crate) fn impairments(&self) -> Vec<Impairment> {
        self.with(|inner| {
            let refused = inner.refused.iter().map(|(thing, why)| match thing {
                Thing::Queue(name) => Impairment::of_queue(Arc::clone(name), why.as_str()),
                _ => Impairment::of_transport(why.as_str()),
            });
            refused.collect()
        })
    }

    /// Declares everything again. What is refused is logged and kept as an impairment: the rest has to work.
    ///
    /// # Errors
    /// [`Unavailable`](tidings_core::ErrorKind::Unavailable) if the connection ends meanwhile.
    ///
    /// # Cancel safety
    /// Yes: declaring is idempotent.
    pub(crate) async fn restore(&self, generation: &Generation) -> Result<()> {
        let all = self.with(|inner| {
            inner.refused.clear();
            inner.clone()
        });
        self.restore_these(generation, &all).await.map(|_noted| ())
    }

    /// Declares one queue again, with its bindings and the exchanges that these need.
    ///
    /// # Errors
    /// [`Unavailable`](tidings_core::ErrorKind::Unavailable) if the connection ends meanwhile.
    ///
    /// # Cancel safety
    /// Yes: declaring is idempotent.
    pub(crate) async fn restore_queue(
        &self,
        queue: &str,
        generation: &Generation,
    ) -> Result<Restoration> {
        let Some(part) = self.with(|inner| inner.around(queue)) else {
            return Ok(Restoration::Unknown);
        };
        self.with(|inner| inner.refused.retain(|thing, _| !part.has(thing)));
        let mut refused = self.restore_these(generation, &part).await?;
        let this = Thing::Queue(queue.into());
        let of_queue = refused.iter().position(|(thing, _)| *thing == this);
        Ok(match of_queue {
            Some(index) => Restoration::Refused(refused.swap_remove(index).1),
            None => Restoration::Restored,
        })
    }

    /// Somebody uses this queue: whatever kept it from being declared again is over.
    pub(crate) fn is_there(&self, queue: &str) {
        self.with(|inner| inner.refused.remove(&Thing::Queue(queue.into())));
    }

    async fn restore_these(&self, generation: &Generation, these: &Inner) -> Result<Refusals> {
        let forms: Vec<_> = these
            .exchanges
            .values()
            .chain(these.queues.values())
            .collect();
        let bindings: Vec<_> = these.bindings.iter().cloned().collect();
        let refusals = restore(generation, &forms, &bindings).await?;
        for (thing, why) in &refusals {
            let why = why.to_string();
            tracing::error!(%thing, %why, "a part of the topology is not as it was before the reconnect");
            self.with(|inner| inner.refused.insert(thing.clone(), why));
        }
        Ok(refusals)
    }
}

impl Inner {
    fn has(&self, thing: &Thing) -> bool {
        match thing {
            Thing::Queue(name) => self.queues.contains_key(name),
            Thing::Exchange(name) => self.exchanges.contains_key(name),
            Thing::Binding { .. } => self.bindings.iter().any(|it| Thing::from(it) == *thing),
        }
    }

    /// A queue with everything that leads to it.
    fn around(&self, queue: &str) -> Option<Self> {
        let (name, form) = self.queues.get_key_value(queue)?;
        let bindings: HashSet<_> = self
            .bindings
            .iter()
            .filter(|binding| *binding.queue == *queue)
            .cloned()
            .collect();
        let needed = |exchange: &&Arc<str>| {
            bindings
                .iter()
                .any(|binding| binding.exchange == **exchange)
        };
        let exchanges = self.exchanges.keys().filter(needed);
        Some(Self {
            exchanges: exchanges
                .filter_map(|exchange| self.exchanges.get_key_value(exchange))
                .map(|(name, form)| (Arc::clone(name), form.clone()))
                .collect(),
            queues: BTreeMap::from([(Arc::clone(name), form.clone())]),
            bindings,
            refused: BTreeMap::new(),
        })
    }
}
