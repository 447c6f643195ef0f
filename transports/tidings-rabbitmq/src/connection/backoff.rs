//! How long to wait before the next attempt: doubling, with full jitter, so that a thousand clients of a broker that
//! comes back do not come back at one moment.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const MOST: Duration = Duration::from_secs(5);

/// Waiting times between attempts.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    attempts: u32,
}

impl Backoff {
    /// How many attempts have failed.
    pub(crate) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The pause after one more failure: between a tenth and the whole of what doubling gives.
    pub(crate) fn next(&mut self) -> Duration {
        let doubled = FIRST.saturating_mul(1 << self.attempts.min(10));
        self.attempts = self.attempts.saturating_add(1);
        doubled.min(MOST).mul_f64(0.1 + 0.9 * fastrand::f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_most_and_never_vanish() {
        for _ in 0..100 {
            let mut backoff = Backoff::default();
            for attempt in 0..50_u32 {
                let most = FIRST.saturating_mul(1 << attempt.min(10)).min(MOST);
                let pause = backoff.next();
                assert!(pause <= most && pause >= most / 10, "{attempt}: {pause:?}");
            }
            assert_eq!(backoff.attempts(), 50);
        }
    }
}
