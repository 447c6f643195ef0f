//! RabbitMQ, through connections that are supervised.
//!
#![doc = include_str!("docs.md")]
//!
//! # The code
//!
//! [`RabbitMq`] is the transport. Everything that speaks AMQP runs on one thread of its own (`connection`), in two
//! supervised connections. `publishing` keeps every publish until it is confirmed, `consuming` keeps consumers
//! alive and gathers acks, `declaring` compares, declares and remembers topologies, `management` asks the broker's HTTP API
//! for what AMQP cannot see.

mod acker;
mod config;
mod connection;
mod consuming;
mod declaring;
mod envelope;
mod environment;
mod error;
mod management;
mod notation;
mod publisher;
mod publishing;
mod secret;
mod subscriber;
mod transport;
mod url;

pub use crate::{
    config::{AuthMechanism, CertificateFiles, QueueType, RabbitMqConfig, TlsConfig},
    management::ManagementUrl,
    secret::Secret,
    transport::RabbitMq,
};

/// The scheme of its URLs.
pub const SCHEME: &str = "amqp";
/// The scheme of its URLs over TLS.
pub const TLS_SCHEME: &str = "amqps";
