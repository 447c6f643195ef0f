//! Random numbers that all clones of a layer draw from, and that a test can foretell.

use std::sync::{Arc, Mutex, PoisonError};

use fastrand::Rng;

/// A shared source of random numbers.
#[derive(Clone, Debug)]
pub(crate) struct Chance(Arc<Mutex<Rng>>);

impl Chance {
    /// A source with this seed, or with an unforeseeable one.
    pub(crate) fn new(seed: Option<u64>) -> Self {
        let rng = seed.map_or_else(Rng::new, Rng::with_seed);
        Self(Arc::new(Mutex::new(rng)))
    }

    /// Whether something of this probability happens now. 0 never does and draws nothing.
    pub(crate) fn strikes(&self, probability: f64) -> bool {
        probability > 0.0 && self.draw() <= probability
    }

    /// A number from 0 (included) to 1 (excluded).
    pub(crate) fn draw(&self) -> f64 {
        let mut rng = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rng.f64()
    }
}
