//! How a failed handling is marked on a span.

use tidings_core::Error;
use tracing::Span;

/// Marks a span as failed. A span without these fields ignores it.
pub(crate) fn mark(span: &Span, error: &Error) {
    span.record("error.type", error.kind().as_str());
    span.record("otel.status_code", "ERROR");
}
