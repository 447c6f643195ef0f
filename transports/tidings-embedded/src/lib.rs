//! RabbitMQ's topology model inside the process, in memory or durable in one file.

mod acker;
pub mod broker;
mod config;
pub mod envelope;
mod error;
mod journal;
mod link;
mod notation;
mod publisher;
mod session;
mod subscriber;
mod transport;

pub use crate::{
    config::{EmbeddedConfig, FileConfig, SyncMode},
    subscriber::LocalSubscriber,
    transport::Embedded,
};

/// The scheme of its URLs.
pub const SCHEME: &str = "embedded";
