//! Tries again at once, or nearly so, within one delivery.
//!
//! **What.** An attempt that fails with [`Outcome::Retry`](tidings_core::Outcome::Retry) is repeated up to the configured number of times. The
//! wait before each doubles up to a maximum, and a random share of it is waited ("full jitter"), so that a crowd of failures
//! does not come back as a crowd. Other outcomes end it at once, and so does a deadline that would pass during the wait.
//! Every attempt but the first counts as [`RETRIES`](tidings_core::metric::RETRIES); the failure before it is logged at WARN.
//!
//! **Where.** Inside [`redeliver`](crate::redeliver): the broker brings a message back only after the attempts here have
//! failed, and the wire's own count of attempts knows nothing of them. Each attempt passes everything below: it takes
//! a place, has the whole time limit, meets chaos.
//!
//! It is off unless configured. Waiting occupies the worker's place, so it is for faults of milliseconds to a few seconds;
//! anything longer is the business of a redelivery.
//!
//! **Cancellation.** Dropping the future drops the attempt under way or the wait before the next.
//!
//! **Cost.** Off, nothing: no clone, no timer. On, a clone of the call and of the service for each message.
//!
//! ```
//! use std::time::Duration;
//! use tidings_layers::{RetryConfig, RetryLayer};
//!
//! let config = RetryConfig::new(3).with_backoff(Duration::from_millis(50), Duration::from_secs(1));
//! let layer = RetryLayer::new("acme.registration.1.event.user_created.send_mail", config);
//! assert_eq!(layer.describe(), "retry: up to 3 more attempts within a delivery, waits of up to 50ms, doubling to 1s");
//! ```

mod config;
mod layer;
mod service;

pub use self::{
    config::RetryConfig,
    layer::RetryLayer,
    service::{Retry, RetryFuture},
};
