//! Exchanges that the broker has refused, and the publishes that wait for what becomes of them.
//!
//! A publish to an exchange that does not exist closes the channel under all others. So after the first refusal an exchange
//! is kept apart: one publish at a time goes to it, on a channel of its own, and what the broker says to that one
//! goes for all that waited when it was sent. Once the broker takes one, the exchange is free again. Between two refusals
//! there is a pause, because each costs a channel and a line in the broker's log.

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tidings_core::transport::BoxFuture;
use tokio::time::Instant;

use super::{
    job::{Job, Limit, Shared},
    line::{Line, Loss, Verdict},
    refusal::Blame,
};

/// The most exchanges that are remembered.
const MOST: usize = 1_024;

/// How often the pause doubles while an exchange is refused again and again. lapin has two thousand channels in the life
/// of a connection that may end like this.
const DOUBLINGS: u32 = 4;

/// All exchanges that are kept apart.
#[derive(Default)]
pub(super) struct Quarantine {
    wards: Vec<Ward>,
}

struct Ward {
    exchange: Arc<str>,
    parked: VecDeque<Job>,
    probe: Option<Probe>,
    /// Not before this.
    rests_until: Option<Instant>,
    /// How often it was refused since it is kept apart.
    refusals: u32,
}

struct Probe {
    job: Job,
    /// How many of the parked ones share its fate.
    covered: usize,
    future: BoxFuture<'static, Verdict>,
}

impl Quarantine {
    pub(super) fn is_empty(&self) -> bool {
        self.wards.is_empty()
    }

    /// Keeps an exchange apart from now on.
    pub(super) fn add(&mut self, exchange: &Arc<str>) {
        if self.ward(exchange).is_some() {
            return;
        }
        if self.wards.len() >= MOST
            && let Some(idle) = self.wards.iter().position(Ward::is_idle)
        {
            self.wards.remove(idle);
        }
        self.wards.push(Ward {
            exchange: Arc::clone(exchange),
            parked: VecDeque::new(),
            probe: None,
            rests_until: None,
            refusals: 0,
        });
    }

    /// Takes the job if its exchange is kept apart, else gives it back.
    pub(super) fn park(&mut self, job: Job) -> Option<Job> {
        match self.ward(&job.message.address.exchange) {
            Some(ward) => {
                ward.parked.push_back(job);
                None
            }
            None => Some(job),
        }
    }

    fn ward(&mut self, exchange: &str) -> Option<&mut Ward> {
        self.wards
            .iter_mut()
            .find(|ward| *ward.exchange == *exchange)
    }

    /// Sends a probe to each exchange that has none under way, does not rest and is wanted.
    pub(super) fn probe(&mut self, line: &impl Line, now: Instant) {
        for ward in &mut self.wards {
            let rests = ward.rests_until.is_some_and(|until| until > now);
            if rests || ward.probe.is_some() {
                continue;
            }
            let Some(mut job) = ward.parked.pop_front() else {
                continue;
            };
            job.was_sent |= !line.is_precious();
            ward.probe = Some(Probe {
                covered: ward.parked.len(),
                future: line.probe(&job.message, job.mandatory),
                job,
            });
        }
    }

    /// Looks at the probes. Jobs that are free to go are put into `free`, exchanges that are so into `cleared`.
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
        pause: Duration,
        shared: &Shared,
        free: &mut Vec<Job>,
        cleared: &mut Vec<Arc<str>>,
    ) {
        self.wards.retain_mut(|ward| {
            let is_clear = ward.poll(context, pause, shared);
            if is_clear {
                free.extend(ward.parked.drain(..));
                cleared.push(Arc::clone(&ward.exchange));
            }
            !is_clear
        });
    }

    /// Ends it: everything is free to go.
    pub(super) fn release(&mut self) -> Vec<Job> {
        let mut jobs = Vec::new();
        for ward in self.wards.drain(..) {
            jobs.extend(ward.probe.map(|probe| probe.job));
            jobs.extend(ward.parked);
        }
        jobs
    }

    /// Those that have waited for too long.
    pub(super) fn expired(&mut self, limit: Limit) -> Vec<Job> {
        let wards = self.wards.iter_mut();
        wards
            .flat_map(|ward| {
                if let Some(probe) = &mut ward.probe {
                    let covered = ward.parked.iter().take(probe.covered);
                    probe.covered = covered.filter(|job| !limit.is_passed_by(job)).count();
                }
                limit.extract(&mut ward.parked)
            })
            .collect()
    }

    /// All that wait.
    pub(super) fn jobs(&mut self) -> impl Iterator<Item = &mut Job> {
        self.wards.iter_mut().flat_map(|ward| {
            let probed = ward.probe.as_mut().map(|probe| &mut probe.job);
            probed.into_iter().chain(&mut ward.parked)
        })
    }

    /// When the oldest was handed over.
    pub(super) fn oldest(&self) -> Option<Instant> {
        let oldest = |ward: &Ward| ward.parked.front().map(|job| job.since);
        self.wards.iter().filter_map(oldest).min()
    }

    /// When the next one that is wanted has rested. Whoever has rested already waits for something else: for its probe, or
    /// for the broker to read.
    pub(super) fn next(&self, now: Instant) -> Option<Instant> {
        let wanted = self.wards.iter().filter(|ward| !ward.parked.is_empty());
        let rests = wanted.filter_map(|ward| ward.rests_until);
        rests.filter(|until| *until > now).min()
    }
}

impl Ward {
    fn is_idle(&self) -> bool {
        self.parked.is_empty() && self.probe.is_none()
    }

    /// Whether the exchange is free again.
    fn poll(&mut self, context: &mut Context<'_>, pause: Duration, shared: &Shared) -> bool {
        let Some(probe) = &mut self.probe else {
            return false;
        };
        let Poll::Ready(mut verdict) = probe.future.as_mut().poll(context) else {
            return false;
        };
        let Some(Probe {
            mut job, covered, ..
        }) = self.probe.take()
        else {
            return false;
        };
        // A channel of its own: what came back is its own.
        job.is_returned = verdict.take_returned().is_some();
        let refusal = match verdict {
            Verdict::Welcome => {
                self.parked.push_front(job);
                return true;
            }
            Verdict::Lost(Loss::Refused(refusal)) if refusal.blame() != Blame::Nobody => refusal,
            Verdict::Lost(loss) => {
                if let Loss::Refused(refusal) = &loss
                    && refusal.is_crash()
                {
                    job.crash(true, refusal, shared);
                }
                if !job.is_answered() {
                    self.parked.push_front(job);
                }
                self.rests_until = Some(Instant::now() + pause);
                return false;
            }
            verdict => {
                job.settle(verdict, shared);
                return true;
            }
        };
        let is_all = refusal.blame() == Blame::Exchange;
        let also = if is_all { covered } else { 0 };
        for mut job in std::iter::once(job).chain(self.parked.drain(..also)) {
            let error = refusal.error(&job.message.address);
            job.answer(Err(error), shared);
        }
        self.rests_until = Some(Instant::now() + pause * (1 << self.refusals.min(DOUBLINGS)));
        self.refusals += 1;
        // Whatever else it objects to, the exchange is there.
        !is_all
    }
}
