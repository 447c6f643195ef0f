//! Tells the log once that publishes are diverted and once that they no longer are.
//!
//! A line per message would bury everything else, and so would a line per change while a broker
//! flaps: an outage counts as over only after a while without diverted publishes.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tidings_core::Error;
use tokio::time::Instant;
use tracing::{info, warn};

/// How long no publish may have been diverted before a success ends the outage.
const QUIET: Duration = Duration::from_secs(1);

/// Whether publishes are being diverted.
#[derive(Debug)]
pub(super) struct Outage {
    away: AtomicBool,
    last_diverted: Mutex<Instant>,
}

impl Outage {
    pub(super) fn new() -> Self {
        Self {
            away: AtomicBool::new(false),
            last_diverted: Mutex::new(Instant::now()),
        }
    }

    /// A publish is diverted because of this.
    pub(super) fn diverted(&self, cause: &Error) {
        *self
            .last_diverted
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Instant::now();
        if !self.away.swap(true, Ordering::Relaxed) {
            warn!(error = %cause.chain(), "the broker is away: publishes go to the fallback");
        }
    }

    /// A publish has reached the broker. Returns whether that ended an outage.
    pub(super) fn arrived(&self) -> bool {
        // One relaxed load is all that the path without an outage costs.
        self.away.load(Ordering::Relaxed) && self.quiet_for() >= QUIET && self.over()
    }

    /// Nothing is kept any more. Returns whether that ended an outage.
    pub(super) fn over(&self) -> bool {
        let was_away = self.away.swap(false, Ordering::Relaxed);
        if was_away {
            info!("the broker is back: publishes go to it again");
        }
        was_away
    }

    fn quiet_for(&self) -> Duration {
        self.last_diverted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .elapsed()
    }
}

#[cfg(test)]
mod tests {
    use tidings_core::ErrorKind;

    use super::*;

    fn error() -> Error {
        Error::new(ErrorKind::Unavailable, "no broker")
    }

    #[tokio::test(start_paused = true)]
    async fn a_success_without_an_outage_ends_nothing() {
        assert!(!Outage::new().arrived());
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_ends_once_and_only_after_a_quiet_second() {
        let outage = Outage::new();
        outage.diverted(&error());
        assert!(!outage.arrived(), "one success among failures is no end");
        tokio::time::advance(QUIET).await;
        assert!(outage.arrived());
        assert!(!outage.arrived());
    }
}
