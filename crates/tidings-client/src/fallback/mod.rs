//! What happens to a publish while the broker is away: it is kept, and replayed when the broker is back.

use std::fmt;

use tidings_core::{
    Call, Completion,
    error::Result,
    transport::{BoxFuture, Publisher},
};

/// A place that keeps calls until they can be published.
pub trait Spool: fmt::Debug + Send + Sync + 'static {
    /// Keeps a call. The completion resolves once it survives a crash.
    fn store(&self, call: Call) -> Completion;

    /// Publishes what is kept, oldest first, and forgets each call only after its confirm. Returns how many.
    ///
    /// # Errors
    /// The first failed publish; what was not confirmed stays kept.
    fn replay<'a>(&'a self, to: &'a dyn Publisher) -> BoxFuture<'a, Result<u64>>;
}
