//! One publish, from the moment it is handed over until its answer is known.

use std::{
    collections::VecDeque,
    mem,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tidings_core::{Result, call::Message};
use tokio::{
    sync::{Notify, oneshot},
    time::Instant,
};

use super::{
    line::{Refusal, Verdict},
    refusal::{is_direct_reply, nacked, no_such_reader, unconfirmed, unroutable},
};

/// After how many crashes a publish is not sent again, if it was under way alone in the last.
const CRASHES: u8 = 3;

/// What a publisher hands to the publish task.
pub(super) struct Handed {
    pub(super) message: Arc<Message>,
    pub(super) mandatory: bool,
    /// Whether its time stands still while the broker blocks.
    pub(super) is_patient: bool,
    pub(super) answer: oneshot::Sender<Result<()>>,
}

/// A publish that the publish task is responsible for.
pub(super) struct Job {
    /// Counts up in the order in which jobs were handed over, which is the order in which they are sent.
    pub(super) number: u64,
    pub(super) since: Instant,
    pub(super) message: Arc<Message>,
    pub(super) mandatory: bool,
    is_patient: bool,
    /// Whether it was ever sent, so that nobody can tell whether the broker has it.
    pub(super) was_sent: bool,
    /// Whether it may be the one that the broker closed a channel for. It is sent alone, then.
    pub(super) is_suspect: bool,
    /// How many crashes of the broker it was under way in.
    crashes: u8,
    /// Whether the broker has returned it.
    pub(super) is_returned: bool,
    /// `None` once it was answered. A job that is answered early stays, because its confirm may carry the returned
    /// message of another.
    answer: Option<oneshot::Sender<Result<()>>>,
}

impl Job {
    pub(super) fn new(number: u64, since: Instant, handed: Handed) -> Self {
        Self {
            number,
            since,
            message: handed.message,
            mandatory: handed.mandatory,
            is_patient: handed.is_patient,
            was_sent: false,
            is_suspect: false,
            crashes: 0,
            is_returned: false,
            answer: Some(handed.answer),
        }
    }

    pub(super) fn is_answered(&self) -> bool {
        self.answer.is_none()
    }

    /// Whether nobody waits for a patient one any more: its delivery comes again, so it is not needed.
    pub(super) fn is_forsaken(&self) -> bool {
        let answer = self.answer.as_ref();
        self.is_patient && answer.is_some_and(oneshot::Sender::is_closed)
    }

    /// Gives a patient one all of its time again, because the broker has just begun to read.
    pub(super) fn begin_again(&mut self, now: Instant) {
        if self.is_patient {
            self.since = now;
        }
    }

    pub(super) fn size(&self) -> usize {
        self.message.envelope.payload.len()
    }

    /// Notes that something in the broker has crashed while this was under way, maybe `alone`. From the second time on
    /// it is sent alone; when that has happened once too often, its publisher is told, and it is not sent again. A direct
    /// reply is the likely cause, so for it each comes one time earlier or more.
    pub(super) fn crash(&mut self, alone: bool, refusal: &Refusal, shared: &Shared) {
        let address = &self.message.address;
        let is_direct = is_direct_reply(address);
        self.crashes = self.crashes.saturating_add(1);
        self.is_suspect |= is_direct || self.crashes > 1;
        if alone && (is_direct || self.crashes >= CRASHES) {
            let error = if is_direct {
                no_such_reader(address)
            } else {
                unconfirmed(address, &refusal.text)
            };
            self.answer(Err(error), shared);
        }
    }

    /// Tells the publisher; only the first answer counts.
    pub(super) fn answer(&mut self, result: Result<()>, shared: &Shared) {
        if let Some(answer) = self.answer.take() {
            // Before the answer: whoever has it may count at once.
            shared.leave();
            // Nobody has to wait for it.
            let _heard = answer.send(result).is_ok();
        }
    }

    /// Tells the publisher what the broker said; gives the job back if the broker said nothing.
    pub(super) fn settle(mut self, verdict: Verdict, shared: &Shared) -> Option<Self> {
        let address = &self.message.address;
        let result = match verdict {
            _ if self.is_returned => Err(unroutable(address)),
            Verdict::Confirmed(_) => Ok(()),
            Verdict::Nacked(_) => Err(nacked(address)),
            Verdict::Unwritable(error) => Err(error),
            Verdict::Welcome | Verdict::Lost(_) => return Some(self),
        };
        self.answer(result, shared);
        None
    }
}

/// What the publish task and its handles have in common.
#[derive(Debug)]
pub(super) struct Shared {
    /// Publishes handed over and not answered.
    pending: AtomicUsize,
    is_closing: AtomicBool,
    has_ended: AtomicBool,
    has_panicked: AtomicBool,
    /// When the oldest unanswered publish was handed over, in milliseconds since `start` and one; 0 for none.
    oldest: AtomicU64,
    /// How often something in the broker has crashed under publishes.
    crashes: AtomicU64,
    start: Instant,
    left: Notify,
}

impl Shared {
    pub(super) fn new() -> Self {
        Self {
            pending: AtomicUsize::new(0),
            is_closing: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
            has_panicked: AtomicBool::new(false),
            oldest: AtomicU64::new(0),
            crashes: AtomicU64::new(0),
            start: Instant::now(),
            left: Notify::new(),
        }
    }

    pub(super) fn pending(&self) -> usize {
        self.pending.load(Ordering::SeqCst)
    }

    /// Counts one more; false, and nothing counted, if there are `limit` already.
    pub(super) fn enter(&self, limit: usize) -> bool {
        if self.pending.fetch_add(1, Ordering::SeqCst) < limit {
            return true;
        }
        self.leave();
        false
    }

    pub(super) fn leave(&self) {
        let before = self.pending.fetch_sub(1, Ordering::SeqCst);
        if before == 1 && self.is_closing() {
            self.left.notify_waiters();
        }
    }

    /// Takes no more. Whoever has entered before is counted.
    pub(super) fn close(&self) {
        self.is_closing.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::SeqCst)
    }

    /// Nobody will answer any more.
    pub(super) fn end(&self, has_panicked: bool) {
        self.has_panicked.store(has_panicked, Ordering::SeqCst);
        self.has_ended.store(true, Ordering::SeqCst);
        self.left.notify_waiters();
    }

    /// Counts a crash of something in the broker.
    pub(super) fn crash(&self) {
        self.crashes.fetch_add(1, Ordering::SeqCst);
    }

    /// How many crashes there were.
    pub(super) fn crashes(&self) -> u64 {
        self.crashes.load(Ordering::SeqCst)
    }

    pub(super) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::SeqCst)
    }

    pub(super) fn has_panicked(&self) -> bool {
        self.has_panicked.load(Ordering::SeqCst)
    }

    /// Resolves when nothing is pending that may still be answered. Only after [`close`](Self::close).
    pub(super) async fn empty(&self) {
        loop {
            let left = self.left.notified();
            if self.pending() == 0 || self.has_ended() {
                return;
            }
            left.await;
        }
    }

    pub(super) fn set_oldest(&self, since: Option<Instant>) {
        let millis = |since: Instant| {
            let millis = since.saturating_duration_since(self.start).as_millis();
            u64::try_from(millis).unwrap_or(u64::MAX - 1) + 1
        };
        self.oldest
            .store(since.map_or(0, millis), Ordering::Relaxed);
    }

    /// How long the oldest unanswered publish has been waiting, as seen at the last look.
    pub(super) fn age(&self) -> Option<Duration> {
        let since = self.oldest.load(Ordering::Relaxed).checked_sub(1)?;
        let since = self.start + Duration::from_millis(since);
        (self.pending() > 0).then(|| since.elapsed())
    }
}

/// When a publish has waited for too long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    pub(super) now: Instant,
    pub(super) patience: Duration,
    /// Whether the broker does not read at the moment, which patient ones wait out.
    pub(super) is_blocked: bool,
}

impl Limit {
    pub(super) fn is_passed_by(&self, job: &Job) -> bool {
        if self.is_blocked && job.is_patient {
            return job.is_forsaken();
        }
        self.now.saturating_duration_since(job.since) >= self.patience
    }

    /// Moves what has waited for too long out of a list; the rest stays in order.
    pub(super) fn extract(&self, jobs: &mut VecDeque<Job>) -> Vec<Job> {
        if !jobs.iter().any(|job| self.is_passed_by(job)) {
            return Vec::new();
        }
        let (late, rest) = mem::take(jobs)
            .into_iter()
            .partition(|job| self.is_passed_by(job));
        *jobs = rest;
        late.into()
    }
}
