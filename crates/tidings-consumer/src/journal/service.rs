//! Records the request on its way in and the answer on its way out.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tidings_core::{Call, Deadline, Error, ErrorKind, Outcome, Reply, error::Result};
use tower_service::Service;

use super::{
    queue::{Queue, Ticket},
    source::Source,
};

/// See [the module](super).
#[derive(Clone, Debug)]
pub struct JournalService<S> {
    inner: S,
    to: Option<(Arc<Queue>, Arc<Source>)>,
}

impl<S> JournalService<S> {
    pub(super) fn new(inner: S, to: Option<(Arc<Queue>, Arc<Source>)>) -> Self {
        Self { inner, to }
    }
}

impl<S: Service<Call, Response = Reply, Error = Error>> Service<Call> for JournalService<S> {
    type Response = Reply;
    type Error = Error;
    type Future = JournalFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, call: Call) -> Self::Future {
        let to = self.to.as_ref();
        let ticket = to.and_then(|(queue, source)| queue.admit(source, &call));
        let deadline = call.deadline;
        JournalFuture {
            open: Open { ticket, deadline },
            future: self.inner.call(call),
        }
    }
}

pin_project! {
    /// The future of [`JournalService`].
    pub struct JournalFuture<F> {
        // Dropped first: it looks at the clock.
        open: Open,
        #[pin]
        future: F,
    }
}

impl<F: Future<Output = Result<Reply>>> Future for JournalFuture<F> {
    type Output = Result<Reply>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.future.poll(cx));
        if let Some(ticket) = this.open.ticket.take() {
            ended(ticket, result.as_ref());
        }
        Poll::Ready(result)
    }
}

/// A request whose answer is not known yet.
#[derive(Debug)]
struct Open {
    ticket: Option<Ticket>,
    deadline: Deadline,
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take()
            && self.deadline.is_past()
        {
            let context = "the call's deadline passed before the handler was done";
            ended(ticket, Err(&Error::new(ErrorKind::Timeout, context)));
        }
    }
}

/// Records how it ended, unless it has not: then it comes again.
fn ended(ticket: Ticket, result: Result<&Reply, &Error>) {
    if result.is_err_and(comes_again) {
        return;
    }
    let rpc = &ticket.source().rpc;
    let traceback = result.err().map(Error::chain);
    // An answer that cannot be written is a failure like another, and the caller is told so.
    let payload = rpc
        .answer_payload(result)
        .or_else(|error| rpc.answer_payload(Err(&error)));
    if let Ok(payload) = payload {
        ticket.answered(payload, traceback);
    }
}

fn comes_again(error: &Error) -> bool {
    matches!(error.outcome(), Outcome::Requeue | Outcome::Defer(_)) || error.settlement().is_some()
}

impl<F> fmt::Debug for JournalFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JournalFuture")
            .field("open", &self.open)
            .finish_non_exhaustive()
    }
}
