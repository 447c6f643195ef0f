//! Wraps a service in [`Concurrency`].

use std::sync::Arc;

use tokio::sync::Semaphore;
use tower_layer::Layer;

use super::{Concurrency, service::Places};

/// A number of places that everything made by this layer and its clones shares.
#[derive(Clone, Debug)]
pub struct ConcurrencyLayer {
    places: Option<Places>,
}

impl ConcurrencyLayer {
    /// At most `limit` handlings at a time; 0 counts as 1.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        let limit = limit.clamp(1, Semaphore::MAX_PERMITS);
        let free = Arc::new(Semaphore::new(limit));
        Self {
            places: Some(Places { free, limit }),
        }
    }

    /// No bound but the worker's own, and no cost.
    #[must_use]
    pub fn unlimited() -> Self {
        Self { places: None }
    }

    /// One line for the list of layers.
    #[must_use]
    pub fn describe(&self) -> String {
        match &self.places {
            Some(places) => format!("concurrency: at most {} at a time", places.limit),
            None => "concurrency: bounded by the worker only".to_owned(),
        }
    }
}

impl<S> Layer<S> for ConcurrencyLayer {
    type Service = Concurrency<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Concurrency::new(inner, self.places.clone())
    }
}
