//! Wraps a service in [`Timeout`].

use std::time::Duration;

use tower_layer::Layer;

use super::Timeout;

/// Bounds one attempt by a limit and by the call's deadline.
#[derive(Clone, Copy, Debug)]
pub struct TimeoutLayer {
    limit: Option<Duration>,
}

impl TimeoutLayer {
    /// An attempt may take this long.
    #[must_use]
    pub const fn new(limit: Duration) -> Self {
        Self { limit: Some(limit) }
    }

    /// An attempt is bounded by the call's deadline only.
    #[must_use]
    pub const fn deadline_only() -> Self {
        Self { limit: None }
    }

    /// One line for the list of layers.
    #[must_use]
    pub fn describe(&self) -> String {
        match self.limit {
            Some(limit) => {
                format!(
                    "timeout: {limit:?} for one attempt, or the call's deadline if that is earlier"
                )
            }
            None => "timeout: the call's deadline only".to_owned(),
        }
    }
}

impl<S> Layer<S> for TimeoutLayer {
    type Service = Timeout<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Timeout::new(inner, self.limit)
    }
}
