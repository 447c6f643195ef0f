//! The consumer program from outside.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "clippy knows test functions, not what they call"
)]

mod journal;
mod log_server;
mod probing;
mod program;
