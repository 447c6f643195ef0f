//! The only reader of wall time, so that tests own it.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

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

    /// The instant of the tokio clock at which this clock will show `millis` since the epoch.
    #[must_use]
    pub fn instant_of(self, millis: i64) -> Instant {
        let wait = millis.saturating_sub(self.now_millis());
        let now = Instant::now();
        now.checked_add(Duration::from_millis(u64::try_from(wait).unwrap_or(0)))
            .unwrap_or(now)
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::SYSTEM
    }
}
