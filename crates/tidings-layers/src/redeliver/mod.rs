//! Brings a failed message back: later, elsewhere or at once, as its convention says.
//!
//! **What.** When the handling fails, the layer asks [`Convention::recover`](tidings_core::convention::Convention::recover)
//! what is to become of the message, and carries out every plan after which it comes again:
//!
//! * a copy to be forwarded is published and its confirm awaited; then the error carries the settlement
//!   [`Ack`](tidings_core::Settlement::Ack), so that the runtime acks the original. If the copy is not confirmed, the error asks for [`Outcome::Requeue`](tidings_core::Outcome::Requeue);
//! * a wanted settlement travels to the runtime in the error, as [`Error::settlement`](tidings_core::Error::settlement).
//!
//! An error whose plan ends the message's life goes outward, to [`dead_letter`](crate::dead_letter).
//! It counts [`REDELIVERIES`](tidings_core::metric::REDELIVERIES) and logs the failure, whole chain, once, at WARN.
//!
//! **Where.** Outside [`retry`](crate::retry), so that a redelivery happens only after all attempts within the delivery
//! have failed; inside [`dead_letter`](crate::dead_letter), which takes what this layer will not bring back; inside trace and
//! metrics, which see the failure although the message is safe.
//!
//! **Cancellation.** A dropped future leaves the original unsettled: it comes again. A copy that was already
//! handed over arrives too. That is a duplicate, never a loss.
//!
//! **Waiting.** The confirm is awaited without a limit of its own: while the broker takes nothing, the worker takes
//! nothing new, which is the back-pressure that is wanted then.
//!
//! ```
//! use std::sync::Arc;
//! use tidings_core::{convention::{Attachment, Convention}, transport::Publisher};
//! use tidings_layers::{Recovery, RedeliverLayer};
//!
//! fn layer(convention: Arc<dyn Convention>, place: Arc<Attachment>, out: Arc<dyn Publisher>) -> RedeliverLayer {
//!     RedeliverLayer::new(Recovery::new(convention, place, out).with_delayed_nack(true))
//! }
//! ```

mod layer;
mod service;

pub use self::{layer::RedeliverLayer, service::Redeliver};
