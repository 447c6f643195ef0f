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
//! # Where to look
//!
//! | to | see |
//! |---|---|
//! | write a message | [`Event`](macro@Event), [`Command`](macro@Command), [`Request`](macro@Request), [`Contract`] |
//! | write a handler | [`Router`], [`Subscriber`], [`State`], [`Metadata`], [`HandlerError`] |
//! | let handlers register themselves | [`handler`](macro@handler), [`handlers_from`] |
//! | say how failures are treated | [`RetryPolicy`], [`Outcome`], [`redrive`] |
//! | run handlers | [`Server`], [`server::ServerBuilder`], [`Running`], [`Health`] |
//! | publish | [`Client`], [`fallback`] |
//! | ask for an action and get an answer, or serve such calls | [`Request`](macro@Request), the module `rpc` |
//! | exclude requests across processes, remember answers | [`lock`], [`reply_store`], the module `stores` |
//! | choose names and TTLs of queues | [`Domain`], [`domain`] |
//! | choose where messages live | [`open`], [`embedded`] |
//! | test | the module `testing` |
//! | extend | [`extract`], [`layers`], [`convention`], [`transport`] |
//!
//! The root holds what most services name; everything else is in the modules. The last row of the table is for
//! those who implement something: it may change in minor versions before 1.0. The guide, page by page, is in the
//! repository under `docs/guide/`.
//!
//! # Features
//!
//! | feature | default | what it brings |
//! |---|---|---|
//! | `domain` | yes | [`Domain`]: events and commands, one queue per subscriber, retries, dead letters, the store |
//! | `embedded` | yes | the broker in the process: `embedded:` in memory, `embedded:PATH` durable in one file |
//! | `rabbitmq` | no | the module `rabbitmq`: `amqp:` and `amqps:` |
//! | `rpc` | no | the module `rpc`: calls, one exchange for each action; a client, and the program that serves |
//! | `probes` | with `rpc` | [`server::Probes`]: health checks over HTTP |
//! | `postgres`, `sqlite` | no | the module `stores`: locks that several processes share, and replies that are remembered |
//! | `testing` | no | the module `testing`: the real service in a test, in virtual time |

mod pages;
#[cfg(feature = "rpc")]
pub mod rpc;
#[cfg(feature = "testing")]
pub mod testing;
mod transports;

#[doc(inline)]
pub use tidings_client::{Client, Publishing, fallback};
#[doc(inline)]
pub use tidings_core::{
    Address, AnyMessage, Call, Command, Contract, Deadline, Envelope, Error, ErrorKind, Event,
    Fault, FaultCode, HandlerError, Headers, Kind, Metadata, Outcome, Reply, Request, Result,
    Settlement, call::Origin, clock, contract, handler, handler_error::ResultExt, headers, lock,
    metric, reply_store, retry_policy::RetryPolicy, schema, tasks, topology,
};
// The traits; the derives of the same names are above.
#[doc(inline)]
pub use tidings_core::contract::{Command, Event, Request};
#[cfg(feature = "domain")]
#[doc(inline)]
pub use tidings_domain::{self as domain, Domain};
#[cfg(feature = "embedded")]
#[doc(inline)]
pub use tidings_embedded as embedded;
#[doc(inline)]
pub use tidings_layers as layers;
#[cfg(feature = "rabbitmq")]
#[doc(inline)]
pub use tidings_rabbitmq as rabbitmq;
#[doc(inline)]
pub use tidings_router::{
    FromState, OrderKey, Router, State, States, Subscriber, handlers_from, registry,
};
#[doc(inline)]
pub use tidings_server::{self as server, Health, Running, Server, redrive};
#[cfg(any(feature = "postgres", feature = "sqlite"))]
#[doc(inline)]
pub use tidings_stores as stores;

pub use crate::transports::{open, transports};

/// What a handler may ask for and return; write an extractor of your own with [`FromCall`](extract::FromCall).
pub mod extract {
    #[doc(inline)]
    pub use tidings_core::{
        extensions::Extensions,
        extract::{FromCall, Scope},
        message::FromMessage,
    };
    #[doc(inline)]
    pub use tidings_router::{Handler, Respond};
}

/// How messages are named, wrapped and retried, apart from what carries them: the trait to implement for a wire of your own.
///
/// [`Domain`] is such a convention. One runs over every transport whose capabilities suffice.
pub mod convention {
    #[doc(inline)]
    pub use tidings_core::{
        codec::Format,
        convention::{Attachment, Convention, Failed, Fate, Interest, Opened, Outgoing, Plan},
    };
}

/// The way in and out: what to implement for a broker of your own, and what its messages are made of.
///
/// Copy `transports/tidings-embedded` of the repository, keep its file names, and run the conformance suite of
/// `tidings-testkit` until it is green. [`transports`] takes the scheme of its URLs.
pub mod transport {
    #[doc(inline)]
    pub use tidings_core::{
        Acker, Completion, Delivery, Payload, Properties,
        acker::Settle,
        call::Message,
        properties::Fields,
        transport::{
            BoxFuture, Capabilities, Capability, Impairment, Inbox, Publisher, QueueStatus, Rates,
            Registry, Subscriber, Subscription, Transport, redact,
        },
    };
}
