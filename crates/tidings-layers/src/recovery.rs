//! What `redeliver` and `dead_letter` need to carry out a convention's plan.

use std::{fmt, sync::Arc};

use tidings_core::{
    Call, Error,
    clock::Clock,
    convention::{Attachment, Convention, Failed, Plan},
    transport::Publisher,
};

/// The convention that plans, the subscription it plans for, and the publisher that carries copies away.
///
/// Cloning copies one pointer. One value serves both layers of a subscription.
#[derive(Clone)]
pub struct Recovery(Arc<Parts>);

struct Parts {
    convention: Arc<dyn Convention>,
    attachment: Arc<Attachment>,
    publisher: Arc<dyn Publisher>,
    delayed_nack: bool,
    clock: Clock,
}

impl Recovery {
    /// Plans by this convention, for the failures of this subscription; copies go out through this publisher.
    #[must_use]
    pub fn new(
        convention: Arc<dyn Convention>,
        attachment: Arc<Attachment>,
        publisher: Arc<dyn Publisher>,
    ) -> Self {
        Self(Arc::new(Parts {
            convention,
            attachment,
            publisher,
            delayed_nack: false,
            clock: Clock::SYSTEM,
        }))
    }

    /// Says whether the transport can keep a message back by itself. It cannot unless said so.
    #[must_use]
    pub fn with_delayed_nack(self, delayed_nack: bool) -> Self {
        Self(Arc::new(Parts {
            delayed_nack,
            ..self.parts()
        }))
    }

    /// Takes the wall time from this clock.
    #[must_use]
    pub fn with_clock(self, clock: Clock) -> Self {
        Self(Arc::new(Parts {
            clock,
            ..self.parts()
        }))
    }

    /// What the convention does about a failed handling of this call.
    pub(crate) fn plan(&self, call: &Call, error: &Error) -> Plan {
        self.0.convention.recover(&Failed {
            attachment: &self.0.attachment,
            call,
            error,
            delayed_nack: self.0.delayed_nack,
            now: self.0.clock.now(),
        })
    }

    /// Where copies go out.
    pub(crate) fn publisher(&self) -> &dyn Publisher {
        &*self.0.publisher
    }

    /// The queue whose deliveries fail.
    pub(crate) fn queue(&self) -> &Arc<str> {
        &self.0.attachment.queue
    }

    /// Whose handler fails.
    pub(crate) fn subscriber(&self) -> &str {
        &self.0.attachment.subscriber
    }

    fn parts(&self) -> Parts {
        Parts {
            convention: Arc::clone(&self.0.convention),
            attachment: Arc::clone(&self.0.attachment),
            publisher: Arc::clone(&self.0.publisher),
            delayed_nack: self.0.delayed_nack,
            clock: self.0.clock,
        }
    }
}

impl fmt::Debug for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recovery")
            .field("convention", &self.0.convention)
            .field("queue", &self.0.attachment.queue)
            .field("publisher", &self.0.publisher)
            .field("delayed_nack", &self.0.delayed_nack)
            .finish_non_exhaustive()
    }
}
