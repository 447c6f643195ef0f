//! Test support: what proves that a transport keeps its promises, and that a whole system loses nothing.
//!
//! * [`conformance`]: one suite of behaviours that every transport passes.
//! * [`history`]: records what was attempted, confirmed and handled, even by processes that get killed, and
//!   finds what was lost.
//! * [`broken`]: transports that break their promises on purpose, which is how the two above are tested.
//! * [`process`]: a child process that a test kills.
//! * [`double`]: a publisher and a settler that only write down what is asked of them.
//!
//! This crate is a dev-dependency and imports `tidings-core` only, so every other crate can use it. It
//! deliberately starts no broker and knows no convention.

pub mod broken;
pub mod conformance;
pub mod double;
pub mod history;
pub mod process;
