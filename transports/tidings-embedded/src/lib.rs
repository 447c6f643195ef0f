//! A broker in the process: in memory, or durable in one file that several processes share.
//!
#![doc = include_str!("docs.md")]
//!
//! # The code
//!
//! [`Embedded`] is the transport. In memory it uses the [`broker`] directly through a `session`; with a file it uses
//! the `link`, which runs the broker in this process or reaches it in another. The broker hands what must survive
//! to the `journal`, a thread that writes it to the file. [`envelope`] turns calls into bytes for both, in the
//! `notation` of that name.

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
