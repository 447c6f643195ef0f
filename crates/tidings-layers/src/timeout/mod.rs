//! Bounds one attempt in time.
//!
//! **What.** An attempt ends at the call's deadline or after the configured limit, whichever is earlier, with
//! [`ErrorKind::Timeout`](tidings_core::ErrorKind::Timeout). The call's deadline is set to that instant, so that the handler can read how long it
//! has and pass it on. A call whose deadline has passed already is refused without running the handler: nobody waits for it.
//!
//! **Where.** Inside [`retry`](crate::retry), since it bounds an attempt and not all of them together; inside
//! [`concurrency`](crate::concurrency), so that waiting for a place does not use up the handler's time.
//!
//! **Cancellation.** When the time is over, the handling is dropped at its next `.await`, before the error is returned.
//! A handler that blocks its thread cannot be bounded by anybody.
//!
//! **Cost.** One look at the clock. A timer is made only once the handler has to wait for something.
//!
//! ```
//! use std::time::Duration;
//! use tidings_layers::TimeoutLayer;
//!
//! let layer = TimeoutLayer::new(Duration::from_secs(30));
//! assert_eq!(layer.describe(), "timeout: 30s for one attempt, or the call's deadline if that is earlier");
//! ```

mod layer;
mod service;

pub use self::{
    layer::TimeoutLayer,
    service::{Timeout, TimeoutFuture},
};
