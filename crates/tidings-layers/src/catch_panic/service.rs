//! Runs every step of the handling under `catch_unwind`.
//!
//! `AssertUnwindSafe` is sound here in the sense that matters: after a panic the future is dropped and never polled
//! again, so nobody sees its half-changed state. What it shares with others is the handler's own concern.

use std::{
    any::Any,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use ::metrics::Counter;
use pin_project_lite::pin_project;
use tidings_core::{Call, Error, ErrorKind, Reply, error::Result};
use tower_service::Service;

/// See [the module](super).
#[derive(Clone)]
pub struct CatchPanic<S> {
    inner: S,
    panics: Counter,
}

impl<S> CatchPanic<S> {
    pub(super) fn new(inner: S, panics: Counter) -> Self {
        Self { inner, panics }
    }
}

impl<S: Service<Call, Response = Reply, Error = Error>> Service<Call> for CatchPanic<S> {
    type Response = Reply;
    type Error = Error;
    type Future = CatchPanicFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        catch_unwind(AssertUnwindSafe(|| self.inner.poll_ready(cx)))
            .unwrap_or_else(|panic| Poll::Ready(Err(caught(&self.panics, &*panic))))
    }

    #[inline]
    fn call(&mut self, call: Call) -> Self::Future {
        let step = match catch_unwind(AssertUnwindSafe(|| self.inner.call(call))) {
            Ok(future) => Step::Running { future },
            Err(panic) => Step::Panicked {
                error: Some(caught(&self.panics, &*panic)),
            },
        };
        CatchPanicFuture {
            step,
            panics: self.panics.clone(),
        }
    }
}

pin_project! {
    /// The future of [`CatchPanic`].
    pub struct CatchPanicFuture<F> {
        #[pin]
        step: Step<F>,
        panics: Counter,
    }
}

pin_project! {
    #[project = StepNow]
    enum Step<F> {
        Running { #[pin] future: F },
        Panicked { error: Option<Error> },
    }
}

impl<F: Future<Output = Result<Reply>>> Future for CatchPanicFuture<F> {
    type Output = Result<Reply>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let future = match this.step.as_mut().project() {
            StepNow::Running { future } => future,
            StepNow::Panicked { error } => {
                return Poll::Ready(Err(error.take().unwrap_or_else(over)));
            }
        };
        let panic = match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
            Ok(poll) => return poll,
            Err(panic) => panic,
        };
        let error = caught(this.panics, &*panic);
        // A value inside the future may panic once more when it is dropped: the first panic is the one to report.
        drop(catch_unwind(AssertUnwindSafe(|| {
            this.step.set(Step::Panicked { error: None });
        })));
        Poll::Ready(Err(error))
    }
}

fn caught(panics: &Counter, panic: &(dyn Any + Send)) -> Error {
    panics.increment(1);
    let text = panic
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(a value that is not text)");
    let context = format!("the handler panicked: {text} (the panic's own report names the line)");
    Error::new(ErrorKind::Panic, context)
}

fn over() -> Error {
    Error::new(ErrorKind::Panic, "the handler panicked before")
}

impl<S: fmt::Debug> fmt::Debug for CatchPanic<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CatchPanic")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

impl<F> fmt::Debug for CatchPanicFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CatchPanicFuture").finish_non_exhaustive()
    }
}
