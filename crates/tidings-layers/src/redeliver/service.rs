//! Hands each call on and keeps a clone of it for the case that the handling fails.

use std::task::{Context, Poll};

use ::metrics::Counter;
use tidings_core::{Call, Error, Reply, error::Result};
use tower_service::Service;

use crate::{
    forward::{Recovering, Role},
    recovery::Recovery,
};

/// See [the module](super).
#[derive(Clone, Debug)]
pub struct Redeliver<S> {
    inner: S,
    recovery: Recovery,
    role: Role,
}

impl<S> Redeliver<S> {
    pub(super) fn new(inner: S, recovery: Recovery, redeliveries: Counter) -> Self {
        let role = Role::Redeliver { redeliveries };
        Self {
            inner,
            recovery,
            role,
        }
    }
}

impl<S: Service<Call, Response = Reply, Error = Error>> Service<Call> for Redeliver<S> {
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
        Recovering::new(self.recovery.clone(), self.role.clone(), original, future)
    }
}
