//! One line in the log for each request: exchange, correlation id, outcome, how long it took. Never a body.
//!
//! **Where.** Outermost of the layers that the program adds. What is refused before it gets that far, because it waited
//! too long for a lock or nobody could take it in, is logged by whoever refused it.
//!
//! **Cancellation.** A request that is dropped while it is being handled, because its time was up or the program ends, is
//! logged as `ended`.

mod layer;
mod service;

pub(crate) use self::layer::RequestLogLayer;
