//! What the router promises, seen through its public API.

#![expect(clippy::unwrap_used, reason = "in a test, what fails here is the test")]

mod bench;
mod errors;
mod extractors;
mod handlers;
mod ordering;
mod registry;
mod subscribers;
mod ui;
