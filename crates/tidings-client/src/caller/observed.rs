//! Counts and times calls.

use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use tidings_core::{
    ErrorKind,
    metric::{CALL_DURATION, PENDING_CALLS, UNEXPECTED_REPLIES, label},
};

/// The metrics that all calls share, looked up once.
#[derive(Debug)]
pub(super) struct Observed {
    pub(super) pending: Gauge,
    pub(super) unexpected: Counter,
}

impl Observed {
    pub(super) fn new() -> Self {
        Self {
            pending: gauge!(PENDING_CALLS),
            unexpected: counter!(UNEXPECTED_REPLIES),
        }
    }
}

/// How long calls of this name take that are answered.
pub(super) fn answered(name: &str) -> Histogram {
    histogram!(CALL_DURATION, label::DESTINATION => name.to_owned())
}

/// A call of this name has failed after so long.
pub(super) fn failed(name: &str, kind: ErrorKind, after: Duration) {
    histogram!(CALL_DURATION, label::DESTINATION => name.to_owned(), label::ERROR => kind.as_str())
        .record(after.as_secs_f64());
}
