//! The only reader of wall time, so that tests own it.

use std::time::Duration;

pub use jiff::Timestamp;
use tokio::time::Instant;

/// Far enough to mean never, near enough to be an instant on every platform.
const CENTURY: Duration = Duration::from_secs(100 * 366 * 24 * 60 * 60);

/// Tells the wall time. A value, passed to whoever needs it.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Source);

#[derive(Clone, Copy, Debug)]
enum Source {
    System,
    Runtime { wall: Timestamp, instant: Instant },
}

impl Clock {
    /// The operating system's clock.
    pub const SYSTEM: Self = Self(Source::System);

    /// A clock that starts at the present wall time and then advances with the tokio clock:
    /// under `tokio::time::pause` it stands still and moves with `advance`.
    #[must_use]
    pub fn of_runtime() -> Self {
        Self(Source::Runtime {
            wall: Timestamp::now(),
            instant: Instant::now(),
        })
    }

    /// The present wall time.
    #[must_use]
    pub fn now(self) -> Timestamp {
        match self.0 {
            Source::System => Timestamp::now(),
            Source::Runtime { wall, instant } => wall
                .saturating_add(instant.elapsed())
                .unwrap_or(Timestamp::MAX),
        }
    }

    /// The present wall time in milliseconds since the Unix epoch.
    #[must_use]
    pub fn now_millis(self) -> i64 {
        self.now().as_millisecond()
    }

    /// The instant of the tokio clock at which this clock will show `millis` since the epoch: now for the past,
    /// and never further away than a hundred years.
    #[must_use]
    pub fn instant_of(self, millis: i64) -> Instant {
        let wait = millis.saturating_sub(self.now_millis());
        let wait = Duration::from_millis(u64::try_from(wait).unwrap_or(0));
        Instant::now() + wait.min(CENTURY)
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::SYSTEM
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[tokio::test(start_paused = true)]
    async fn stands_still_and_moves_with_the_runtime() {
        let clock = Clock::of_runtime();
        let start = clock.now();
        assert_eq!(clock.now(), start);
        tokio::time::advance(HOUR).await;
        assert_eq!(clock.now(), start + HOUR);
        tokio::time::sleep(HOUR).await;
        assert_eq!(clock.now(), start + 2 * HOUR);
    }

    #[tokio::test(start_paused = true)]
    async fn an_instant_is_never_before_its_wall_time() {
        let clock = Clock::of_runtime();
        let due = clock.now_millis() + 1500;
        let instant = clock.instant_of(due);
        let wait = instant - Instant::now();
        assert!((1500..=1501).contains(&wait.as_millis()), "{wait:?}");
        tokio::time::sleep_until(instant).await;
        assert!(clock.now_millis() >= due);
    }

    #[tokio::test(start_paused = true)]
    async fn the_past_is_now_and_the_end_of_time_is_far_away() {
        let clock = Clock::of_runtime();
        let now = Instant::now();
        assert_eq!(clock.instant_of(clock.now_millis() - 1), now);
        assert_eq!(clock.instant_of(i64::MIN), now);
        assert_eq!(clock.instant_of(i64::MAX), now + CENTURY);
    }

    #[tokio::test]
    async fn the_system_clock_tells_wall_time() {
        let (before, now) = (Timestamp::now(), Clock::default().now());
        assert!((before..=Timestamp::now()).contains(&now));
    }
}
