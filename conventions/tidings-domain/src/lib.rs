//! Events and commands: one queue for each subscriber, retries with a delay, dead letters that say why, a store of everything.
//!
//! ```
//! use tidings_core::{Kind, codec::Format, convention::{Convention, Outgoing}};
//! use tidings_domain::Domain;
//!
//! let domain = Domain::new("acme", "registration")?;
//! let call = domain.seal(&Outgoing {
//!     name: "user.created",
//!     version: 1,
//!     kind: Kind::Event,
//!     id: None,
//!     occurred_at: None,
//!     meta: &serde_json::Map::new(),
//!     secrets: &[],
//!     body: &|format: Format, out: &mut Vec<u8>| format.encode(&serde_json::json!({"user_id": 7}), out),
//! })?;
//! assert_eq!(call.address.to_string(), "acme.registration/acme.registration.1.event.user_created");
//! # Ok::<_, tidings_core::Error>(())
//! ```
//!
#![doc = include_str!("docs.md")]

mod builder;
mod configurer;
mod desk;
mod domain;
mod environment;
mod glob;
mod host;
mod message;
pub mod names;
mod place;
mod queue_config;
mod recover;
mod redrive;
mod refusal;
mod topology;

pub use crate::{
    builder::DomainBuilder,
    configurer::{ClearBefore, Cleared, Configurer},
    domain::Domain,
    environment::Environment,
    message::{DEEPEST, format, format_time, parse_time},
    queue_config::{DEFAULT_RETRY_TTL, QueueConfig, QueueRule, WIRE_MAIN_TTL},
    recover::{BAD_COUNT, FATAL, MAX_RETRIES, redelivery_count},
    redrive::{forget_failures, redrive, requeue},
};
