//! Finds the earlier bound, tells the handler, and watches the clock once the handler waits.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tidings_core::{Call, Deadline, Error, ErrorKind, Reply, error::Result};
use tokio::time::{Sleep, sleep_until};
use tower_service::Service;

/// See [the module](super).
#[derive(Clone, Debug)]
pub struct Timeout<S> {
    inner: S,
    limit: Option<Duration>,
}

impl<S> Timeout<S> {
    pub(super) fn new(inner: S, limit: Option<Duration>) -> Self {
        Self { inner, limit }
    }
}

impl<S: Service<Call, Response = Reply, Error = Error>> Service<Call> for Timeout<S> {
    type Response = Reply;
    type Error = Error;
    type Future = TimeoutFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, mut call: Call) -> Self::Future {
        if call.deadline.is_past() {
            return TimeoutFuture::new(None, call.deadline, None);
        }
        let own = self.limit.map_or(Deadline::NEVER, Deadline::after);
        let deadline = call.deadline.earlier(own);
        // The error must name the bound that was reached, not the one that would have come later.
        let limit = self.limit.filter(|_| deadline == own);
        call.deadline = deadline;
        TimeoutFuture::new(Some(self.inner.call(call)), deadline, limit)
    }
}

pin_project! {
    /// The future of [`Timeout`].
    pub struct TimeoutFuture<F> {
        // `None` once there is nothing to run any more.
        #[pin]
        future: Option<F>,
        #[pin]
        timer: Option<Sleep>,
        deadline: Deadline,
        limit: Option<Duration>,
    }
}

impl<F> TimeoutFuture<F> {
    fn new(future: Option<F>, deadline: Deadline, limit: Option<Duration>) -> Self {
        Self {
            future,
            timer: None,
            deadline,
            limit,
        }
    }
}

impl<F: Future<Output = Result<Reply>>> Future for TimeoutFuture<F> {
    type Output = Result<Reply>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(future) = this.future.as_mut().as_pin_mut() else {
            return Poll::Ready(Err(refused()));
        };
        if let Poll::Ready(result) = future.poll(cx) {
            return Poll::Ready(result);
        }
        let Some(instant) = this.deadline.instant() else {
            return Poll::Pending;
        };
        if this.timer.is_none() {
            this.timer.set(Some(sleep_until(instant)));
        }
        if let Some(timer) = this.timer.as_pin_mut() {
            ready!(timer.poll(cx));
        }
        this.future.set(None);
        Poll::Ready(Err(expired(*this.limit)))
    }
}

/// Callers read this.
fn expired(limit: Option<Duration>) -> Error {
    let context = match limit {
        Some(limit) => {
            format!("this takes longer than {limit:?}, which is how long one attempt may take: it was ended and may be half done")
        }
        None => "the deadline has passed while this was being handled: it was ended and may be half done"
            .to_owned(),
    };
    Error::new(ErrorKind::Timeout, context)
}

/// Callers read this.
fn refused() -> Error {
    let context = "the deadline had passed before this was begun: ask again with more time";
    Error::new(ErrorKind::Timeout, context)
}

impl<F> fmt::Debug for TimeoutFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimeoutFuture")
            .field("deadline", &self.deadline)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
