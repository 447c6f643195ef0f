//! Hands each call on and keeps a clone of it for the case that the handling fails for good.

use std::task::{Context, Poll};

use tidings_core::{Call, Error, Reply, error::Result};
use tower_service::Service;

use crate::{
    forward::{Recovering, Role},
    recovery::Recovery,
};

/// See [the module](super).
#[derive(Clone, Debug)]
pub struct DeadLetter<S> {
    inner: S,
    recovery: Recovery,
}

impl<S> DeadLetter<S> {
    pub(super) fn new(inner: S, recovery: Recovery) -> Self {
        Self { inner, recovery }
    }
}

impl<S: Service<Call, Response = Reply, Error = Error>> Service<Call> for DeadLetter<S> {
    type Response = Reply;
    type Error = Error;
    type Future = Recovering<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, call: Call) -> Self::Future {
        let original = call.clone();
        let future = self.inner.call(call);
        Recovering::new(self.recovery.clone(), Role::DeadLetter, original, future)
    }
}
