//! How a layer that deals with a failure lets the layers outside it know that there was one.
//!
//! `redeliver` and `dead_letter` answer `Ok` once a copy of the message is safe, because the original is then to
//! be acked. Trace and metrics must count a failure all the same. The span hears it through the current span;
//! metrics through a task-local cell, which costs no allocation (an entry in the call's extensions would).

use std::cell::Cell;

use tidings_core::{Error, ErrorKind};
use tokio::task::futures::TaskLocalFuture;
use tracing::Span;

tokio::task_local! {
    static FAILED: Cell<Option<ErrorKind>>;
}

/// A future beside a note of the failure that was dealt with inside it.
pub(crate) type Watched<F> = TaskLocalFuture<Cell<Option<ErrorKind>>, F>;

/// Lets [`note`] reach whoever polls this future.
pub(crate) fn watch<F: Future>(future: F) -> Watched<F> {
    FAILED.scope(Cell::new(None), future)
}

/// Tells the layers outside that the handling failed although they will see `Ok`.
pub(crate) fn note(error: &Error) {
    mark(&Span::current(), error);
    // Without a metrics layer around us there is nobody to tell.
    FAILED
        .try_with(|failed| failed.set(Some(error.kind())))
        .ok();
}

/// Marks a span as failed. A span without these fields ignores it.
pub(crate) fn mark(span: &Span, error: &Error) {
    span.record("error.type", error.kind().as_str());
    span.record("otel.status_code", "ERROR");
}
