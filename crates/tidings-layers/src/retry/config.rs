//! How often and how soon another attempt is made within one delivery.

use std::time::Duration;

/// The settings of [`RetryLayer`](super::RetryLayer). The default is off.
///
/// Not to be confused with [`RetryPolicy`](tidings_core::retry_policy::RetryPolicy), which is about the broker's redeliveries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryConfig {
    retries: u32,
    first: Duration,
    longest: Duration,
    seed: Option<u64>,
}

impl RetryConfig {
    /// Up to `retries` attempts after the first, waiting up to 100 ms, 200 ms, … at most 5 s; 0 is off.
    #[must_use]
    pub const fn new(retries: u32) -> Self {
        Self {
            retries,
            first: Duration::from_millis(100),
            longest: Duration::from_secs(5),
            seed: None,
        }
    }

    /// Waits up to `first` before the second attempt and doubles that up to `longest`.
    #[must_use]
    pub const fn with_backoff(mut self, first: Duration, longest: Duration) -> Self {
        self.first = first;
        self.longest = longest;
        self
    }

    /// Makes the random share of the waits foreseeable, for tests.
    #[must_use]
    pub const fn with_seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// How many attempts may follow the first.
    #[must_use]
    pub const fn retries(&self) -> u32 {
        self.retries
    }

    pub(super) const fn seed(&self) -> Option<u64> {
        self.seed
    }

    /// The longest wait after `failures` failures (1 for the first).
    #[must_use]
    pub fn longest_wait(&self, failures: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
        self.first.saturating_mul(doubled).min(self.longest)
    }

    pub(super) fn describe(&self) -> String {
        match self.retries {
            0 => "retry: off".to_owned(),
            retries => format!(
                "retry: up to {retries} more attempts within a delivery, waits of up to {:?}, doubling to {:?}",
                self.first, self.longest
            ),
        }
    }
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self::new(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_wait_doubles_up_to_the_maximum() {
        fn check(failures: u32, millis: u64) {
            let config = RetryConfig::new(9)
                .with_backoff(Duration::from_millis(50), Duration::from_millis(300));
            assert_eq!(
                config.longest_wait(failures),
                Duration::from_millis(millis),
                "after {failures} failures"
            );
        }
        check(1, 50);
        check(2, 100);
        check(3, 200);
        check(4, 300);
        check(5, 300);
        check(u32::MAX, 300);
    }
}
