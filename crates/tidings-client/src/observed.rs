//! Counts and times what is published.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use metrics::{Counter, Histogram, counter, histogram};
use tidings_core::{
    Completion, Error, ErrorKind,
    error::Result,
    metric::{OPERATION_DURATION, SENT_MESSAGES, label},
};
use tokio::time::Instant;

/// The metrics of one client, looked up once.
pub(crate) struct Observed {
    sent: Counter,
    duration: Histogram,
}

impl Observed {
    pub(crate) fn new() -> Self {
        Self {
            sent: counter!(SENT_MESSAGES, label::OPERATION => "send"),
            duration: histogram!(OPERATION_DURATION, label::OPERATION => "send"),
        }
    }

    /// Follows a publish to its end.
    pub(crate) fn watch(self: &Arc<Self>, completion: Completion) -> Publishing {
        Publishing {
            completion,
            observed: Arc::clone(self),
            started: Instant::now(),
        }
    }

    fn ended(&self, result: &Result<()>, started: Instant) {
        match result {
            Ok(()) => self.sent.increment(1),
            Err(error) => count_failure(error.kind()),
        }
        self.duration.record(started.elapsed().as_secs_f64());
    }
}

fn count_failure(kind: ErrorKind) {
    counter!(SENT_MESSAGES, label::OPERATION => "send", label::ERROR => kind.as_str()).increment(1);
}

impl fmt::Debug for Observed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observed")
    }
}

/// A message that has been handed over; resolves once the broker has taken responsibility for it, or has not.
///
/// # Cancel safety
/// Dropping it gives up the answer, not the message.
#[must_use = "without awaiting it nobody knows whether the message is safe"]
#[derive(Debug)]
pub struct Publishing {
    completion: Completion,
    observed: Arc<Observed>,
    started: Instant,
}

impl Future for Publishing {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(Pin::new(&mut self.completion).poll(cx));
        self.observed.ended(&result, self.started);
        Poll::Ready(result)
    }
}
