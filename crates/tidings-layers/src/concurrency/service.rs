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
    places: Option<Places>,
}

/// The places, and how many there are in all.
#[derive(Clone, Debug)]
pub(super) struct Places {
    pub(super) free: Arc<Semaphore>,
    pub(super) limit: usize,
}

impl<S> Concurrency<S> {
    pub(super) fn new(inner: S, places: Option<Places>) -> Self {
        Self { inner, places }
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

    #[inline]
    fn call(&mut self, call: Call) -> Self::Future {
        // Fair: while anybody waits, a freed place goes to the line and cannot be had here.
        let place = match &self.places {
            None => None,
            Some(places) => match Arc::clone(&places.free).try_acquire_owned() {
                Ok(place) => Some(place),
                Err(_) => return self.waiting(places.clone(), call),
            },
        };
        let future = self.inner.call(call);
        let step = Step::Running { future, place };
        ConcurrencyFuture { step }
    }
}

impl<S: Service<Call> + Clone> Concurrency<S> {
    #[cold]
    fn waiting(&mut self, places: Places, call: Call) -> ConcurrencyFuture<S> {
        // The service that is ready goes into the line; the clone must become ready by itself.
        let clone = self.inner.clone();
        let timer = call.deadline.instant().map(sleep_until);
        let waiter = Box::new(Waiter {
            timer: timer.map(Box::pin),
            turn: PollSemaphore::new(places.free),
            service: mem::replace(&mut self.inner, clone),
            call: Some(call),
        });
        let step = Step::Waiting { waiter };
        ConcurrencyFuture { step }
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
        Waiting { waiter: Box<Waiter<S>> },
        Running {
            #[pin]
            future: S::Future,
            place: Option<OwnedSemaphorePermit>,
        },
    }
}

/// A call in the line. Boxed, so that a call that need not wait does not carry room for it.
struct Waiter<S> {
    timer: Option<Pin<Box<Sleep>>>,
    turn: PollSemaphore,
    service: S,
    call: Option<Call>,
}

impl<S> Future for ConcurrencyFuture<S>
where
    S: Service<Call, Response = Reply, Error = Error>,
{
    type Output = Result<Reply>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut step = self.project().step;
        loop {
            match step.as_mut().project() {
                StepNow::Waiting { waiter } => {
                    let place = Some(ready!(waiter.poll_turn(cx))?);
                    let call = waiter.call.take().ok_or_else(left)?;
                    let future = waiter.service.call(call);
                    step.set(Step::Running { future, place });
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

impl<S> Waiter<S> {
    /// A place, or an error once the deadline has passed. A place that is there wins over a deadline that has
    /// just passed.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Result<OwnedSemaphorePermit>> {
        if let Poll::Ready(place) = self.turn.poll_acquire(cx) {
            return Poll::Ready(place.ok_or_else(left));
        }
        let Some(timer) = &mut self.timer else {
            return Poll::Pending;
        };
        timer.as_mut().poll(cx).map(|()| Err(expired()))
    }
}

/// Callers read this.
fn expired() -> Error {
    let context =
        "too many others were being handled until the deadline: ask again later, or with more time";
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
