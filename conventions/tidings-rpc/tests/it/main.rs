//! The convention through its public API: what it declares, writes, reads and answers, byte for byte where the wire
//! gives bytes, and what it does with everything that it could be sent.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "clippy knows test functions, not what they call"
)]

mod answers;
mod keys;
mod opening;
mod paths;
mod properties;
mod redaction;
mod requests;
mod sampling;
mod sealing;
mod topology;
