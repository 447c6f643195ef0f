//! Bounds how many handlings run at a time, over all services that one layer has made and their clones.
//!
//! **What.** Each attempt takes a place and gives it back when it ends. Without a free place it waits its turn, first come,
//! first served, at most until the call's deadline; then it fails with [`ErrorKind::Timeout`](tidings_core::ErrorKind::Timeout).
//! A worker bounds its own subscription already; this layer is for a bound that several subscriptions share, for
//! example because they use one database.
//!
//! **Where.** Inside [`retry`](crate::retry): a place is held per attempt and never while waiting for the next one. Outside
//! [`timeout`](crate::timeout): waiting does not use up the handler's time.
//!
//! **Cancellation.** Dropping the future gives the place back, or leaves the line.
//!
//! **Cost.** A free place costs a few atomic operations; only having to wait allocates. Unlimited, nothing.
//!
//! ```
//! use tidings_layers::ConcurrencyLayer;
//!
//! let layer = ConcurrencyLayer::new(8);
//! assert_eq!(layer.describe(), "concurrency: at most 8 at a time");
//! ```

mod layer;
mod service;

pub use self::{
    layer::ConcurrencyLayer,
    service::{Concurrency, ConcurrencyFuture},
};
