//! What the benchmarks share: how they speak to somebody who watches, and to somebody who reads.
//!
//! Nothing here measures; each benchmark is a binary that knows by itself what it compares.

pub mod progress;
pub mod table;
