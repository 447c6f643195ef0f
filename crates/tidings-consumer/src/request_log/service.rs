//! Hands each call on, and logs how it ended.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tidings_core::{Call, Error, Reply, error::Result};
use tokio::time::Instant;
use tower_service::Service;
use tracing::info;

/// See [the module](super).
#[derive(Clone, Debug)]
pub(crate) struct RequestLog<S> {
    inner: S,
}

impl<S> RequestLog<S> {
    pub(super) fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S: Service<Call, Response = Reply, Error = Error>> Service<Call> for RequestLog<S> {
    type Response = Reply;
    type Error = Error;
    type Future = Logged<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let line = Line {
            exchange: Arc::clone(&call.address.exchange),
            correlation_id: call.envelope.properties.correlation_id().cloned(),
            since: Instant::now(),
            is_written: false,
        };
        Logged {
            future: self.inner.call(call),
            line,
        }
    }
}

pin_project! {
    /// The future of [`RequestLog`].
    pub(crate) struct Logged<F> {
        #[pin]
        future: F,
        line: Line,
    }
}

impl<F: Future<Output = Result<Reply>>> Future for Logged<F> {
    type Output = Result<Reply>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.future.poll(cx));
        let outcome = result
            .as_ref()
            .map_or_else(|error| error.kind().as_str(), |_| "ok");
        this.line.write(outcome);
        Poll::Ready(result)
    }
}

/// What the line about a request says.
struct Line {
    exchange: Arc<str>,
    correlation_id: Option<Arc<str>>,
    since: Instant,
    is_written: bool,
}

impl Line {
    fn write(&mut self, outcome: &str) {
        self.is_written = true;
        let milliseconds = self.since.elapsed().as_micros() as f64 / 1_000.0;
        info!(
            target: "tidings::rpc",
            exchange = &*self.exchange,
            correlation_id = self.correlation_id.as_deref().unwrap_or("-"),
            outcome,
            milliseconds,
            "request"
        );
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if !self.is_written {
            self.write("ended");
        }
    }
}
