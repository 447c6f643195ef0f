//! Draws, delays, and then either fails or hands the call on.

use std::{
    fmt, mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tidings_core::{Call, Error, ErrorKind, Outcome, Reply, error::Result};
use tokio::time::{Sleep, sleep};
use tower_service::Service;

use super::ChaosConfig;
use crate::chance::Chance;

/// See [the module](super).
#[derive(Clone, Debug)]
pub struct Chaos<S> {
    inner: S,
    config: Arc<ChaosConfig>,
    chance: Chance,
}

impl<S> Chaos<S> {
    pub(super) fn new(inner: S, config: Arc<ChaosConfig>, chance: Chance) -> Self {
        Self {
            inner,
            config,
            chance,
        }
    }
}

impl<S> Service<Call> for Chaos<S>
where
    S: Service<Call, Response = Reply, Error = Error> + Clone,
{
    type Response = Reply;
    type Error = Error;
    type Future = ChaosFuture<S>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, call: Call) -> Self::Future {
        let step = if self.config.is_off() {
            self.run(call)
        } else {
            self.misbehave(call)
        };
        ChaosFuture { step }
    }
}

impl<S: Service<Call> + Clone> Chaos<S> {
    fn run(&mut self, call: Call) -> Step<S> {
        let future = self.inner.call(call);
        Step::Running { future }
    }

    fn misbehave(&mut self, call: Call) -> Step<S> {
        let exposed = !self.config.protects(&call.address.key);
        if exposed && self.chance.strikes(self.config.nack) {
            let error = simulated("the message was given back").with_outcome(Outcome::Requeue);
            return Step::Struck { error: Some(error) };
        }
        let fails = exposed && self.chance.strikes(self.config.failure);
        let failure = fails.then(|| simulated("the handling failed"));
        if self.config.delay.is_zero() {
            return match failure {
                Some(error) => Step::Struck { error: Some(error) },
                None => self.run(call),
            };
        }
        // The service that is ready waits with the call; the clone must become ready by itself.
        let clone = self.inner.clone();
        Step::Delaying {
            delayed: Box::new(Delayed {
                timer: Box::pin(sleep(self.config.delay)),
                failure,
                service: mem::replace(&mut self.inner, clone),
                call: Some(call),
            }),
        }
    }
}

fn simulated(what: &str) -> Error {
    Error::new(
        ErrorKind::Handler,
        format!(
            "{what}, simulated by chaos: unset MESSAGE_CHAOS_* or change the chaos settings to end it"
        ),
    )
}

pin_project! {
    /// The future of [`Chaos`].
    pub struct ChaosFuture<S: Service<Call>> {
        #[pin]
        step: Step<S>,
    }
}

pin_project! {
    #[project = StepNow]
    enum Step<S: Service<Call>> {
        Struck { error: Option<Error> },
        Delaying { delayed: Box<Delayed<S>> },
        Running { #[pin] future: S::Future },
    }
}

/// A handling that is held back. Boxed, so that a service without chaos does not carry room for it.
struct Delayed<S> {
    timer: Pin<Box<Sleep>>,
    failure: Option<Error>,
    service: S,
    call: Option<Call>,
}

impl<S> Future for ChaosFuture<S>
where
    S: Service<Call, Response = Reply, Error = Error>,
{
    type Output = Result<Reply>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut step = self.project().step;
        loop {
            match step.as_mut().project() {
                StepNow::Struck { error } => {
                    return Poll::Ready(Err(error.take().unwrap_or_else(over)));
                }
                StepNow::Delaying { delayed } => {
                    ready!(delayed.timer.as_mut().poll(cx));
                    if let Some(error) = delayed.failure.take() {
                        return Poll::Ready(Err(error));
                    }
                    let call = delayed.call.take().ok_or_else(over)?;
                    let future = delayed.service.call(call);
                    step.set(Step::Running { future });
                }
                StepNow::Running { future } => return future.poll(cx),
            }
        }
    }
}

fn over() -> Error {
    Error::new(ErrorKind::Closed, "the call was over already")
}

impl<S: Service<Call>> fmt::Debug for ChaosFuture<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = match &self.step {
            Step::Struck { .. } => "Struck",
            Step::Delaying { .. } => "Delaying",
            Step::Running { .. } => "Running",
        };
        f.debug_tuple("ChaosFuture").field(&step).finish()
    }
}
