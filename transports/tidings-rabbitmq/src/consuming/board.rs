//! Which subscriptions have no live consumer at the moment, and why: what health checks ask for.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tidings_core::transport::Impairment;

/// The impaired subscriptions of one transport, by a number of their own.
#[derive(Debug, Default)]
pub(crate) struct Board(Mutex<BTreeMap<u64, Impairment>>);

impl Board {
    /// The subscription has no consumer.
    pub(crate) fn impair(&self, number: u64, queue: &Arc<str>, reason: impl Into<String>) {
        let impairment = Impairment::of_queue(Arc::clone(queue), reason);
        self.impaired().insert(number, impairment);
    }

    /// The subscription has one, or is gone.
    pub(crate) fn clear(&self, number: u64) {
        self.impaired().remove(&number);
    }

    /// What is on it.
    pub(crate) fn impairments(&self) -> Vec<Impairment> {
        self.impaired().values().cloned().collect()
    }

    fn impaired(&self) -> MutexGuard<'_, BTreeMap<u64, Impairment>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
