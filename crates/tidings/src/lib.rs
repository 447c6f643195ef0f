//! Typed events and commands for services that talk.
//!
//! A message is a type; a handler is an async function; a transport is a URL. What was confirmed is safe,
//! what failed comes again, what cannot succeed becomes a dead letter with its reason: by default.
//!
//! ```
//! use schemars::JsonSchema;
//! use serde::{Deserialize, Serialize};
//! use tidings::{Domain, Event, HandlerError, Router, Server};
//!
//! #[derive(Event, Serialize, Deserialize, JsonSchema)]
//! struct UserCreated {
//!     email: String,
//! }
//!
//! async fn send_mail(event: UserCreated) -> Result<(), HandlerError> {
//!     println!("welcome, {}", event.email);
//!     Ok(())
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> tidings::Result<()> {
//! let transport = tidings::open("embedded:").await?; // Or `embedded:mail.db`, to keep it.
//! let server = Server::builder(transport, Domain::new("acme", "registration")?)
//!     .start(Router::new().on("send_mail", send_mail))
//!     .await?;
//! server.client().publish(&UserCreated { email: "ada@example.com".into() }).await?;
//! # Ok(())
//! # }
//! ```
//!
//! | feature | default | what it brings |
//! |---|---|---|
//! | `domain` | yes | [`Domain`]: events and commands, one queue per subscriber, retries, dead letters, the store |
//! | `embedded` | yes | the broker in the process: `embedded:` in memory, `embedded:PATH` durable in one file |
//! | `testing` | no | the module `testing`: the real service in a test, in virtual time |

/// The guide, compiled.
#[cfg(all(doctest, feature = "testing"))]
#[doc = include_str!("../../../docs/guide.md")]
pub mod guide {}

#[cfg(feature = "testing")]
pub mod testing;
mod transports;

#[doc(inline)]
pub use tidings_client::{Client, Publishing, fallback};
#[doc(inline)]
pub use tidings_core::{
    Address, AnyMessage, Call, Command, Completion, Contract, Deadline, Envelope, Error, ErrorKind,
    Event, Fault, FaultCode, HandlerError, Headers, Kind, Metadata, Outcome, Payload, Reply,
    Result, Settlement,
    call::Origin,
    clock::{self, Timestamp},
    contract, convention, extract,
    handler_error::ResultExt,
    headers, metric,
    retry_policy::RetryPolicy,
    schema, tasks, topology, transport,
};
#[cfg(feature = "domain")]
#[doc(inline)]
pub use tidings_domain::{self as domain, Domain};
#[cfg(feature = "embedded")]
#[doc(inline)]
pub use tidings_embedded as embedded;
#[doc(inline)]
pub use tidings_layers as layers;
#[doc(inline)]
pub use tidings_router::{FromState, Handler, OrderKey, Router, State, Subscriber};
#[doc(inline)]
pub use tidings_server::{
    Drained, Health, Redriven, Running, Server, ServerBuilder, SubscriptionState, redrive,
};

pub use crate::transports::{open, transports};
