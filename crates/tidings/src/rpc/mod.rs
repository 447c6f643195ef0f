//! Calls: one exchange for each action, one queue for each consumer, an answer for each request.
//!
//! * To ask: [`Client`], or [`blocking::Client`] in a program without a runtime.
//! * To serve: [`main`], or [`Program`] where handlers ask for state.
//! * Contracts and answers: [`Response`], [`Lock`], [`Violation`].
//! * Secrets on the wire: [`Keys`].

pub mod blocking;
mod client;
mod program;

#[doc(inline)]
pub use tidings_client::Calling;
#[doc(inline)]
pub use tidings_consumer::{self as consumer, Flags, Served};
#[doc(inline)]
pub use tidings_core::contract::{Lock, Response, Violation};
#[doc(inline)]
pub use tidings_rpc::{
    AbsolutePath, Caller, Keys, MASK, NotAPath, REFUSED, RelativePath, Rpc, UNEXPECTED, sample,
};

pub use self::{
    client::Client,
    program::{Built, Program, main},
};
