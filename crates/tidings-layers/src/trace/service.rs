//! Opens the span, runs the handling inside it, and logs what nobody has logged.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tidings_core::{Call, Error, Outcome, Reply, error::Result};
use tower_service::Service;
use tracing::{Instrument, Span, error, field::Empty, info_span, instrument::Instrumented, warn};

use crate::failure;

/// See [the module](super).
#[derive(Clone, Debug)]
pub struct Trace<S> {
    inner: S,
}

impl<S> Trace<S> {
    pub(super) fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S: Service<Call, Response = Reply, Error = Error>> Service<Call> for Trace<S> {
    type Response = Reply;
    type Error = Error;
    type Future = TraceFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, call: Call) -> Self::Future {
        let span = span_of(&call);
        // Layers may do their work in `call` already, so that belongs into the span as well.
        let future = span.in_scope(|| self.inner.call(call));
        TraceFuture {
            future: future.instrument(span),
        }
    }
}

pin_project! {
    /// The future of [`Trace`].
    #[derive(Debug)]
    pub struct TraceFuture<F> {
        #[pin]
        future: Instrumented<F>,
    }
}

impl<F: Future<Output = Result<Reply>>> Future for TraceFuture<F> {
    type Output = Result<Reply>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut future = self.project().future;
        let result = ready!(future.as_mut().poll(cx));
        if let Err(error) = &result {
            let span = future.span();
            failure::mark(span, error);
            span.in_scope(|| log(error));
        }
        Poll::Ready(result)
    }
}

fn span_of(call: &Call) -> Span {
    let envelope = &call.envelope;
    info_span!(
        "process",
        otel.name = %format_args!("process {}", destination(call)),
        otel.kind = "consumer",
        otel.status_code = Empty,
        error.type = Empty,
        messaging.operation.type = "process",
        messaging.operation.name = "process",
        messaging.destination.name = destination(call),
        messaging.message.id = envelope.properties.message_id().map(AsRef::<str>::as_ref),
        messaging.message.body.size = envelope.payload.len(),
    )
}

/// The queue it came out of; for a call that was never delivered, the key it is addressed to.
fn destination(call: &Call) -> &str {
    call.origin
        .as_ref()
        .map_or(&call.address.key, |origin| &origin.queue)
}

/// Logs the whole chain, unless whoever decided what becomes of the message has done so.
fn log(error: &Error) {
    if error.settlement().is_some() {
        return;
    }
    let kind = error.kind().as_str();
    match error.outcome() {
        Outcome::Fatal => {
            error!(error.type = kind, error = error.chain(), "handling failed for good");
        }
        _ => warn!(error.type = kind, error = error.chain(), "handling failed"),
    }
}
