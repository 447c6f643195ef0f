//! The runtime: it connects a router to a transport by a convention, and keeps it running.
//!
//! Read in this order: [`server`](Server) starts and drains, `worker` pulls and handles, `stack` lists the
//! layers, `settle` ends every error. This crate names no concrete transport and no convention: both come as
//! values.

mod backoff;
mod builder;
mod control;
mod declaring;
mod health;
mod intake;
mod order;
mod outage;
mod policy;
#[cfg(feature = "probes")]
mod probes;
mod redrive;
mod refusal;
mod room;
mod server;
mod settle;
mod signals;
mod stack;
mod usher;
mod worker;

#[cfg(feature = "probes")]
#[doc(inline)]
pub use crate::probes::Probes;
#[doc(inline)]
pub use crate::{
    builder::ServerBuilder,
    health::{Health, SubscriptionHealth, SubscriptionState},
    redrive::{Redriven, redrive},
    server::{Drained, Running, Server},
    signals::Signals,
};
