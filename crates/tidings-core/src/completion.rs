//! The answer to a publish or a settlement: often already there, sometimes still on its way.
//!
//! A boxed future per message would cost an allocation even where the answer is immediate (the embedded
//! broker in memory, a coalesced acknowledgement). A [`Completion`] costs one only when there is something
//! to wait for.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::sync::oneshot;

use crate::error::{Error, ErrorKind, Result};

/// A future of `Result<()>` that may be ready at once.
///
/// # Cancel safety
/// Dropping it gives up the answer, never the operation: a publish that was handed over goes on.
#[must_use = "an operation whose completion is not awaited has no known outcome"]
pub struct Completion(State);

enum State {
    Ready(Option<Result<()>>),
    Waiting {
        answer: oneshot::Receiver<Result<()>>,
        lost: &'static str,
    },
    Future(Pin<Box<dyn Future<Output = Result<()>> + Send>>),
}

impl Completion {
    /// Known already.
    pub fn ready(result: Result<()>) -> Self {
        Self(State::Ready(Some(result)))
    }

    /// Will be sent through the other end; `lost` says what it means when that end is dropped.
    pub fn waiting(answer: oneshot::Receiver<Result<()>>, lost: &'static str) -> Self {
        Self(State::Waiting { answer, lost })
    }

    /// Whatever this future returns.
    pub fn future(future: impl Future<Output = Result<()>> + Send + 'static) -> Self {
        Self(State::Future(Box::pin(future)))
    }

    /// Whether the answer is known already, so that awaiting it will not wait.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        matches!(self.0, State::Ready(_))
    }
}

impl Future for Completion {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Ready(result) => Poll::Ready(
                result
                    .take()
                    .unwrap_or_else(|| Err(Error::new(ErrorKind::Closed, "already completed"))),
            ),
            State::Waiting { answer, lost } => Pin::new(answer)
                .poll(cx)
                .map(|sent| sent.unwrap_or_else(|_| Err(Error::new(ErrorKind::Closed, *lost)))),
            State::Future(future) => future.as_mut().poll(cx),
        }
    }
}

impl fmt::Debug for Completion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.0 {
            State::Ready(_) => "Ready",
            State::Waiting { .. } => "Waiting",
            State::Future(_) => "Future",
        };
        f.debug_tuple("Completion").field(&state).finish()
    }
}
