//! What a transport can do, so that a policy it cannot honour is an error at start-up and never a silent downgrade.

use std::fmt;

use crate::error::{Error, ErrorKind, Result};

/// A set of [`Capability`].
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities(u32);

/// One thing that a transport can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Capability {
    /// What was confirmed survives a restart of the broker.
    Durable,
    /// Exchanges of all kinds with patterns.
    Exchanges,
    /// Queues whose messages expire.
    QueueTtl,
    /// Queues that pass rejected and expired messages on.
    DeadLettering,
    /// A publish that no queue would receive is reported.
    UnroutableDetection,
    /// A nack can keep the message back for a while.
    DelayedNack,
    /// Queues that belong to one connection.
    ExclusiveQueues,
    /// Several subscribers of one queue share its messages.
    CompetingConsumers,
    /// Messages of one queue are delivered in the order in which they were confirmed.
    Ordered,
    /// Several processes can use it at the same time.
    MultiProcess,
}

const ALL: [Capability; 10] = [
    Capability::Durable,
    Capability::Exchanges,
    Capability::QueueTtl,
    Capability::DeadLettering,
    Capability::UnroutableDetection,
    Capability::DelayedNack,
    Capability::ExclusiveQueues,
    Capability::CompetingConsumers,
    Capability::Ordered,
    Capability::MultiProcess,
];

impl Capabilities {
    /// Nothing.
    pub const NONE: Self = Self(0);

    /// These.
    #[must_use]
    pub const fn of(capabilities: &[Capability]) -> Self {
        let mut bits = 0;
        let mut index = 0;
        while index < capabilities.len() {
            bits |= 1 << capabilities[index] as u32;
            index += 1;
        }
        Self(bits)
    }

    /// These and one more.
    #[must_use]
    pub const fn with(self, capability: Capability) -> Self {
        Self(self.0 | 1 << capability as u32)
    }

    /// Whether it can.
    #[must_use]
    pub const fn has(self, capability: Capability) -> bool {
        self.0 & (1 << capability as u32) != 0
    }

    /// Checks that `wanted` is possible, for the feature that needs it.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] that names the feature, the transport and what it lacks.
    pub fn require(self, wanted: Capability, feature: &str, scheme: &str) -> Result<()> {
        if self.has(wanted) {
            return Ok(());
        }
        let context = format!(
            "{feature} needs {wanted:?}, which `{scheme}:` does not have: use another transport or turn it off"
        );
        Err(Error::new(ErrorKind::Unsupported, context))
    }

    /// The capabilities in this set.
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        ALL.into_iter()
            .filter(move |capability| self.has(*capability))
    }
}

impl fmt::Debug for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_what_was_put_in_and_nothing_else() {
        assert_eq!(Capabilities::NONE, Capabilities::default());
        for wanted in ALL {
            let set = Capabilities::of(&[wanted]);
            assert_eq!(set, Capabilities::NONE.with(wanted));
            assert_eq!(set.with(wanted), set);
            assert_eq!(set.iter().collect::<Vec<_>>(), [wanted]);
            assert!(!Capabilities::NONE.has(wanted));
        }
        let all = Capabilities::of(&ALL);
        assert_eq!(all.iter().collect::<Vec<_>>(), ALL);
    }

    #[test]
    fn a_missing_capability_names_feature_and_transport() {
        let set = Capabilities::of(&[Capability::Durable]);
        assert!(set.require(Capability::Durable, "the store", "zmq").is_ok());
        let error = set
            .require(Capability::QueueTtl, "the retry queue", "zmq")
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert_eq!(
            error.to_string(),
            "the retry queue needs QueueTtl, which `zmq:` does not have: use another transport or turn it off"
        );
    }

    #[test]
    fn debug_output_lists_names() {
        let set = Capabilities::of(&[Capability::Ordered, Capability::Durable]);
        assert_eq!(format!("{set:?}"), "{Durable, Ordered}");
    }
}
