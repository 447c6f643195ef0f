//! The answer to a publish or a settlement: often already there, sometimes still on its way.
//!
//! A boxed future per message would cost an allocation even where the answer is immediate (the embedded
//! broker in memory, a coalesced acknowledgement). A [`Completion`] costs one only when there is something
//! to wait for.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
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
        let result = match &mut self.0 {
            State::Ready(result) => {
                let again = || Err(Error::new(ErrorKind::Closed, "already completed"));
                return Poll::Ready(result.take().unwrap_or_else(again));
            }
            State::Waiting { answer, lost } => match ready!(Pin::new(answer).poll(cx)) {
                Ok(result) => result,
                Err(_) => Err(Error::new(ErrorKind::Closed, *lost)),
            },
            State::Future(future) => ready!(future.as_mut().poll(cx)),
        };
        // Neither a channel nor an async block may be polled again: forget it.
        self.0 = State::Ready(None);
        Poll::Ready(result)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(kind: ErrorKind) -> Result<()> {
        Err(Error::new(kind, "failed"))
    }

    /// Awaits it twice: the first answer is the operation's, the second never panics.
    async fn check(mut completion: Completion, expected: Result<(), ErrorKind>) {
        let first = (&mut completion).await.map_err(|error| error.kind());
        assert_eq!(first, expected, "{completion:?}");
        let second = (&mut completion).await.map_err(|error| error.kind());
        assert_eq!(second, Err(ErrorKind::Closed), "{completion:?}");
    }

    #[tokio::test]
    async fn an_answer_known_at_once_is_ready() {
        assert!(Completion::ready(Ok(())).is_ready());
        check(Completion::ready(Ok(())), Ok(())).await;
        let full = Completion::ready(failed(ErrorKind::Full));
        check(full, Err(ErrorKind::Full)).await;
    }

    #[tokio::test]
    async fn a_future_is_awaited() {
        let future = Completion::future(async { failed(ErrorKind::Full) });
        assert!(!future.is_ready());
        check(future, Err(ErrorKind::Full)).await;
        check(Completion::future(async { Ok(()) }), Ok(())).await;
    }

    #[tokio::test]
    async fn an_answer_comes_through_the_channel() {
        let (answer, receiver) = oneshot::channel();
        let waiting = Completion::waiting(receiver, "lost");
        assert!(!waiting.is_ready());
        answer.send(Ok(())).unwrap();
        check(waiting, Ok(())).await;
    }

    #[tokio::test]
    async fn an_answer_that_will_never_come_is_an_error() {
        let (answer, receiver) = oneshot::channel();
        drop(answer);
        let error = Completion::waiting(receiver, "the writer is gone")
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Closed);
        assert_eq!(error.to_string(), "the writer is gone");
    }
}
