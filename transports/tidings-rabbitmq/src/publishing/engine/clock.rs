//! What the publish task does because time has passed: answers that are given up, a connection that is, figures.

use std::task::Context;

use tidings_core::metric;
use tokio::time::Instant;

use super::{Engine, Link};
use crate::publishing::{
    job::{Job, Shared, expired},
    line::{Line, Source},
    refusal::{never_sent, unconfirmed},
};

impl<S: Source> Engine<S> {
    /// Looks at the clock, when it is time to.
    pub(super) fn tick(&mut self, context: &mut Context<'_>) -> bool {
        if !self.is_timed || self.timer.as_mut().poll(context).is_pending() {
            return false;
        }
        self.is_timed = false;
        let now = Instant::now();
        self.expire(now);
        self.watch(now);
        let pending = self.shared.pending();
        metrics::gauge!(metric::UNCONFIRMED).set(as_f64(pending));
        let oldest = self.oldest();
        self.shared.set_oldest(oldest);
        if pending > 0 {
            let due = oldest.map_or(now + self.times.tick, |oldest| oldest + self.times.confirm);
            self.wake_at(due.clamp(now, now + self.times.tick));
        }
        true
    }

    /// Answers what has waited for too long.
    pub(super) fn expire(&mut self, now: Instant) {
        let (patience, shared) = (self.times.confirm, &self.shared);
        let trouble = match &self.link {
            Link::Up(live) => live.trouble(patience),
            _ => self.source.trouble(),
        };
        let mut late = expired(&mut self.waiting, now, patience);
        late.extend(self.quarantine.expired(now, patience));
        for mut job in late {
            fail(&mut job, &trouble, shared);
        }
        if let Link::Up(live) = &mut self.link {
            for job in live.flight.expired(now, patience) {
                fail(job, &trouble, shared);
            }
            for job in &mut live.lost {
                if now.saturating_duration_since(job.since) >= patience {
                    fail(job, &trouble, shared);
                }
            }
        }
    }

    /// Condemns a connection on which the broker takes publishes and answers none.
    pub(super) fn watch(&mut self, now: Instant) {
        let Link::Up(live) = &mut self.link else {
            return;
        };
        if live.flight.is_empty() || live.loss.is_some() || live.line.blocked().is_some() {
            live.quiet_since = now;
            return;
        }
        // A large message takes its time to be written; a megabyte in a second is slow for a broker's network.
        let writing =
            self.times.per_mebibyte * u32::try_from(live.flight.bytes() >> 20).unwrap_or(u32::MAX);
        let patience = self.times.watchdog + writing;
        if now.saturating_duration_since(live.quiet_since) >= patience {
            let why = format!(
                "RabbitMQ has confirmed nothing for {patience:?} although publishes are under way"
            );
            tracing::warn!(why, "dropping the connection for publishing");
            live.line.condemn(why);
            live.quiet_since = now;
        }
    }

    pub(super) fn oldest(&self) -> Option<Instant> {
        let flying = match &self.link {
            Link::Up(live) => live.flight.oldest(),
            _ => None,
        };
        let waiting = self.waiting.front().map(|job| job.since);
        let oldest = [flying, waiting, self.quarantine.oldest()];
        oldest.into_iter().flatten().min()
    }

    /// Has the clock looked at by then.
    pub(super) fn wake_at(&mut self, instant: Instant) {
        if !self.is_timed || instant < self.timer.deadline() {
            self.timer.as_mut().reset(instant);
            self.is_timed = true;
        }
    }
}

/// Answers a job of which nothing is known.
pub(super) fn fail(job: &mut Job, trouble: &str, shared: &Shared) {
    let address = &job.message.address;
    let error = if job.was_sent {
        unconfirmed(address, trouble)
    } else {
        never_sent(address, trouble)
    };
    job.answer(Err(error), shared);
}

/// Exact up to 2^53, and never is so much pending.
fn as_f64(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
