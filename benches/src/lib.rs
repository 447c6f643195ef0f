//! What the benchmarks share: their command line, how they wait for handlers, their watch, their Python peers, and how
//! they speak to who watches and to who reads.
//!
//! Each benchmark is a binary that knows by itself what it compares.

pub mod command;
pub mod latch;
pub mod progress;
pub mod spread;
pub mod table;
pub mod venv;
pub mod watch;
