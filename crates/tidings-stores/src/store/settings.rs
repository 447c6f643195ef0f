//! What can be set: how long a lease lasts, and how much is remembered.

use std::time::Duration;

use tidings_core::error::{Error, ErrorKind, Result};

/// A database is asked three times in a lease, and may take a while to answer.
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// The settings of a store. Processes that share one should have the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// After how long without a renewal a holder is taken for dead; leases are renewed after a third of it.
    /// Thirty seconds unless said otherwise.
    pub lease: Duration,
    /// How many bytes a reply may have to be remembered. One MiB unless said otherwise.
    pub reply_bytes: usize,
    /// About how many replies are remembered; the oldest go first. A million unless said otherwise.
    pub replies: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(30),
            reply_bytes: 1024 * 1024,
            replies: 1_000_000,
        }
    }
}

impl Settings {
    /// Another length of a lease.
    #[must_use]
    pub fn with_lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// Another size of the largest reply that is remembered.
    #[must_use]
    pub fn with_reply_bytes(mut self, bytes: usize) -> Self {
        self.reply_bytes = bytes;
        self
    }

    /// Another number of replies that are remembered.
    #[must_use]
    pub fn with_replies(mut self, replies: u32) -> Self {
        self.replies = replies;
        self
    }

    pub(crate) fn check(self) -> Result<Self> {
        if (SHORTEST..=LONGEST).contains(&self.lease) {
            return Ok(self);
        }
        let context = format!(
            "a lease of {:?} is not possible: take one between {SHORTEST:?} and a day",
            self.lease
        );
        Err(Error::new(ErrorKind::Misuse, context))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_must_leave_time_to_renew_it() {
        let check = |lease| Settings::default().with_lease(lease).check();
        assert!(check(SHORTEST).is_ok() && check(LONGEST).is_ok());
        for lease in [Duration::ZERO, SHORTEST / 2, Duration::MAX] {
            assert_eq!(check(lease).unwrap_err().kind(), ErrorKind::Misuse);
        }
    }
}
