//! What happens to publishes whose channel has died.

use super::{Engine, Link, clock::fail};
use crate::publishing::{
    job::Job,
    line::{Loss, Refusal, Source},
    refusal::{Blame, too_large, unroutable},
};

impl<S: Source> Engine<S> {
    /// Leaves a dead channel: decides about what was lost with it, and waits for the next.
    pub(super) fn start_over(&mut self) {
        let opening = Link::Opening(self.source.open());
        let Link::Up(live) = std::mem::replace(&mut self.link, opening) else {
            return;
        };
        let Some((loss, _)) = live.loss else {
            return;
        };
        let mut lost = live.lost;
        lost.extend(live.flight.into_jobs());
        lost.sort_by_key(|job| job.number);
        for job in lost.iter_mut().filter(|job| job.is_returned) {
            let error = unroutable(&job.message.address);
            job.answer(Err(error), &self.shared);
        }
        match loss {
            Loss::Refused(refusal) if refusal.blame() != Blame::Nobody => {
                self.blame(&refusal, &mut lost);
            }
            loss => self.suffer(&loss, &mut lost),
        }
        lost.retain(|job| !job.is_answered());
        self.put_back(lost);
    }

    /// Nobody is to blame, so all are sent again, but for one that may be what makes the broker crash.
    fn suffer(&self, loss: &Loss, lost: &mut [Job]) {
        let count = lost.len();
        tracing::debug!(?loss, count, "a channel for publishing is gone");
        if let Loss::Refused(refusal) = loss
            && refusal.is_crash()
        {
            self.shared.crash();
            for job in lost {
                job.crash(count == 1, refusal, &self.shared);
            }
        }
    }

    /// Finds those whom a refusal concerns and deals with them; `lost` keeps the others.
    pub(super) fn blame(&mut self, refusal: &Refusal, lost: &mut Vec<Job>) {
        let blame = refusal.blame();
        let is_meant = |job: &Job| match &blame {
            Blame::Nobody => false,
            Blame::Exchange => refusal.names(&job.message.address.exchange),
            Blame::Larger(limit) => job.size() > *limit,
            Blame::Somebody => true,
        };
        let meant = lost.iter().filter(|job| is_meant(job)).count();
        tracing::warn!(
            code = refusal.code,
            text = refusal.text,
            meant,
            again = lost.len() - meant,
            "RabbitMQ has closed the channel for publishing because of a publish"
        );
        match blame {
            Blame::Larger(limit) if meant > 0 => {
                self.size_limit = Some(limit);
                for mut job in lost.extract_if(.., |job| is_meant(job)) {
                    let error = too_large(&job.message, limit);
                    job.answer(Err(error), &self.shared);
                }
            }
            _ if lost.len() == 1 => {
                // Nothing else was on its way: this is the one.
                for mut job in lost.drain(..) {
                    let address = &job.message.address;
                    if blame == Blame::Exchange {
                        self.quarantine.add(&address.exchange);
                    }
                    let error = refusal.error(address);
                    job.answer(Err(error), &self.shared);
                }
            }
            Blame::Exchange if meant > 0 => {
                for job in lost.extract_if(.., |job| is_meant(job)) {
                    self.quarantine.add(&job.message.address.exchange);
                    // It is kept apart by now, so the job stays there.
                    let _parked = self.quarantine.park(job).is_none();
                }
            }
            _ => lost.iter_mut().for_each(|job| job.is_suspect = true),
        }
    }

    /// Puts jobs where their numbers belong.
    pub(super) fn put_back(&mut self, jobs: Vec<Job>) {
        if jobs.is_empty() {
            return;
        }
        self.waiting.extend(jobs);
        self.waiting.make_contiguous().sort_by_key(|job| job.number);
    }

    /// Answers everything, because there will never be a channel again.
    pub(super) fn give_up(&mut self) {
        let trouble = self.source.trouble();
        let jobs = self.quarantine.release();
        for mut job in self.waiting.drain(..).chain(jobs) {
            if job.was_sent {
                fail(&mut job, &trouble, &self.shared);
            } else {
                job.answer(Err(self.source.ended()), &self.shared);
            }
        }
    }
}
