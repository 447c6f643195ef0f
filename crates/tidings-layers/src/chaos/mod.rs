//! Misbehaves on purpose, so that a system's tolerance of failures can be tried while it runs.
//!
//! **What.** In this order, as on the domain wire: with the probability [`nack`](ChaosConfig::nack) the message is given back untouched and the handler
//! not called; [`delay`](ChaosConfig::delay) is waited; with the probability [`failure`](ChaosConfig::failure) the handling fails without calling the handler.
//! Messages whose delivered routing key is [`protected`](ChaosConfig::protected) are delayed but neither given back nor failed.
//! Settings come from [`ChaosConfig::from_env`] or from code. [`PublishChaos`] is the counterpart for publishes.
//!
//! **Where.** Just outside the user's layers and inside everything of ours: what is simulated is a misbehaving handler, so retries,
//! redeliveries, time limits and dead letters must see it as one. The delay counts against the time limit of the attempt.
//!
//! **Cancellation.** Dropping the future drops the handling, or the delay before it.
//!
//! **Cost.** Off, a comparison of three numbers. A delay allocates.
//!
//! ```
//! use tidings_layers::{ChaosConfig, ChaosLayer};
//!
//! let config = ChaosConfig { failure: 0.25, ..ChaosConfig::default() };
//! let layer = ChaosLayer::new(config)?;
//! assert_eq!(layer.describe(), "chaos: nack 0, failure 0.25, delay 0ns, 0 protected keys");
//! # Ok::<(), tidings_core::Error>(())
//! ```

mod config;
mod layer;
mod publish;
mod service;

pub use self::{
    config::ChaosConfig,
    layer::ChaosLayer,
    publish::{ChaoticPublisher, PublishChaos},
    service::{Chaos, ChaosFuture},
};
