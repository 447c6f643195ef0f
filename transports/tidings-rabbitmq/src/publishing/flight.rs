//! The publishes that were sent on one channel and not answered yet.

use std::task::Context;

use tokio::time::Instant;

use super::{
    job::{Job, Limit},
    line::{Returned, Verdict},
    window::Window,
};

/// Jobs with the futures that know what becomes of them.
pub(super) struct Flight {
    window: Window<Verdict>,
    /// By their places in the window.
    jobs: Vec<Option<Job>>,
    done: Vec<(usize, Verdict)>,
    bytes: usize,
    has_suspect: bool,
}

impl Flight {
    pub(super) fn new(window: usize) -> Self {
        Self {
            window: Window::new(window),
            jobs: Vec::new(),
            done: Vec::new(),
            bytes: 0,
            has_suspect: false,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.window.is_empty()
    }

    /// Payload bytes on their way.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether this job may be sent now: a suspect flies alone.
    pub(super) fn has_room_for(&self, job: &Job) -> bool {
        self.window.has_room() && !self.has_suspect && (!job.is_suspect || self.is_empty())
    }

    /// Sends a job; `sending` is what sends it.
    pub(super) fn start(
        &mut self,
        mut job: Job,
        sending: impl Future<Output = Verdict> + Send + 'static,
    ) {
        job.was_sent = true;
        self.bytes += job.size();
        self.has_suspect |= job.is_suspect;
        let place = self.window.start(sending);
        if place == self.jobs.len() {
            self.jobs.push(Some(job));
        } else {
            self.jobs[place] = Some(job);
        }
    }

    /// Moves what is known by now into `known`.
    pub(super) fn collect(&mut self, context: &Context<'_>, known: &mut Vec<(Job, Verdict)>) {
        let mut done = std::mem::take(&mut self.done);
        self.window.collect(context, &mut done);
        for (place, verdict) in &mut done {
            if let Some(returned) = verdict.take_returned() {
                self.mark(*place, &returned);
            }
        }
        for (place, verdict) in done.drain(..) {
            if let Some(job) = self.jobs[place].take() {
                self.bytes -= job.size();
                self.has_suspect &= !job.is_suspect;
                known.push((job, verdict));
            }
        }
        self.done = done;
    }

    /// Finds out whose message was returned: lapin attaches it to the confirm that came next, which may be another's.
    /// Of messages that are alike, any will do.
    fn mark(&mut self, place: usize, returned: &Returned) {
        let may_be = |job: &Job| job.mandatory && !job.is_returned && returned.is_of(&job.message);
        let own = self.jobs[place].as_mut().filter(|job| may_be(job));
        let whose = match own {
            Some(job) => Some(job),
            None => {
                let alike = self.jobs.iter_mut().flatten().filter(|job| may_be(job));
                alike.min_by_key(|job| job.number)
            }
        };
        match whose {
            Some(job) => job.is_returned = true,
            None => tracing::warn!(
                exchange = returned.exchange,
                key = returned.key,
                "RabbitMQ has returned a message that is not on its way"
            ),
        }
    }

    /// Everything on its way, in order; the futures are dropped.
    pub(super) fn into_jobs(self) -> Vec<Job> {
        let mut jobs: Vec<_> = self.jobs.into_iter().flatten().collect();
        jobs.sort_by_key(|job| job.number);
        jobs
    }

    /// Those that have waited for too long. They stay until the channel has answered.
    pub(super) fn expired(&mut self, limit: Limit) -> impl Iterator<Item = &mut Job> {
        let unanswered = self.unanswered();
        unanswered.filter(move |job| limit.is_passed_by(job))
    }

    /// Those that nobody has answered.
    pub(super) fn unanswered(&mut self) -> impl Iterator<Item = &mut Job> {
        let jobs = self.jobs.iter_mut().flatten();
        jobs.filter(|job| !job.is_answered())
    }

    /// When the oldest that nobody has answered was handed over.
    pub(super) fn oldest(&self) -> Option<Instant> {
        let unanswered = self.jobs.iter().flatten().filter(|job| !job.is_answered());
        unanswered.map(|job| job.since).min()
    }
}
