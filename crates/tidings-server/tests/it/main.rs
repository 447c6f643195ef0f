//! What the runtime promises to those who call: answers, in time, in order, and without loss at a drain.

#![expect(clippy::unwrap_used, reason = "in a test, what fails here is the test")]

mod answering;
mod draining;
mod leases;
mod load;
mod lost;
mod patience;
mod rig;
