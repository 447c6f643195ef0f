//! Policies as tower layers over `Service<Call, Response = Reply, Error = Error>`, one folder each.
//!
//! Modules are listed in the order of the default stack, outermost first; `tidings-server` builds that stack
//! in one list. Every folder has the same face: `mod.rs` says what the layer does, where it stands and why,
//! and what a dropped future leaves behind; `layer.rs` wraps, `service.rs` works, `config.rs` holds settings.
//!
//! Every service is cheap to clone (its settings are copied or shared) and its future is written by hand:
//! no layer allocates for a message that is handled at the first attempt, except that a layer which may
//! need the message again keeps a clone of the call, and cloning headers or properties allocates if it has any.
//!
//! This crate deliberately knows no router and no transport: a publisher reaches it as a value of core.

pub mod trace;

pub mod metrics;

pub mod dead_letter;
pub mod redeliver;

pub mod answer;

pub mod retry;

pub mod concurrency;
pub mod timeout;

pub mod chaos;

pub mod catch_panic;

pub mod idempotency;

// What several layers share.
mod chance;
mod failure;
mod forward;
mod recovery;

#[doc(inline)]
pub use crate::{
    answer::{Answer, AnswerLayer, Answering},
    catch_panic::{CatchPanic, CatchPanicLayer},
    chaos::{Chaos, ChaosConfig, ChaosLayer, ChaoticPublisher, PublishChaos},
    concurrency::{Concurrency, ConcurrencyLayer},
    dead_letter::{DeadLetter, DeadLetterLayer},
    forward::Recovering,
    idempotency::{Idempotency, IdempotencyFuture, IdempotencyLayer},
    metrics::{Metrics, MetricsLayer},
    recovery::Recovery,
    redeliver::{Redeliver, RedeliverLayer},
    retry::{Retry, RetryConfig, RetryLayer},
    timeout::{Timeout, TimeoutLayer},
    trace::{Trace, TraceLayer},
};
