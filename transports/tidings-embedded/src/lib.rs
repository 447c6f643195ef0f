//! RabbitMQ's topology model inside the process, in memory or durable in one file.

mod acker;
pub mod broker;
pub mod envelope;
mod error;
mod journal;
mod link;
mod publisher;
mod subscriber;
mod transport;

pub use crate::{subscriber::LocalSubscriber, transport::Embedded};

/// The scheme of its URLs.
pub const SCHEME: &str = "embedded";
