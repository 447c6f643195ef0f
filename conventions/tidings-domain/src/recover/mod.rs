//! What becomes of a failed message: another attempt, a later one, or a dead letter that says why.
//!
//! The wire's algorithm counts failures in a header of a copy that waits in another queue. Its traps are
//! closed here: the copy is always addressed by the queue it came from, never by what a header or a routing
//! key happens to say; a count that is no number is a dead letter; and a dead letter whose handler fails
//! waits before it comes again.

pub(crate) mod copy;

use std::time::Duration;

use jiff::Timestamp;
use tidings_core::{
    Call, ErrorKind, Headers, Outcome, Settlement,
    convention::{Failed, Fate, Plan, TooEarly},
    headers,
};

use self::copy::{Copy, DeadLetter};
use crate::{
    Domain,
    place::{Detour, Place},
};

/// The reason of a dead letter whose attempts are used up.
pub const MAX_RETRIES: &str = "max_retries";
/// The reason of a dead letter whose handler said that it can never succeed.
pub const FATAL: &str = "fatal";
/// The reason of a dead letter whose count of redeliveries is not a number: nobody can say how often it was tried.
pub const BAD_COUNT: &str = "bad_redelivery_count";

/// The shortest deferral: a handler that says "not now" without a time must not be asked again at once, for ever.
const SHORTEST_DEFERRAL: Duration = Duration::from_millis(250);
/// The longest deferral by detours, unless a single one takes longer. Every publisher can set the header that
/// prolongs them, and must not be able to hide a message for ever.
const LONGEST_DEFERRAL: Duration = Duration::from_secs(24 * 60 * 60);
/// By how much the clocks of those who share a queue may differ.
const CLOCKS_DIFFER: Duration = Duration::from_secs(60 * 60);

/// How often a message has been given back after a failure, 0 if it never was.
///
/// # Errors
/// The header's value if it is not a number.
pub fn redelivery_count(headers: &Headers) -> Result<u32, &tidings_core::HeaderValue> {
    match headers.get(headers::REDELIVERY_COUNT) {
        None => Ok(0),
        Some(value) => match value.as_int() {
            Some(count) => Ok(u32::try_from(count.max(0)).unwrap_or(u32::MAX)),
            None => Err(value),
        },
    }
}

/// How long a deferred message that is back early must still wait. A time too far ahead is not ours and means nothing:
/// the message is handled, as by systems that do not know the header.
pub(crate) fn held_back(call: &Call, now: Timestamp) -> Option<Duration> {
    let until = call.envelope.headers.int(headers::NOT_BEFORE)?;
    let left = u64::try_from(until.saturating_sub(now.as_millisecond())).ok()?;
    let left = Duration::from_millis(left);
    (!left.is_zero() && left <= LONGEST_DEFERRAL + CLOCKS_DIFFER).then_some(left)
}

impl Domain {
    pub(crate) fn plan(&self, failed: &Failed<'_>) -> Plan {
        let place = Place::of(&failed.attachment.queue);
        match failed.attachment.retry.outcome(failed.error) {
            // Nobody was asked: what is left is waited for, and prolonging it each time would have no end.
            Outcome::Defer(left) if failed.error.source_ref::<TooEarly>().is_some() => {
                self.defer(failed, place, left)
            }
            Outcome::Defer(delay) => self.defer(failed, place, delay.max(SHORTEST_DEFERRAL)),
            // There is nowhere further to go, and going nowhere at once would be a hot loop. Nobody else waits for a
            // dead letter, so one that is given back waits as well.
            _ if place.dead => self.defer(failed, place, place.dead_letter_pause(self.queues())),
            Outcome::Requeue => Plan::Settle {
                settlement: Settlement::Nack { delay: None },
                fate: Fate::Requeued,
            },
            Outcome::Fatal => self.dead_letter(failed, place, fatal_reason(failed.error.kind())),
            _ => self.retry(failed, place),
        }
    }

    /// Another attempt, or a dead letter after the last one.
    fn retry(&self, failed: &Failed<'_>, place: Place<'_>) -> Plan {
        let policy = &failed.attachment.retry;
        let Ok(count) = redelivery_count(&failed.call.envelope.headers) else {
            return self.dead_letter(failed, place, BAD_COUNT);
        };
        if count >= policy.max_retries() {
            return self.dead_letter(failed, place, MAX_RETRIES);
        }
        let attempts = count.saturating_add(1);
        let detour = match policy.step(attempts) {
            Some(step) => place.step_detour(step),
            None => place.detour(self.names(), self.queues()),
        };
        let shorter = shortened(detour.ttl, policy.jitter());
        let mut copy = Copy::of(failed, place).counted(attempts).first_failed();
        if let Some(wait) = shorter {
            copy = copy.expiring(wait);
        }
        Plan::Forward {
            call: copy.to(detour.address),
            fate: Fate::Retried {
                attempts,
                delay: shorter.or(detour.ttl),
            },
        }
    }

    /// A later time, without counting.
    fn defer(&self, failed: &Failed<'_>, place: Place<'_>, delay: Duration) -> Plan {
        if failed.delayed_nack {
            let delay = Some(delay);
            return Plan::Settle {
                settlement: Settlement::Nack { delay },
                fate: Fate::Deferred { delay },
            };
        }
        let detour = self.detour_of(failed, place, delay);
        // What is left after the detour is waited for only if `held_back` believes it.
        let delay = delay.min(detour.ttl.unwrap_or_default().max(LONGEST_DEFERRAL));
        let mut copy = Copy::of(failed, place).not_before(failed.now, delay);
        if detour.ttl.is_none_or(|ttl| delay < ttl) {
            copy = copy.expiring(delay);
        }
        Plan::Forward {
            call: copy.to(detour.address),
            fate: Fate::Deferred { delay: Some(delay) },
        }
    }

    /// The longest detour that is not too long, so that a message makes few of them; else the usual one.
    fn detour_of(&self, failed: &Failed<'_>, place: Place<'_>, delay: Duration) -> Detour {
        let usual = place.detour(self.names(), self.queues());
        if place.dead {
            return usual;
        }
        let steps = failed.attachment.retry.steps().iter().copied();
        match steps.filter(|step| *step <= delay).max() {
            Some(step) if usual.ttl.is_none_or(|ttl| ttl > delay || step > ttl) => {
                place.step_detour(step)
            }
            _ => usual,
        }
    }

    fn dead_letter(&self, failed: &Failed<'_>, place: Place<'_>, reason: &'static str) -> Plan {
        let headers = &failed.call.envelope.headers;
        let attempts = redelivery_count(headers)
            .unwrap_or(failed.attachment.retry.max_retries())
            .saturating_add(1);
        let letter = DeadLetter {
            reason,
            attempts,
            host: self.host(),
        };
        let address = place.dead_letters(self.names(), &failed.call.address.key);
        Plan::Forward {
            call: Copy::of(failed, place)
                .counted(attempts)
                .first_failed()
                .dead(&letter)
                .to(address),
            fate: Fate::DeadLettered {
                reason: reason.into(),
            },
        }
    }
}

/// Why a message is not tried again. A kind of error that is never worth a second attempt is a reason of its own.
fn fatal_reason(kind: ErrorKind) -> &'static str {
    if kind.default_outcome() == Outcome::Fatal {
        kind.as_str()
    } else {
        FATAL
    }
}

/// A wait made shorter at random; `None` if it stays as it is.
fn shortened(ttl: Option<Duration>, jitter: f64) -> Option<Duration> {
    let ttl = ttl.filter(|_| jitter > 0.0)?;
    Some(ttl.mul_f64(1.0 - jitter * fastrand::f64()))
}
