//! RabbitMQ, through connections that are supervised.
//!
#![doc = include_str!("docs.md")]

/// The scheme of its URLs; `amqps` is the same over TLS.
pub const SCHEME: &str = "amqp";
