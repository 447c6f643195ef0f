//! Runs an attempt, and another one while the failure is worth it.

use std::{
    fmt, mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use ::metrics::{Counter, counter};
use pin_project_lite::pin_project;
use tidings_core::{
    Call, Error, Reply,
    error::Result,
    metric::{self, label},
};
use tokio::time::{Sleep, sleep};
use tower_service::Service;
use tracing::warn;

use super::RetryConfig;
use crate::chance::Chance;

/// See [the module](super).
#[derive(Clone)]
pub struct Retry<S> {
    inner: S,
    shared: Arc<Shared>,
}

/// What all clones of one layer share.
pub(super) struct Shared {
    pub(super) config: RetryConfig,
    queue: Arc<str>,
    chance: Chance,
    retries: Counter,
}

impl Shared {
    pub(super) fn new(queue: Arc<str>, config: RetryConfig) -> Self {
        Self {
            retries: counter!(metric::RETRIES, label::SUBSCRIPTION => Arc::clone(&queue)),
            chance: Chance::new(config.seed()),
            queue,
            config,
        }
    }
}

impl<S> Retry<S> {
    pub(super) fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }
}

impl<S> Service<Call> for Retry<S>
where
    S: Service<Call, Response = Reply, Error = Error> + Clone,
{
    type Response = Reply;
    type Error = Error;
    type Future = RetryFuture<S>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, call: Call) -> Self::Future {
        if self.shared.config.retries() == 0 {
            let future = self.inner.call(call);
            return RetryFuture::new(future, None);
        }
        // The service that is ready makes all attempts; the clone must become ready by itself.
        let clone = self.inner.clone();
        let mut service = mem::replace(&mut self.inner, clone);
        let future = service.call(call.clone());
        let again = Again {
            service,
            call,
            failures: 0,
            shared: Arc::clone(&self.shared),
        };
        RetryFuture::new(future, Some(again))
    }
}

pin_project! {
    /// The future of [`Retry`].
    pub struct RetryFuture<S: Service<Call>> {
        #[pin]
        step: Step<S::Future>,
        again: Option<Again<S>>,
    }
}

pin_project! {
    #[project = StepNow]
    enum Step<F> {
        Trying { #[pin] future: F },
        Waiting { #[pin] timer: Sleep },
    }
}

/// What another attempt needs. Absent where there will be none.
struct Again<S> {
    service: S,
    call: Call,
    failures: u32,
    shared: Arc<Shared>,
}

impl<S: Service<Call>> RetryFuture<S> {
    fn new(future: S::Future, again: Option<Again<S>>) -> Self {
        let step = Step::Trying { future };
        Self { step, again }
    }
}

impl<S> Future for RetryFuture<S>
where
    S: Service<Call, Response = Reply, Error = Error>,
{
    type Output = Result<Reply>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.step.as_mut().project() {
                StepNow::Trying { future } => {
                    let result = ready!(future.poll(cx));
                    let Err(error) = result else {
                        return Poll::Ready(result);
                    };
                    let Some(wait) = this.again.as_mut().and_then(|again| again.wait(&error))
                    else {
                        return Poll::Ready(Err(error));
                    };
                    this.step.set(Step::Waiting { timer: sleep(wait) });
                }
                StepNow::Waiting { timer } => {
                    ready!(timer.poll(cx));
                    // Only a future with `again` ever waits, so this never stays pending without a waker.
                    let Some(again) = this.again.as_mut() else {
                        return Poll::Pending;
                    };
                    let future = ready!(again.attempt(cx))?;
                    this.step.set(Step::Trying { future });
                }
            }
        }
    }
}

impl<S: Service<Call, Error = Error>> Again<S> {
    /// How long to wait for the next attempt; `None` if there is to be none.
    fn wait(&mut self, error: &Error) -> Option<Duration> {
        let config = &self.shared.config;
        if !error.is_retryable() || self.failures == config.retries() {
            return None;
        }
        self.failures += 1;
        let longest = config.longest_wait(self.failures);
        let wait = longest.mul_f64(self.shared.chance.draw());
        let left = self.call.deadline.remaining();
        if left.is_some_and(|left| left <= wait) {
            return None;
        }
        warn!(
            queue = &*self.shared.queue,
            attempt = self.failures,
            wait_seconds = wait.as_secs_f64(),
            error.type = error.kind().as_str(),
            error = error.chain(),
            "handling failed, another attempt follows"
        );
        Some(wait)
    }

    fn attempt(&mut self, cx: &mut Context<'_>) -> Poll<Result<S::Future>> {
        ready!(self.service.poll_ready(cx))?;
        self.shared.retries.increment(1);
        Poll::Ready(Ok(self.service.call(self.call.clone())))
    }
}

impl<S: fmt::Debug> fmt::Debug for Retry<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry")
            .field("inner", &self.inner)
            .field("config", &self.shared.config)
            .finish_non_exhaustive()
    }
}

impl<S: Service<Call>> fmt::Debug for RetryFuture<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failures = self.again.as_ref().map(|again| again.failures);
        f.debug_struct("RetryFuture")
            .field("failures", &failures)
            .finish_non_exhaustive()
    }
}
