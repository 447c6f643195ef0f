//! What children do.

pub(super) mod consumer;
pub(super) mod publisher;
pub(super) mod stopping;
