//! How failures of one subscription are treated: how often, how soon, and which errors are not worth it.

use std::{
    error::Error as StdError,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use crate::{Error, Outcome, convention::TooEarly};

/// How often and how soon a failed message comes again.
///
/// ```
/// use std::time::Duration;
/// use tidings_core::{Outcome, retry_policy::RetryPolicy};
///
/// let policy = RetryPolicy::new(5)
///     .with_steps([Duration::from_secs(1), Duration::from_secs(10), Duration::from_secs(60)])
///     .with_jitter(0.2)
///     .classify::<std::num::ParseIntError>(Outcome::Fatal);
/// assert_eq!(policy.step(1), Some(Duration::from_secs(1)));
/// assert_eq!(policy.step(4), Some(Duration::from_secs(60)), "the last step repeats");
/// ```
#[derive(Clone)]
pub struct RetryPolicy {
    max_retries: u32,
    steps: Arc<[Duration]>,
    jitter: f64,
    classes: Vec<Class>,
}

type Class = Arc<dyn Fn(&Error) -> Option<Outcome> + Send + Sync>;

impl RetryPolicy {
    /// At most `max_retries` further attempts after the first, with the convention's own delay.
    /// 0 dead-letters on the first failure.
    #[must_use]
    pub fn new(max_retries: u32) -> Self {
        Self {
            max_retries,
            steps: Arc::new([]),
            jitter: 0.0,
            classes: Vec::new(),
        }
    }

    /// Waits `steps[n]` after the failure number `n`, counted from 0; the last step repeats.
    #[must_use]
    pub fn with_steps(mut self, steps: impl IntoIterator<Item = Duration>) -> Self {
        self.steps = steps.into_iter().collect();
        self
    }

    /// Shortens each wait by a random share of up to `jitter` (0 to 1, clamped), so that a crowd of failures
    /// does not come back as a crowd.
    #[must_use]
    pub fn with_jitter(mut self, jitter: f64) -> Self {
        self.jitter = if jitter.is_nan() {
            0.0
        } else {
            jitter.clamp(0.0, 1.0)
        };
        self
    }

    /// Treats every failure caused by an `E` as this outcome, whatever the handler said. Earlier rules win.
    #[must_use]
    pub fn classify<E: StdError + 'static>(self, outcome: Outcome) -> Self {
        self.classify_with(move |error| error.source_ref::<E>().map(|_| outcome))
    }

    /// Treats failures as this function says; `None` leaves the decision to the next rule.
    #[must_use]
    pub fn classify_with(
        mut self,
        class: impl Fn(&Error) -> Option<Outcome> + Send + Sync + 'static,
    ) -> Self {
        self.classes.push(Arc::new(class));
        self
    }

    /// How many further attempts a message has after the first.
    #[must_use]
    pub fn max_retries(&self) -> u32 {
        self.max_retries
    }

    /// The steps, empty if the convention's own delay applies.
    #[must_use]
    pub fn steps(&self) -> &[Duration] {
        &self.steps
    }

    /// The share by which waits are shortened at random.
    #[must_use]
    pub fn jitter(&self) -> f64 {
        self.jitter
    }

    /// The wait after `failures` failures (1 for the first), `None` if the convention's own delay applies.
    #[must_use]
    pub fn step(&self, failures: u32) -> Option<Duration> {
        let index = usize::try_from(failures.saturating_sub(1)).unwrap_or(usize::MAX);
        self.steps.get(index).or(self.steps.last()).copied()
    }

    /// What a failure asks for: the first rule that knows it, else what the error itself says. A rule that panics
    /// knows nothing, and none is asked about a message that was never handled because it is [`TooEarly`].
    #[must_use]
    pub fn outcome(&self, error: &Error) -> Outcome {
        if error.source_ref::<TooEarly>().is_some() {
            return error.outcome();
        }
        let ask = |class: &Class| {
            catch_unwind(AssertUnwindSafe(|| class(error))).unwrap_or_else(|_| {
                tracing::error!("a rule of a retry policy panicked; the next one is asked");
                None
            })
        };
        self.classes
            .iter()
            .find_map(ask)
            .unwrap_or_else(|| error.outcome())
    }
}

/// Five retries, as on the domain wire.
impl Default for RetryPolicy {
    fn default() -> Self {
        Self::new(5)
    }
}

impl fmt::Debug for RetryPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryPolicy")
            .field("max_retries", &self.max_retries)
            .field("steps", &self.steps)
            .field("jitter", &self.jitter)
            .field("classes", &self.classes.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::{io, num::ParseIntError};

    use super::*;
    use crate::ErrorKind;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_last_step_repeats() {
        let policy = RetryPolicy::new(9).with_steps([SECOND, 2 * SECOND]);
        for (failures, wait) in [(0, 1), (1, 1), (2, 2), (3, 2), (u32::MAX, 2)] {
            assert_eq!(policy.step(failures), Some(wait * SECOND), "{failures}");
        }
        assert_eq!(RetryPolicy::default().step(1), None);
        assert_eq!(RetryPolicy::default().max_retries(), 5);
    }

    #[test]
    fn jitter_is_a_share() {
        for (given, kept) in [
            (0.0, 0.0),
            (0.25, 0.25),
            (1.5, 1.0),
            (-1.0, 0.0),
            (f64::NAN, 0.0),
            (f64::INFINITY, 1.0),
        ] {
            let jitter = RetryPolicy::new(1).with_jitter(given).jitter();
            assert!((jitter - kept).abs() < f64::EPSILON, "{given}: {jitter}");
        }
    }

    #[test]
    fn the_first_rule_that_knows_an_error_wins() {
        let policy = RetryPolicy::new(1)
            .classify::<ParseIntError>(Outcome::Fatal)
            .classify_with(|error| (error.kind() == ErrorKind::Handler).then_some(Outcome::Requeue))
            .classify::<io::Error>(Outcome::Defer(SECOND));
        let of = |kind, source: crate::error::BoxError| {
            policy.outcome(&Error::new(kind, "failed").with_source(source))
        };
        let number = || Box::new("x".parse::<u8>().unwrap_err());
        let disk = || Box::new(io::Error::other("disk"));
        assert_eq!(of(ErrorKind::Handler, number()), Outcome::Fatal);
        assert_eq!(of(ErrorKind::Timeout, number()), Outcome::Fatal);
        assert_eq!(of(ErrorKind::Handler, disk()), Outcome::Requeue);
        assert_eq!(of(ErrorKind::Full, disk()), Outcome::Defer(SECOND));
        assert_eq!(of(ErrorKind::Misuse, "other".into()), Outcome::Fatal);
        assert_eq!(of(ErrorKind::Timeout, "other".into()), Outcome::Retry);
    }

    #[test]
    fn no_rule_judges_what_was_never_handled() {
        let policy = RetryPolicy::new(1).classify_with(|_| Some(Outcome::Fatal));
        let early = Error::new(ErrorKind::Handler, "deferred")
            .with_outcome(Outcome::Defer(SECOND))
            .with_source(TooEarly);
        assert_eq!(policy.outcome(&early), Outcome::Defer(SECOND));
    }
}
