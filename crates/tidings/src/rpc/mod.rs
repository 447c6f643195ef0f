//! Calls: one exchange for each action, one queue for each consumer, an answer for each request.
//!
//! * To ask: [`Client`], or [`blocking::Client`] in a program without a runtime.
//! * Contracts and answers: [`Response`], [`Lock`], [`Violation`].
//! * Secrets on the wire: [`Keys`].

pub mod blocking;
mod client;

#[doc(inline)]
pub use tidings_client::Calling;
#[doc(inline)]
pub use tidings_core::contract::{Lock, Response, Violation};
#[doc(inline)]
pub use tidings_rpc::{Caller, Keys, MASK, REFUSED, Rpc, UNEXPECTED};

pub use self::client::Client;
