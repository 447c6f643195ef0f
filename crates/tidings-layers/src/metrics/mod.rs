//! Counts and times every handling of a subscription.
//!
//! **What.** For each message: [`PROCESS_DURATION`](tidings_core::metric::PROCESS_DURATION) and
//! [`CONSUMED_MESSAGES`](tidings_core::metric::CONSUMED_MESSAGES), with `error.type` if the handling failed, and the gauge
//! [`IN_FLIGHT`](tidings_core::metric::IN_FLIGHT). A handling that failed counts as failed also where
//! [`redeliver`](crate::redeliver) or [`dead_letter`](crate::dead_letter) has made the message safe.
//! The subscription label and the destination are the queue.
//!
//! **Where.** Just inside [`trace`](crate::trace) and outside everything else: it sees the final result and the whole time, with all
//! attempts, all waiting for a place and the publishing of copies.
//!
//! **Cancellation.** Dropping the future takes the message out of the gauge and counts nothing else: a handling without an
//! end has neither a duration nor a result.
//!
//! **Cost.** The handles of the successful path are made once per subscription; the recorder must be installed before.
//! Those of a failure are looked up when it happens, since their label depends on it.
//!
//! ```
//! use tidings_layers::MetricsLayer;
//!
//! let layer = MetricsLayer::new("acme.registration.1.event.user_created.send_mail");
//! assert_eq!(layer.describe(), "metrics: duration, count and messages in flight");
//! ```

mod layer;
mod meters;
mod service;

pub use self::{
    layer::MetricsLayer,
    service::{Metrics, MetricsFuture},
};
