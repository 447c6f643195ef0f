//! Wraps a service in [`DeadLetter`].

use tower_layer::Layer;

use super::DeadLetter;
use crate::recovery::Recovery;

/// Moves messages that will not be tried again to their dead letters.
#[derive(Clone, Debug)]
pub struct DeadLetterLayer {
    recovery: Recovery,
}

impl DeadLetterLayer {
    /// For the subscription that this recovery is for.
    #[must_use]
    pub fn new(recovery: Recovery) -> Self {
        Self { recovery }
    }

    /// One line for the list of layers.
    #[must_use]
    pub fn describe(&self) -> String {
        "dead_letter: what will not be tried again is kept with its reason".to_owned()
    }
}

impl<S> Layer<S> for DeadLetterLayer {
    type Service = DeadLetter<S>;

    fn layer(&self, inner: S) -> Self::Service {
        DeadLetter::new(inner, self.recovery.clone())
    }
}
