//! Starts the watch, keeps the message in the gauge, and counts the result.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tidings_core::{Call, Error, Reply, error::Result};
use tokio::time::Instant;
use tower_service::Service;

use super::meters::{InFlight, Meters};

/// See [the module](super).
#[derive(Clone, Debug)]
pub struct Metrics<S> {
    inner: S,
    meters: Arc<Meters>,
}

impl<S> Metrics<S> {
    pub(super) fn new(inner: S, meters: Arc<Meters>) -> Self {
        Self { inner, meters }
    }
}

impl<S: Service<Call, Response = Reply, Error = Error>> Service<Call> for Metrics<S> {
    type Response = Reply;
    type Error = Error;
    type Future = MetricsFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, call: Call) -> Self::Future {
        let started = Instant::now();
        let in_flight = InFlight::enter(Arc::clone(&self.meters));
        MetricsFuture {
            future: self.inner.call(call),
            started,
            in_flight: Some(in_flight),
        }
    }
}

pin_project! {
    /// The future of [`Metrics`].
    #[derive(Debug)]
    pub struct MetricsFuture<F> {
        #[pin]
        future: F,
        started: Instant,
        in_flight: Option<InFlight>,
    }
}

impl<F: Future<Output = Result<Reply>>> Future for MetricsFuture<F> {
    type Output = Result<Reply>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.future.poll(cx));
        let failed = result.as_ref().err().map(Error::kind);
        if let Some(in_flight) = this.in_flight.take() {
            in_flight.meters().ended(this.started.elapsed(), failed);
        }
        Poll::Ready(result)
    }
}
