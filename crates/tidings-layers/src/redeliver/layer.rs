//! Wraps a service in [`Redeliver`].

use ::metrics::{Counter, counter};
use std::{fmt, sync::Arc};
use tidings_core::metric::{self, label};
use tower_layer::Layer;

use super::Redeliver;
use crate::recovery::Recovery;

/// Brings failed messages back as their convention says.
#[derive(Clone)]
pub struct RedeliverLayer {
    recovery: Recovery,
    redeliveries: Counter,
}

impl RedeliverLayer {
    /// For the subscription that this recovery is for.
    #[must_use]
    pub fn new(recovery: Recovery) -> Self {
        let queue = Arc::clone(recovery.queue());
        Self {
            redeliveries: counter!(metric::REDELIVERIES, label::SUBSCRIPTION => queue),
            recovery,
        }
    }

    /// One line for the list of layers.
    #[must_use]
    pub fn describe(&self) -> String {
        "redeliver: a failed message comes again as its convention says".to_owned()
    }
}

impl<S> Layer<S> for RedeliverLayer {
    type Service = Redeliver<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Redeliver::new(inner, self.recovery.clone(), self.redeliveries.clone())
    }
}

impl fmt::Debug for RedeliverLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedeliverLayer")
            .field("recovery", &self.recovery)
            .finish_non_exhaustive()
    }
}
