//! Messages whose turn never comes: whoever waits for them is answered, and no handler is called.
//!
//! A refused message passes the same outer layers as a handled one, so that it is answered, counted, traced and
//! recovered alike; only what they are wrapped around is a service that fails.

use std::{
    future::{Ready, ready},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use tidings_core::{Call, Delivery, Error, ErrorKind, Outcome, Reply, error::Result};
use tower_service::Service;

/// A delivery that will not be handled, and why.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) delivery: Delivery,
    pub(crate) error: Error,
}

impl Refusal {
    /// It has waited too long. Callers read this.
    pub(crate) fn late(delivery: Delivery) -> Self {
        let text = "the request waited too long for its turn and was not begun: other requests with the same lock, or too many \
             others, were before it";
        let error = Error::new(ErrorKind::Timeout, text);
        Self { delivery, error }
    }

    /// Nobody here handles it. Callers read this.
    pub(crate) fn unserved(delivery: Delivery, text: String) -> Self {
        let error = Error::new(ErrorKind::NoRoute, text);
        Self { delivery, error }
    }

    /// There was no room to wait. Callers read this.
    pub(crate) fn full(delivery: Delivery) -> Self {
        let text =
            "too many requests wait for their turn, so this one was not begun: try again later";
        let error = Error::new(ErrorKind::Full, text);
        Self { delivery, error }
    }

    /// Its key cannot be had. Where nobody waits for an answer, the message comes again untouched.
    pub(crate) fn unlocked(delivery: Delivery, cause: Error, answers: bool) -> Self {
        if cause.kind() == ErrorKind::Timeout && answers {
            return Self::late(delivery);
        }
        let context = "the lock store did not give the message's key";
        let mut error = Error::new(cause.kind(), context).with_source(cause);
        if !answers {
            error = error.with_outcome(Outcome::Requeue);
        }
        Self { delivery, error }
    }

    /// What the layers and [`Refuse`] are called with.
    pub(crate) fn into_delivery(self) -> Delivery {
        let (mut call, acker) = self.delivery.split();
        call.extensions
            .insert(Reason(Arc::new(Mutex::new(Some(self.error)))));
        Delivery::new(call, acker)
    }
}

/// Why a call is refused, on its way to [`Refuse`].
#[derive(Clone)]
struct Reason(Arc<Mutex<Option<Error>>>);

/// The innermost service for messages that are not handled: fails as it is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refuse;

impl Service<Call> for Refuse {
    type Response = Reply;
    type Error = Error;
    type Future = Ready<Result<Reply>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut call: Call) -> Self::Future {
        let reason = call.extensions.remove::<Reason>();
        let error = reason.and_then(|reason| {
            reason
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take()
        });
        let again =
            || Error::new(ErrorKind::Closed, "refused already").with_outcome(Outcome::Requeue);
        ready(Err(error.unwrap_or_else(again)))
    }
}
