//! Answers a request that comes again with the answer that it got before.
//!
//! **What.** For the contracts that ask for it, the first delivery of a request is handled and its reply is kept in a
//! [`ReplyStore`](tidings_core::reply_store::ReplyStore), by the exchange and the correlation id of the request. A
//! second delivery gets the kept payload, byte by byte, and the handler does not run. One that comes while the first is
//! being handled waits for it. Only replies are kept: what failed is handled again, and so is a request without a
//! correlation id. Headers of a reply are not kept.
//!
//! **Where.** Innermost, just around the handler and inside [`timeout`](crate::timeout): a handler that is cut off or
//! panics has not answered. The reply is kept before it is published, so that a crash in between loses neither.
//!
//! **What it cannot do.** A process that dies after the handler's work and before the reply is kept leaves no trace of
//! it, and the request is handled again. A handler for which that is not good enough keeps the request's id in the same
//! transaction as its work.
//!
//! **When the store fails.** A request that cannot be looked up is not handled: that is what the contract asked for. It
//! fails with [`ErrorKind::Unavailable`](tidings_core::ErrorKind::Unavailable), which asks for another attempt. A reply
//! that cannot be kept is sent all the same, and logged.
//!
//! **Secrets.** Replies are kept as they are sent. Whoever can read the store can read them, and whoever may publish
//! requests can have the answer to any request whose correlation id they know.
//!
//! **Cancellation.** Dropping the future before the reply is known gives the request back; afterwards the reply is kept
//! anyway.
//!
//! **Cost.** Nothing but a look at a map for contracts that do not ask; one allocated future and what the store costs for
//! those that do. A second delivery that waits keeps its place in [`concurrency`](crate::concurrency).
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//! use tidings_core::reply_store::MemoryReplies;
//! use tidings_layers::IdempotencyLayer;
//!
//! let layer = IdempotencyLayer::new(Arc::new(MemoryReplies::new()))
//!     .remember("create_site", Duration::from_secs(600));
//! assert_eq!(layer.describe(), "idempotency: replies of 1 exchange are remembered");
//! ```

mod layer;
mod service;

pub use self::{
    layer::IdempotencyLayer,
    service::{Idempotency, IdempotencyFuture},
};
