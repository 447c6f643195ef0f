//! What the benchmarks share: how they wait for handlers, and how they speak to who watches and to who reads.
//!
//! Nothing here measures; each benchmark is a binary that knows by itself what it compares.

pub mod latch;
pub mod progress;
pub mod table;
