//! What a subscription is run by: the server's settings, with what its subscriber says itself.

use std::{sync::Arc, time::Duration};

use tidings_core::lock::LockStore;
use tidings_layers::{ChaosLayer, ConcurrencyLayer, RetryConfig};
use tidings_router::Options;

use crate::order::{Patience, Rules, Served};

/// How many messages of one queue are handled at a time unless somebody says otherwise.
const CONCURRENCY: u16 = 16;

/// What the stack and the order of a subscription are built from.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(crate) queue: Arc<str>,
    pub(crate) lanes: u16,
    pub(crate) prefetch: Option<u16>,
    pub(crate) limit: Option<ConcurrencyLayer>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) attempts: RetryConfig,
    pub(crate) chaos: ChaosLayer,
    pub(crate) patience: Patience,
    pub(crate) locks: Option<Arc<dyn LockStore>>,
    pub(crate) lock_scope: Option<Arc<str>>,
    pub(crate) served: Option<Arc<Served>>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            queue: Arc::default(),
            lanes: CONCURRENCY,
            prefetch: None,
            limit: None,
            timeout: None,
            attempts: RetryConfig::default(),
            chaos: ChaosLayer::off(),
            patience: Patience::default(),
            locks: None,
            lock_scope: None,
            served: None,
        }
    }
}

impl Policy {
    /// This policy for one queue, with what its subscriber says itself.
    pub(crate) fn of(&self, queue: Arc<str>, options: &Options) -> Self {
        Self {
            queue,
            lanes: options.concurrency.unwrap_or(self.lanes),
            prefetch: options.prefetch.or(self.prefetch),
            timeout: options.timeout.or(self.timeout),
            ..self.clone()
        }
    }

    /// How messages are kept in order. Without a key there is nothing to lock.
    pub(crate) fn rules(&self, options: &Options) -> Rules {
        let key = options.ordered_by.clone();
        Rules {
            locks: key.as_ref().and(self.locks.clone()),
            scope: self.lock_scope.clone(),
            key,
            patience: self.patience,
            served: self.served.clone(),
        }
    }

    /// Enough deliveries to keep the lanes busy while settlements travel; many more where messages of busy keys have to
    /// wait beside them. Where messages are answered, a waiter takes no place away from the lanes.
    pub(crate) fn prefetch(&self, options: &Options, answers: bool) -> u16 {
        let room = u16::try_from(self.patience.most).unwrap_or(u16::MAX);
        let lanes = self.lanes;
        self.prefetch
            .unwrap_or_else(|| match (&options.ordered_by, answers) {
                (None, _) => lanes.saturating_mul(2),
                (Some(_), false) => lanes.saturating_mul(8),
                (Some(_), true) => lanes.saturating_mul(2).saturating_add(room),
            })
    }
}
