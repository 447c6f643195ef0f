//! Answers whoever waits: publishes the reply or the failure, and waits until the broker has it.
//!
//! **What.** When the handling has ended, [`Convention::answer`](tidings_core::convention::Convention::answer) says what
//! answers the delivery and where. The answer is published and its confirm awaited, unless the transport has a way on which
//! an answer is ahead of the ack anyway ([`Settle::answer`](tidings_core::acker::Settle::answer)), so that the runtime acks
//! only what has been answered: a crash between the two repeats the work and loses no answer. A failure that has been answered is
//! logged once, at WARN if the request was refused (it does not fit, a fault, no time, no room), at ERROR if something is
//! wrong here (any other error, a panic), stays an error for spans and metrics, and carries the settlement
//! [`Ack`](tidings_core::Settlement::Ack). An answer that nobody can receive any more is no failure. One that could not
//! be sent makes the request come again, unless the broker will never take it: then the caller is told of a failure.
//!
//! A request that comes again although it was answered here, because its ack was lost on the way, is answered again and not
//! handled again; so is one whose handler is still at work, when that is done. Only the last thousand or so are
//! remembered.
//!
//! What is left alone: a delivery that nobody waits for, one that is to be given back untouched, and one that is put off
//! to a time at which its caller still waits. Their failures go outward.
//!
//! **Where.** Inside [`redeliver`](crate::redeliver) and [`dead_letter`](crate::dead_letter), which deal with failures that
//! nobody was told of; outside [`retry`](crate::retry), so that only the last attempt is answered, and outside
//! `catch_panic`, so that a panic is answered, too.
//!
//! **Cancellation.** A dropped future leaves the request unsettled: it comes again, and may be answered twice.
//!
//! ```
//! use std::sync::Arc;
//! use tidings_core::{convention::Convention, transport::Publisher};
//! use tidings_layers::AnswerLayer;
//!
//! fn layer(convention: &Arc<dyn Convention>, out: &Arc<dyn Publisher>) -> AnswerLayer {
//!     AnswerLayer::new("web1".into(), convention, out)
//! }
//! ```

mod layer;
mod recent;
mod service;

pub use self::{
    layer::AnswerLayer,
    service::{Answer, Answering},
};
