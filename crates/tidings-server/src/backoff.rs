//! How long to wait before the next attempt at something that should succeed by itself.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);

/// A wait that doubles from 100 ms to 10 s, shortened by up to half at random so that many processes do not
/// come back as one.
pub(crate) fn wait(failures: u32) -> Duration {
    let doubled = FIRST.saturating_mul(1 << failures.min(10)).min(LONGEST);
    doubled.mul_f64(1.0 - fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_and_stays_bounded() {
        assert!(wait(0) <= FIRST);
        assert!(wait(3) >= FIRST * 4 && wait(3) <= FIRST * 8);
        assert!(wait(u32::MAX) <= LONGEST);
    }
}
