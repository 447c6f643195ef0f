//! The handlers that the outside calls: one file for each kind of behaviour.
//!
//! `dx_example` is not among them: it comes from another package, as handlers do.

mod echo;
mod failing;
mod secret;
mod slow;

use tidings::clock::Clock;

/// The present time as Python tells it.
fn now() -> f64 {
    Clock::SYSTEM.now().as_microsecond() as f64 / 1_000_000.0
}
