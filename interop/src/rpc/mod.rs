//! The chapter RPC: a consumer program, and a caller.

pub(crate) mod client;
mod handlers;
pub(crate) mod server;
