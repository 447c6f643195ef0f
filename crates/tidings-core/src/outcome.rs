//! What a failed handling asks for.

use std::time::Duration;

/// The class of a failure: it decides between another attempt, a dead letter and a later day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// May succeed if tried again: counts as an attempt, dead-letters after the last one.
    Retry,
    /// Will never succeed: dead-letters now, with the reason.
    Fatal,
    /// Not now: comes back after this long and does not count as an attempt.
    Defer(Duration),
    /// Give it back untouched, as if it had never been taken. For shutdown and for chaos.
    Requeue,
}
