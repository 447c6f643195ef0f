//! Counts and times what is published, and gives each publish a span with OpenTelemetry's messaging names.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use metrics::{Counter, Histogram, counter, histogram};
use tidings_core::{
    Address, Call, Completion, Error, ErrorKind,
    error::Result,
    metric::{OPERATION_DURATION, SENT_MESSAGES, label},
    transport::Publisher,
};
use tokio::time::Instant;
use tracing::{Span, field::Empty, info_span};

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

    /// Hands a sealed call over and follows it to its end.
    pub(crate) fn publish(self: &Arc<Self>, call: Call, through: &dyn Publisher) -> Publishing {
        let span = span_of(&call);
        let completion = span.in_scope(|| through.publish(call));
        self.watch(completion, span)
    }

    /// A call that could not be sealed.
    pub(crate) fn refuse(self: &Arc<Self>, error: Error) -> Publishing {
        self.watch(Completion::ready(Err(error)), Span::none())
    }

    fn watch(self: &Arc<Self>, completion: Completion, span: Span) -> Publishing {
        Publishing {
            completion,
            observed: Arc::clone(self),
            started: Instant::now(),
            span,
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

fn span_of(call: &Call) -> Span {
    let (address, envelope) = (&call.address, &call.envelope);
    info_span!(
        "send",
        otel.name = %format_args!("send {}", destination(address)),
        otel.kind = "producer",
        otel.status_code = Empty,
        error.type = Empty,
        messaging.operation.type = "send",
        messaging.operation.name = "send",
        messaging.destination.name = destination(address),
        messaging.message.id = envelope.properties.message_id().map(AsRef::<str>::as_ref),
        messaging.message.body.size = envelope.payload.len(),
    )
}

/// The exchange, or the queue that is addressed directly.
fn destination(address: &Address) -> &str {
    if address.is_queue() {
        &address.key
    } else {
        &address.exchange
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
    span: Span,
}

impl Future for Publishing {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(Pin::new(&mut self.completion).poll(cx));
        self.observed.ended(&result, self.started);
        if let Err(error) = &result {
            self.span.record("error.type", error.kind().as_str());
            self.span.record("otel.status_code", "ERROR");
        }
        Poll::Ready(result)
    }
}
