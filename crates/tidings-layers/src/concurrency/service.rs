//! Takes a place, or waits for one in line, and holds it while the attempt runs.

use std::{
    fmt, mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tidings_core::{Call, Error, ErrorKind, Reply, error::Result};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Sleep, sleep_until},
};
use tokio_util::sync::PollSemaphore;
use tower_service::Service;

/// See [the module](super).
#[derive(Clone, Debug)]
pub struct Concurrency<S> {
    inner: S,
    places: Arc<Semaphore>,
    limit: usize,
}

impl<S> Concurrency<S> {
    pub(super) fn new(inner: S, places: Arc<Semaphore>, limit: usize) -> Self {
        Self {
            inner,
            places,
            limit,
        }
    }
}

impl<S> Service<Call> for Concurrency<S>
where
    S: Service<Call, Response = Reply, Error = Error> + Clone,
{
    type Response = Reply;
    type Error = Error;
    type Future = ConcurrencyFuture<S>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        // Fair: while anybody waits, a freed place goes to the line and cannot be had here.
        let step = match Arc::clone(&self.places).try_acquire_owned() {
            Ok(place) => Step::Running {
                future: self.inner.call(call),
                place: Some(place),
            },
            Err(_) => self.wait(call),
        };
        ConcurrencyFuture { step }
    }
}

impl<S: Service<Call> + Clone> Concurrency<S> {
    fn wait(&mut self, call: Call) -> Step<S> {
        // The service that is ready goes into the line; the clone must become ready by itself.
        let clone = self.inner.clone();
        Step::Waiting {
            timer: call.deadline.instant().map(sleep_until),
            turn: PollSemaphore::new(Arc::clone(&self.places)),
            limit: self.limit,
            next: Some((mem::replace(&mut self.inner, clone), call)),
        }
    }
}

pin_project! {
    /// The future of [`Concurrency`].
    pub struct ConcurrencyFuture<S: Service<Call>> {
        #[pin]
        step: Step<S>,
    }
}

pin_project! {
    #[project = StepNow]
    enum Step<S: Service<Call>> {
        Waiting {
            #[pin]
            timer: Option<Sleep>,
            turn: PollSemaphore,
            limit: usize,
            next: Option<(S, Call)>,
        },
        Running {
            #[pin]
            future: S::Future,
            place: Option<OwnedSemaphorePermit>,
        },
    }
}

impl<S> Future for ConcurrencyFuture<S>
where
    S: Service<Call, Response = Reply, Error = Error>,
{
    type Output = Result<Reply>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut step = self.project().step;
        loop {
            match step.as_mut().project() {
                StepNow::Waiting {
                    timer,
                    turn,
                    limit,
                    next,
                } => {
                    let place = ready!(poll_turn(turn, timer, *limit, cx))?;
                    let (mut service, call) = next.take().ok_or_else(left)?;
                    step.set(Step::Running {
                        future: service.call(call),
                        place: Some(place),
                    });
                }
                StepNow::Running { future, place } => {
                    let result = ready!(future.poll(cx));
                    *place = None;
                    return Poll::Ready(result);
                }
            }
        }
    }
}

/// A place, or an error once the deadline has passed. A place that is there wins over a deadline that has just passed.
fn poll_turn(
    turn: &mut PollSemaphore,
    timer: Pin<&mut Option<Sleep>>,
    limit: usize,
    cx: &mut Context<'_>,
) -> Poll<Result<OwnedSemaphorePermit>> {
    if let Poll::Ready(place) = turn.poll_acquire(cx) {
        return Poll::Ready(place.ok_or_else(left));
    }
    let Some(timer) = timer.as_pin_mut() else {
        return Poll::Pending;
    };
    timer.poll(cx).map(|()| Err(expired(limit)))
}

fn expired(limit: usize) -> Error {
    let context = format!(
        "none of the {limit} places for concurrent handlings became free before the call's deadline: \
         raise the limit or make the handlers faster"
    );
    Error::new(ErrorKind::Timeout, context)
}

fn left() -> Error {
    Error::new(
        ErrorKind::Closed,
        "the line for a place is closed: the call was over already",
    )
}

impl<S: Service<Call>> fmt::Debug for ConcurrencyFuture<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = match &self.step {
            Step::Waiting { .. } => "Waiting",
            Step::Running { .. } => "Running",
        };
        f.debug_tuple("ConcurrencyFuture").field(&step).finish()
    }
}
