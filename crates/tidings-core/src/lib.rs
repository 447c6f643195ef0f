//! The words of Tidings: what every other crate speaks, and nothing that opens a socket or a file.
//!
//! Modules are listed in the order in which a message meets them.
//! Two audiences read this crate:
//!
//! * **Use**: [`Contract`], [`Call`], [`Reply`], [`Fault`], [`HandlerError`], [`Metadata`]. Stable; users import them from `tidings`.
//! * **Implement**: [`Transport`](transport::Transport), [`Convention`](convention::Convention),
//!   [`Settle`](acker::Settle). They may change in minor versions before 1.0.
//!
//! This crate deliberately knows no broker, no naming scheme and no policy: those are
//! `transports/`, `conventions/` and `tidings-layers`.

// What a message means.
pub mod contract;
pub mod message;
pub mod metadata;
pub mod schema;

// What a message is made of.
pub mod address;
pub mod envelope;
pub mod headers;
pub mod payload;
pub mod properties;

// What happens to it.
pub mod acker;
pub mod call;
pub mod codec;
pub mod completion;
pub mod convention;
pub mod delivery;
pub mod error;
pub mod fault;
pub mod handler_error;
pub mod outcome;
pub mod reply;
pub mod reply_store;
pub mod respond;
pub mod retry_policy;

// What carries it.
pub mod topology;
pub mod transport;

// What the crates above share.
pub mod clock;
pub mod deadline;
pub mod extensions;
pub mod extract;
pub mod lock;
pub mod metric;
pub mod tasks;

#[doc(inline)]
pub use crate::{
    acker::{Acker, Settlement},
    address::Address,
    call::Call,
    completion::Completion,
    contract::{Contract, ContractInfo, Kind},
    deadline::Deadline,
    delivery::Delivery,
    envelope::Envelope,
    error::{Error, ErrorKind, Result},
    fault::{Fault, FaultCode},
    handler_error::HandlerError,
    headers::{HeaderValue, Headers},
    message::AnyMessage,
    metadata::Metadata,
    outcome::Outcome,
    payload::Payload,
    properties::Properties,
    reply::Reply,
};

pub use tidings_macros::{Command, Event, Request, handler};
