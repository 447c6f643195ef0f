//! Empties the spool by itself once the broker is back.
//!
//! It sleeps while nothing is kept: only a publish that was diverted wakes it. While something is kept it tries
//! again at growing, jittered intervals, and at once when a publish finds the broker back.

use std::time::Duration;

use tidings_core::{Error, error::Result, tasks::Tasks};
use tracing::{debug, info, warn};

use super::{FallbackPublisher, is_away, publisher::Shared};

/// Replays the spool of a [`FallbackPublisher`] whenever something is in it.
#[must_use = "it does nothing until it is spawned"]
#[derive(Debug)]
pub struct Replayer {
    fallback: FallbackPublisher,
    backoff: Backoff,
}

impl Replayer {
    /// Waits between 0.2 and 30 seconds between attempts.
    pub fn new(fallback: &FallbackPublisher) -> Self {
        Self {
            fallback: fallback.clone(),
            backoff: Backoff {
                first: Duration::from_millis(200),
                longest: Duration::from_secs(30),
            },
        }
    }

    /// Waits `first` after the first failed attempt, then twice as long each time, at most `longest`; each wait is
    /// shortened by a random share of up to a half, so that a crowd of services does not come back as a crowd.
    pub fn with_backoff(mut self, first: Duration, longest: Duration) -> Self {
        self.backoff = Backoff { first, longest };
        self
    }

    /// Runs until the group is asked to stop. It begins with what an earlier process has left in the spool.
    pub fn spawn(self, tasks: &Tasks) {
        let group = tasks.clone();
        tasks.spawn("fallback-replayer", async move {
            tokio::select! {
                // Cancel-safe: promised by `Tasks::stopping`, it only looks at a flag.
                () = group.stopping() => {}
                // Cancel-safe: promised by `Spool::replay`, the next replay repeats what was not confirmed.
                () = self.run() => {}
            }
        });
    }

    async fn run(self) {
        let shared = self.fallback.shared();
        loop {
            self.empty(shared).await;
            shared.stored.notified().await;
        }
    }

    /// Replays until nothing is kept.
    async fn empty(&self, shared: &Shared) {
        let mut failures = 0;
        loop {
            match attempt(shared).await {
                Ok(After::Empty) => {
                    shared.outage.over();
                    return;
                }
                Ok(After::More) => failures = 0,
                Err(problem) => {
                    report(&problem, failures);
                    self.pause(shared, failures).await;
                    failures += 1;
                }
            }
        }
    }

    async fn pause(&self, shared: &Shared, failures: u32) {
        let wait = self.backoff.wait(failures, fastrand::f64());
        tokio::select! {
            // Cancel-safe: a timer that is dropped is only a timer.
            () = tokio::time::sleep(wait) => {}
            // Cancel-safe: `Notify` keeps the permit of a future that was dropped before it was notified.
            () = shared.recovered.notified() => {}
        }
    }
}

/// What an attempt leaves behind.
enum After {
    Empty,
    More,
}

/// Why an attempt did not get on.
enum Problem {
    Failed(Error),
    /// Calls are kept, but none was to be had: another process is replaying them.
    Nothing,
}

async fn attempt(shared: &Shared) -> Result<After, Problem> {
    let replayed = shared
        .spool
        .replay(&*shared.primary)
        .await
        .map_err(Problem::Failed)?;
    if replayed > 0 {
        info!(replayed, "replayed from the fallback");
    }
    match shared.spool.kept().await.map_err(Problem::Failed)? {
        0 => Ok(After::Empty),
        _ if replayed > 0 => Ok(After::More),
        _ => Err(Problem::Nothing),
    }
}

/// A broker that is away is worth one line; a call that is refused needs somebody to look.
fn report(problem: &Problem, failures: u32) {
    match problem {
        Problem::Failed(error) if failures == 0 || !is_away(error.kind()) => {
            warn!(error = %error.chain(), "cannot replay from the fallback, it will be tried again");
        }
        Problem::Failed(error) => debug!(error = %error.chain(), failures, "still cannot replay"),
        Problem::Nothing => debug!("the kept calls are being replayed elsewhere"),
    }
}

#[derive(Clone, Copy, Debug)]
struct Backoff {
    first: Duration,
    longest: Duration,
}

impl Backoff {
    /// The wait after this many earlier failures; `random` is between 0 and 1.
    fn wait(self, failures: u32, random: f64) -> Duration {
        let factor = 1_u32 << failures.min(20);
        let full = self.first.saturating_mul(factor).min(self.longest);
        full.mul_f64(1.0 - random / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(failures: u32, random: f64, expected_millis: u64) {
        let backoff = Backoff {
            first: Duration::from_millis(200),
            longest: Duration::from_secs(30),
        };
        let expected = Duration::from_millis(expected_millis);
        assert_eq!(backoff.wait(failures, random), expected);
    }

    #[test]
    fn waits_double_up_to_the_longest_and_are_shortened_by_up_to_a_half() {
        check(0, 0.0, 200);
        check(1, 0.0, 400);
        check(3, 0.0, 1_600);
        check(0, 1.0, 100);
        check(8, 0.0, 30_000);
        check(u32::MAX, 0.0, 30_000);
        check(u32::MAX, 1.0, 15_000);
    }
}
