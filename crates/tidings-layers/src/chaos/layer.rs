//! Wraps a service in [`Chaos`].

use std::sync::Arc;

use tidings_core::error::Result;
use tower_layer::Layer;

use super::{Chaos, ChaosConfig};
use crate::chance::Chance;

/// Misbehaves on purpose.
#[derive(Clone, Debug)]
pub struct ChaosLayer {
    config: Arc<ChaosConfig>,
    chance: Chance,
}

impl ChaosLayer {
    /// As much chaos as configured.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`](tidings_core::ErrorKind::Misuse) if a probability is not between 0 and 1.
    pub fn new(config: ChaosConfig) -> Result<Self> {
        config.check()?;
        Ok(Self {
            chance: Chance::new(config.seed),
            config: Arc::new(config),
        })
    }

    /// No chaos.
    #[must_use]
    pub fn off() -> Self {
        Self {
            config: Arc::default(),
            chance: Chance::new(None),
        }
    }

    /// One line for the list of layers.
    #[must_use]
    pub fn describe(&self) -> String {
        self.config.describe()
    }
}

impl<S> Layer<S> for ChaosLayer {
    type Service = Chaos<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Chaos::new(inner, Arc::clone(&self.config), self.chance.clone())
    }
}
