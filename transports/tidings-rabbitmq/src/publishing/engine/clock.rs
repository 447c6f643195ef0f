//! What the publish task does because time has passed: answers that are given up, a connection that is, figures.

use std::task::Context;

use tidings_core::metric;
use tokio::time::Instant;

use super::{Engine, Link};
use crate::publishing::{
    job::{Job, Limit, Shared},
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
        self.notice_opening(now);
        self.expire(now);
        self.watch(now);
        let pending = self.shared.pending();
        metrics::gauge!(metric::UNCONFIRMED).set(as_f64(pending));
        let oldest = self.oldest();
        self.shared.set_oldest(oldest);
        if pending > 0 {
            // Who waits for a blocked broker may leave, and whoever closes the transport waits for that to be noticed.
            let next = now + self.times.tick / if self.was_blocked { 4 } else { 1 };
            let due = oldest.map(|oldest| oldest + self.times.confirm);
            // What is due and still waits is patient, and comes to its end with the next look at the earliest.
            let due = due.filter(|due| *due > now);
            self.wake_at(due.map_or(next, |due| due.min(next)));
        }
        true
    }

    /// Once the broker reads again, patient publishes have all their time. A blockade that is over between two looks has
    /// cost them less than the time between.
    fn notice_opening(&mut self, now: Instant) {
        let is_blocked = self.is_blocked();
        if !std::mem::replace(&mut self.was_blocked, is_blocked) || is_blocked {
            return;
        }
        let flying = match &mut self.link {
            Link::Up(live) => Some(live.flight.unanswered().chain(&mut live.lost)),
            _ => None,
        };
        let waiting = self.waiting.iter_mut().chain(self.quarantine.jobs());
        for job in waiting.chain(flying.into_iter().flatten()) {
            job.begin_again(now);
        }
    }

    fn is_blocked(&self) -> bool {
        match &self.link {
            Link::Up(live) => live.line.blocked().is_some(),
            // A channel may have died under publishes, and no other can be opened before the broker reads.
            Link::Opening(_) => self.source.is_blocked(),
            Link::Ended => false,
        }
    }

    /// Answers what has waited for too long.
    pub(super) fn expire(&mut self, now: Instant) {
        let limit = Limit {
            now,
            patience: self.times.confirm,
            is_blocked: self.is_blocked(),
        };
        let shared = &self.shared;
        let trouble = match &self.link {
            Link::Up(live) => live.trouble(limit.patience),
            _ => self.source.trouble(),
        };
        let mut late = limit.extract(&mut self.waiting);
        late.extend(self.quarantine.expired(limit));
        for mut job in late {
            fail(&mut job, &trouble, shared);
        }
        if let Link::Up(live) = &mut self.link {
            for job in live.flight.expired(limit) {
                fail(job, &trouble, shared);
            }
            for job in live.lost.iter_mut().filter(|job| limit.is_passed_by(job)) {
                fail(job, &trouble, shared);
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
