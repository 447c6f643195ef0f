//! How many durable messages per second the embedded broker takes, beside the bare store doing the same writes.
//!
//! The bare store is what remains if everything that makes a broker is left out: one table, one thread that writes
//! all that waits in one transaction and answers. So the ratio is the price of exchanges, queues, confirms,
//! deliveries and settlements. Both write into fresh files in the same directory, and every tenth of a second it is
//! the other's turn, so that a disk whose speed changes changes it for both.

mod alone;
mod bare;
mod load;
mod ours;
mod report;

pub use self::report::{Report, measure};
