//! Wraps a service in [`Concurrency`].

use std::sync::Arc;

use tokio::sync::Semaphore;
use tower_layer::Layer;

use super::Concurrency;

/// A number of places that everything made by this layer and its clones shares.
#[derive(Clone, Debug)]
pub struct ConcurrencyLayer {
    places: Arc<Semaphore>,
    limit: usize,
}

impl ConcurrencyLayer {
    /// At most `limit` handlings at a time; 0 counts as 1.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        let limit = limit.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            places: Arc::new(Semaphore::new(limit)),
            limit,
        }
    }

    /// One line for the list of layers.
    #[must_use]
    pub fn describe(&self) -> String {
        format!("concurrency: at most {} at a time", self.limit)
    }
}

impl<S> Layer<S> for ConcurrencyLayer {
    type Service = Concurrency<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Concurrency::new(inner, Arc::clone(&self.places), self.limit)
    }
}
