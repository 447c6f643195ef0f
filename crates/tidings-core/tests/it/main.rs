//! What the words promise, seen through their public API.

#![expect(clippy::unwrap_used, reason = "in a test, what fails here is the test")]

mod codec;
mod rules;
