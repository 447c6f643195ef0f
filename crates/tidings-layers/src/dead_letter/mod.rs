//! Moves a message that will not be tried again to its dead letters, with the reason.
//!
//! **What.** When the handling fails for good, that is when the plan of
//! [`Convention::recover`](tidings_core::convention::Convention::recover) ends the message's life, the layer publishes the copy
//! that the convention has made (it carries the `tidings-*` headers that say why), awaits the confirm and lets the
//! error carry the settlement [`Ack`](tidings_core::Settlement::Ack), so that the runtime acks the original. If the copy is not confirmed, the error asks for
//! [`Outcome::Requeue`](tidings_core::Outcome::Requeue): the message stays where it is. Where the broker itself moves what is
//! rejected, the settlement travels to the runtime in the error, as [`Error::settlement`](tidings_core::Error::settlement).
//! It counts [`DEAD_LETTERS`](tidings_core::metric::DEAD_LETTERS) by reason and logs the failure, whole chain, once, at ERROR.
//!
//! **Where.** Outside [`redeliver`](crate::redeliver), which takes what comes again and passes the rest outward, and for the
//! same reasons inside trace and metrics. It leaves alone what asks to be given back untouched: a broker that takes no
//! copies must not cost messages.
//!
//! **Cancellation.** As in [`redeliver`](crate::redeliver): a duplicate at worst.
//!
//! The convention is asked a second time here, so `recover` must answer alike for the same failure. If it does not,
//! the error goes outward undecided and the runtime gives the message back.
//!
//! ```
//! use std::sync::Arc;
//! use tidings_core::{convention::{Attachment, Convention}, transport::Publisher};
//! use tidings_layers::{DeadLetterLayer, Recovery, RedeliverLayer};
//!
//! fn layers(
//!     convention: Arc<dyn Convention>, place: Arc<Attachment>, out: Arc<dyn Publisher>,
//! ) -> (DeadLetterLayer, RedeliverLayer) {
//!     let recovery = Recovery::new(convention, place, out);
//!     (DeadLetterLayer::new(recovery.clone()), RedeliverLayer::new(recovery))
//! }
//! ```

mod layer;
mod service;

pub use self::{layer::DeadLetterLayer, service::DeadLetter};
