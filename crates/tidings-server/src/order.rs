//! Order per key, parallel across keys.
//!
//! A key is busy while one of its messages is being handled. Messages of a busy key wait here, in the order
//! of their delivery; prefetch bounds how many can wait. A lane that has handled a message takes the next one
//! of the same key before it looks for another, so the key's order is kept without blocking other keys.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
};

use tidings_core::{
    Delivery,
    convention::{Attachment, Convention},
};
use tidings_router::OrderKey;
use tracing::error;

/// Which keys are busy, and what waits for them.
pub(crate) struct Order {
    key: Option<OrderKey>,
    convention: Arc<dyn Convention>,
    attachment: Arc<Attachment>,
    busy: Mutex<HashMap<u64, VecDeque<Delivery>>>,
}

/// A delivery that may be handled now, and the key that is busy until it has been.
pub(crate) struct Turn {
    pub(crate) delivery: Delivery,
    key: Option<u64>,
}

impl Order {
    pub(crate) fn new(
        key: Option<OrderKey>,
        convention: Arc<dyn Convention>,
        attachment: Arc<Attachment>,
    ) -> Self {
        Self {
            key,
            convention,
            attachment,
            busy: Mutex::default(),
        }
    }

    /// Lets a delivery in if its key is free, else keeps it until its turn comes.
    pub(crate) fn admit(&self, delivery: Delivery) -> Option<Turn> {
        let key = self.key_of(&delivery);
        let Some(busy_key) = key else {
            return Some(Turn { delivery, key });
        };
        match self.busy().entry(busy_key) {
            Entry::Occupied(mut waiting) => {
                waiting.get_mut().push_back(delivery);
                None
            }
            Entry::Vacant(free) => {
                free.insert(VecDeque::new());
                Some(Turn { delivery, key })
            }
        }
    }

    /// Ends a turn and returns the next one of the same key.
    pub(crate) fn next(&self, ended: Option<u64>) -> Option<Turn> {
        let key = ended?;
        let mut busy = self.busy();
        let Some(delivery) = busy.get_mut(&key).and_then(VecDeque::pop_front) else {
            busy.remove(&key);
            return None;
        };
        Some(Turn {
            delivery,
            key: ended,
        })
    }

    /// Gives everything that waits back to the broker. Keys stay busy with what is being handled.
    pub(crate) fn give_back(&self) {
        let waiting: Vec<_> = self.busy().values_mut().map(std::mem::take).collect();
        drop(waiting); // Outside the lock: dropping a delivery calls into the transport.
    }

    fn key_of(&self, delivery: &Delivery) -> Option<u64> {
        let key = self.key.as_ref()?;
        let of = || key.of(delivery.call(), &*self.convention, &self.attachment);
        // The user's function must not end the lane. A message whose key cannot be told has none.
        catch_unwind(AssertUnwindSafe(of)).unwrap_or_else(|_| {
            error!(
                queue = &*self.attachment.queue,
                "the function that orders messages panicked"
            );
            None
        })
    }

    fn busy(&self) -> std::sync::MutexGuard<'_, HashMap<u64, VecDeque<Delivery>>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// Parts the delivery from the key that stays busy.
    pub(crate) fn split(self) -> (Delivery, Option<u64>) {
        (self.delivery, self.key)
    }
}
