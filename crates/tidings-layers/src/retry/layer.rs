//! Wraps a service in [`Retry`].

use std::{fmt, sync::Arc};

use tower_layer::Layer;

use super::{Retry, RetryConfig, service::Shared};

/// Tries again within one delivery.
#[derive(Clone)]
pub struct RetryLayer {
    shared: Arc<Shared>,
}

impl RetryLayer {
    /// For the subscription to this queue.
    #[must_use]
    pub fn new(queue: impl Into<Arc<str>>, config: RetryConfig) -> Self {
        Self {
            shared: Arc::new(Shared::new(queue.into(), config)),
        }
    }

    /// One line for the list of layers.
    #[must_use]
    pub fn describe(&self) -> String {
        self.shared.config.describe()
    }
}

impl<S> Layer<S> for RetryLayer {
    type Service = Retry<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Retry::new(inner, Arc::clone(&self.shared))
    }
}

impl fmt::Debug for RetryLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryLayer")
            .field("config", &self.shared.config)
            .finish_non_exhaustive()
    }
}
