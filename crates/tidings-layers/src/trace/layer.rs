//! Wraps a service in [`Trace`].

use tower_layer::Layer;

use super::Trace;

/// One span per message, failures logged once.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct TraceLayer;

impl TraceLayer {
    /// There is nothing to set.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }

    /// One line for the list of layers.
    #[must_use]
    pub fn describe(&self) -> String {
        "trace: one span per message, failures logged once".to_owned()
    }
}

impl<S> Layer<S> for TraceLayer {
    type Service = Trace<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Trace::new(inner)
    }
}
