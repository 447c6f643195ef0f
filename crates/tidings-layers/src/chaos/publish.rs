//! Makes publishes fail on purpose.

use tidings_core::{Error, ErrorKind, error::Result};

use super::config::{check_probability, probability, variable};
use crate::chance::Chance;

const PUBLICATION: &str = "PETISCO_CHAOS_PERCENTAGE_INVALID_MESSAGE_PUBLICATION";

/// The probability with which a publish fails before it reaches the transport. A publisher asks it before each.
///
/// ```
/// use tidings_layers::PublishChaos;
///
/// let chaos = PublishChaos::from_env()?; // Not set: off.
/// chaos.strike()?;
/// # Ok::<(), tidings_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct PublishChaos {
    failure: f64,
    chance: Chance,
}

impl PublishChaos {
    /// Fails with this probability, 0 to 1.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`] if it is not a probability.
    pub fn new(failure: f64) -> Result<Self> {
        check_probability("publish chaos", failure)?;
        Ok(Self {
            failure,
            chance: Chance::new(None),
        })
    }

    /// Reads `PETISCO_CHAOS_PERCENTAGE_INVALID_MESSAGE_PUBLICATION` (0 to 1); off if it is not set.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`] naming the variable, its value and what is allowed.
    pub fn from_env() -> Result<Self> {
        Self::new(probability(PUBLICATION, variable)?)
    }

    /// Fails as often as configured.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`], as if the broker were not reachable, which sends the message to the fallback.
    pub fn strike(&self) -> Result<()> {
        if self.chance.strikes(self.failure) {
            let context =
                format!("the publish failed, simulated by chaos: unset {PUBLICATION} to end it");
            return Err(Error::new(ErrorKind::Unavailable, context));
        }
        Ok(())
    }
}
