//! The domain convention through its public API: against what existing systems were measured to do, and
//! against everything that they could be sent.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy knows test functions, not what they call"
)]

mod attach;
mod captures;
mod decode;
mod encode;
mod failing;
mod failure;
mod golden;
mod naming;
mod policy;
mod properties;
mod queue_config;
mod redrive;
mod refusal;
mod routing;
mod topology;
