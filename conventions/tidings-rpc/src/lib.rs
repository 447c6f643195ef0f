//! Calls: one exchange for each action, one queue for each consumer, and a reply through the exchange of the request.
//!
//! ```
//! use tidings_core::{Kind, codec::Format, convention::{Convention, Outgoing}};
//! use tidings_rpc::Rpc;
//!
//! let rpc = Rpc::new("web1")?;
//! let call = rpc.seal(&Outgoing {
//!     name: "create_site",
//!     version: 1,
//!     kind: Kind::Call,
//!     id: None,
//!     occurred_at: None,
//!     meta: &serde_json::Map::new(),
//!     secrets: &[],
//!     body: &|format: Format, out: &mut Vec<u8>| format.encode(&serde_json::json!({"domain": "example.com"}), out),
//! })?;
//! assert_eq!(call.address.to_string(), "create_site/web1");
//! # Ok::<_, tidings_core::Error>(())
//! ```
#![doc = include_str!("docs.md")]

mod answer;
mod caller;
mod fault;
mod keys;
mod members;
mod path;
mod redact;
mod rpc;
pub mod sample;
mod secrecy;
mod secrets;

pub use crate::{
    answer::{REFUSED, UNEXPECTED},
    caller::Caller,
    keys::Keys,
    path::{AbsolutePath, NotAPath, RelativePath},
    redact::MASK,
    rpc::Rpc,
};
