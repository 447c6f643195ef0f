//! Wraps a service in [`Metrics`].

use std::sync::Arc;

use tower_layer::Layer;

use super::{Metrics, meters::Meters};

/// Counts and times every handling of a subscription.
#[derive(Clone, Debug)]
pub struct MetricsLayer {
    meters: Arc<Meters>,
}

impl MetricsLayer {
    /// For the subscription to this queue. Makes the handles, so the recorder must be installed already.
    #[must_use]
    pub fn new(queue: impl Into<Arc<str>>) -> Self {
        Self {
            meters: Arc::new(Meters::new(queue.into())),
        }
    }

    /// One line for the list of layers.
    #[must_use]
    pub fn describe(&self) -> String {
        "metrics: duration, count and messages in flight".to_owned()
    }
}

impl<S> Layer<S> for MetricsLayer {
    type Service = Metrics<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Metrics::new(inner, Arc::clone(&self.meters))
    }
}
