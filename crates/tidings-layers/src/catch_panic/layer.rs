//! Wraps a service in [`CatchPanic`].

use std::{fmt, sync::Arc};

use ::metrics::{Counter, counter};
use tidings_core::metric::{self, label};
use tower_layer::Layer;

use super::CatchPanic;

/// Turns panics into errors.
#[derive(Clone)]
pub struct CatchPanicLayer {
    panics: Counter,
}

impl CatchPanicLayer {
    /// For the subscription to this queue.
    #[must_use]
    pub fn new(queue: impl Into<Arc<str>>) -> Self {
        let queue = queue.into();
        Self {
            panics: counter!(metric::PANICS, label::SUBSCRIPTION => queue),
        }
    }

    /// One line for the list of layers.
    #[must_use]
    pub fn describe(&self) -> String {
        "catch_panic: a panic of the handler is a failed handling".to_owned()
    }
}

impl<S> Layer<S> for CatchPanicLayer {
    type Service = CatchPanic<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CatchPanic::new(inner, self.panics.clone())
    }
}

impl fmt::Debug for CatchPanicLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CatchPanicLayer").finish_non_exhaustive()
    }
}
