//! RabbitMQ's topology model inside the process, in memory or durable in one file.

pub mod broker;
pub mod envelope;
mod link;
mod subscriber;

pub use crate::subscriber::LocalSubscriber;
