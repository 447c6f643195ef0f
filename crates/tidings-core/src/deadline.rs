//! The instant after which nobody waits any more: relative on the wire, absolute in memory.

use std::time::Duration;

use tokio::time::Instant;

/// An instant, or never. Copied with a call into everything that the call causes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// Nobody stops waiting.
    pub const NEVER: Self = Self(None);

    /// This long from now.
    #[must_use]
    pub fn after(duration: Duration) -> Self {
        Self(Instant::now().checked_add(duration))
    }

    /// At this instant.
    #[must_use]
    pub fn at(instant: Instant) -> Self {
        Self(Some(instant))
    }

    /// The instant, unless it is never.
    #[must_use]
    pub fn instant(self) -> Option<Instant> {
        self.0
    }

    /// What is left, zero once it has passed, `None` if it is never.
    #[must_use]
    pub fn remaining(self) -> Option<Duration> {
        self.0
            .map(|instant| instant.saturating_duration_since(Instant::now()))
    }

    /// Whether it has passed.
    #[must_use]
    pub fn is_past(self) -> bool {
        self.remaining() == Some(Duration::ZERO)
    }

    /// The earlier of two deadlines.
    #[must_use]
    pub fn earlier(self, other: Self) -> Self {
        match (self.0, other.0) {
            (Some(a), Some(b)) => Self(Some(a.min(b))),
            (a, b) => Self(a.or(b)),
        }
    }

    /// Waits until it has passed; never returns if it is never.
    ///
    /// # Cancel safety
    /// Yes: dropping the future forgets nothing.
    pub async fn passed(self) {
        match self.0 {
            Some(instant) => tokio::time::sleep_until(instant).await,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn passes_after_its_time() {
        let deadline = Deadline::after(SECOND);
        assert_eq!(deadline.remaining(), Some(SECOND));
        assert!(!deadline.is_past());
        tokio::time::advance(SECOND / 2).await;
        assert_eq!(deadline.remaining(), Some(SECOND / 2));
        deadline.passed().await;
        assert!(deadline.is_past());
        tokio::time::advance(SECOND).await;
        assert_eq!(deadline.remaining(), Some(Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn never_does_not_pass() {
        assert_eq!(Deadline::NEVER.remaining(), None);
        assert!(!Deadline::NEVER.is_past());
        let waited = tokio::time::timeout(1_000_000 * SECOND, Deadline::NEVER.passed()).await;
        assert!(waited.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_time_beyond_the_clock_is_never() {
        assert_eq!(Deadline::after(Duration::MAX), Deadline::NEVER);
    }

    #[tokio::test(start_paused = true)]
    async fn the_earlier_one_wins_and_never_loses() {
        let (soon, late) = (Deadline::after(SECOND), Deadline::after(2 * SECOND));
        assert_eq!(soon.earlier(late), soon);
        assert_eq!(late.earlier(soon), soon);
        assert_eq!(late.earlier(Deadline::NEVER), late);
        assert_eq!(Deadline::NEVER.earlier(late), late);
        assert_eq!(Deadline::NEVER.earlier(Deadline::NEVER), Deadline::NEVER);
    }
}
