//! Makes publishes fail on purpose.

use std::sync::Arc;

use tidings_core::{Call, Completion, Error, ErrorKind, error::Result, transport::Publisher};

use super::config::{check_probability, probability, variable};
use crate::chance::Chance;

const PUBLICATION: &str = "PETISCO_CHAOS_PERCENTAGE_INVALID_MESSAGE_PUBLICATION";

/// The probability with which a publish fails before it reaches the transport.
///
/// Put it around the transport's publisher, inside a fallback if there is one, so that what it fails goes there as if
/// the broker were away. Copies of failed messages are struck as well: then the message stays in its queue and
/// comes again.
///
/// ```
/// use std::sync::Arc;
/// use tidings_core::transport::Publisher;
/// use tidings_layers::PublishChaos;
///
/// # fn example(publisher: Arc<dyn Publisher>) -> tidings_core::Result<()> {
/// let chaos = PublishChaos::from_env()?; // Not set: off.
/// let chaotic = chaos.around(publisher);
/// # Ok(())
/// # }
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

    /// A publisher that fails as often as configured, and else publishes through this one.
    pub fn around(&self, publisher: Arc<dyn Publisher>) -> ChaoticPublisher {
        ChaoticPublisher {
            chaos: self.clone(),
            publisher,
        }
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

/// A publisher that fails on purpose: see [`PublishChaos::around`].
#[derive(Clone, Debug)]
#[must_use = "messages must be published through it"]
pub struct ChaoticPublisher {
    chaos: PublishChaos,
    publisher: Arc<dyn Publisher>,
}

impl Publisher for ChaoticPublisher {
    fn publish(&self, call: Call) -> Completion {
        match self.chaos.strike() {
            Ok(()) => self.publisher.publish(call),
            Err(error) => Completion::ready(Err(error)),
        }
    }
}
