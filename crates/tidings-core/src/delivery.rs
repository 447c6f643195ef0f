//! One received call together with the right to settle it.

use crate::{Acker, Call, Completion, Settlement};

/// A call and its acker. Dropping it gives the message back.
#[derive(Debug)]
pub struct Delivery {
    call: Call,
    acker: Acker,
}

impl Delivery {
    /// Joins a call with the right to settle it. For transports.
    #[must_use]
    pub fn new(call: Call, acker: Acker) -> Self {
        Self { call, acker }
    }

    /// The call.
    #[must_use]
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// Whether it has gone back to its queue already, and comes again: there is no use in beginning with it.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.acker.is_lost()
    }

    /// Parts the call, which goes to the handler, from the acker, which does not.
    #[must_use]
    pub fn split(self) -> (Call, Acker) {
        (self.call, self.acker)
    }

    /// Settles it without handling it.
    pub fn settle(self, how: Settlement) -> Completion {
        self.acker.settle(how)
    }
}
