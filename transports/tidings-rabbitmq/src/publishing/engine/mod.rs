//! The publish task: keeps every publish until its answer is known, through channels and connections that come and go.
//!
//! It is one hand-written future, because everything it waits for (new publishes, confirms, the connection, the clock) may
//! be ready at once and is then handled in one go: a step takes in what was handed over, answers what is known, and sends
//! what fits. It never waits for a write: frames are queued, so that the client writes many at a time.

mod clock;
mod live;
mod loss;

use std::{
    collections::{HashSet, VecDeque},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tidings_core::transport::BoxFuture;
use tokio::{
    sync::mpsc,
    time::{Instant, Sleep, sleep},
};

use self::{
    clock::fail,
    live::{Live, admit},
};
use super::{
    Times,
    flight::Flight,
    job::{Handed, Job, Shared},
    line::{Line, Loss, Source, Verdict},
    quarantine::Quarantine,
    refusal::too_large,
};

/// How many publishes are taken in, and how many are sent, before everything else is looked at again.
const BATCH: usize = 256;

/// How many steps are taken before other tasks of the thread get their turn.
const STEPS: usize = 4;

/// The publish task.
pub(super) struct Engine<S: Source> {
    source: S,
    handed: mpsc::UnboundedReceiver<Handed>,
    shared: Arc<Shared>,
    times: Times,
    window: usize,
    link: Link<S::Line>,
    /// Not sent on this channel, in order.
    waiting: VecDeque<Job>,
    quarantine: Quarantine,
    /// Exchanges that were probed, where that is asked for.
    probed: HashSet<Arc<str>>,
    /// The number of the connection that the last channel was on.
    generation: Option<u64>,
    /// The largest payload that the broker takes, once it has said so.
    size_limit: Option<usize>,
    /// The number of the next job.
    next: u64,
    /// Whether the broker did not read at the last look at the clock.
    was_blocked: bool,
    timer: Pin<Box<Sleep>>,
    is_timed: bool,
    received: Vec<Handed>,
    known: Vec<(Job, Verdict)>,
}

/// Whether there is a channel.
enum Link<L> {
    Opening(BoxFuture<'static, tidings_core::Result<L>>),
    Up(Box<Live<L>>),
    Ended,
}

impl<S: Source> Engine<S> {
    pub(super) fn new(
        mut source: S,
        handed: mpsc::UnboundedReceiver<Handed>,
        shared: Arc<Shared>,
        times: Times,
        window: usize,
    ) -> Self {
        let link = Link::Opening(source.open());
        Self {
            source,
            handed,
            shared,
            window: window.max(1),
            link,
            waiting: VecDeque::new(),
            quarantine: Quarantine::default(),
            probed: HashSet::new(),
            generation: None,
            size_limit: None,
            next: 0,
            was_blocked: false,
            timer: Box::pin(sleep(times.tick)),
            times,
            is_timed: false,
            received: Vec::new(),
            known: Vec::new(),
        }
    }

    /// Runs until every handle is gone and everything handed over is answered.
    pub(super) async fn run(mut self) {
        std::future::poll_fn(|context| self.poll(context)).await;
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        for _ in 0..STEPS {
            let mut is_busy = self.receive(context);
            is_busy |= self.connect(context);
            is_busy |= self.look(context);
            is_busy |= self.send(context);
            is_busy |= self.tick(context);
            if is_busy {
                continue;
            }
            let is_closed = self.handed.is_closed() && self.handed.is_empty();
            return if is_closed && self.shared.pending() == 0 {
                Poll::Ready(())
            } else {
                Poll::Pending
            };
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Takes in what was handed over.
    fn receive(&mut self, context: &mut Context<'_>) -> bool {
        let mut received = std::mem::take(&mut self.received);
        let polled = self.handed.poll_recv_many(context, &mut received, BATCH);
        let is_busy = matches!(polled, Poll::Ready(count) if count > 0);
        if is_busy {
            let now = Instant::now();
            for handed in received.drain(..) {
                self.waiting.push_back(Job::new(self.next, now, handed));
                self.next += 1;
            }
            if !self.is_timed {
                self.wake_at(now + self.times.confirm.min(self.times.tick));
            }
        }
        self.received = received;
        if matches!(self.link, Link::Ended) {
            self.give_up();
        }
        is_busy
    }

    /// Takes the next channel once it is there.
    fn connect(&mut self, context: &mut Context<'_>) -> bool {
        let Link::Opening(opening) = &mut self.link else {
            return false;
        };
        let Poll::Ready(opened) = opening.as_mut().poll(context) else {
            return false;
        };
        let Ok(line) = opened else {
            self.link = Link::Ended;
            self.handed.close();
            self.give_up();
            return true;
        };
        if self.generation.replace(line.generation()) != Some(line.generation()) {
            // Whatever the broker refused on the last connection may be welcome on this one.
            let jobs = self.quarantine.release();
            self.put_back(jobs);
            self.size_limit = None;
        }
        let again = self.waiting.iter().filter(|job| job.was_sent).count();
        if again > 0 {
            tracing::info!(
                count = again,
                "publishing {again} unconfirmed messages again"
            );
        }
        let now = Instant::now();
        self.link = Link::Up(Box::new(Live {
            over: line.over(),
            line,
            flight: Flight::new(self.window),
            unblocked: None,
            loss: None,
            lost: Vec::new(),
            quiet_since: now,
        }));
        true
    }

    /// Looks at what is on its way: answers what is known, and starts over when the channel has died.
    fn look(&mut self, context: &mut Context<'_>) -> bool {
        let Link::Up(live) = &mut self.link else {
            return false;
        };
        let is_over = live.over.as_mut().poll(context).is_ready();
        let mut known = std::mem::take(&mut self.known);
        live.flight.collect(context, &mut known);
        let is_busy = !known.is_empty();
        if is_busy {
            live.quiet_since = Instant::now();
        }
        for (job, verdict) in known.drain(..) {
            if let Verdict::Lost(loss) = &verdict {
                live.die(loss.clone());
            }
            live.lost.extend(job.settle(verdict, &self.shared));
        }
        self.known = known;
        if is_over {
            live.die(Loss::Gone(live.line.why()));
        }
        let grace = self.times.grace;
        let is_dead = match &live.loss {
            Some((_, since)) => is_over || live.flight.is_empty() || since.elapsed() >= grace,
            None => false,
        };
        if is_dead {
            self.start_over();
            return true;
        }
        if let Some((_, since)) = live.loss {
            self.wake_at(since + grace);
        }
        self.look_at_quarantine(context) || is_busy
    }

    fn look_at_quarantine(&mut self, context: &mut Context<'_>) -> bool {
        if self.quarantine.is_empty() {
            return false;
        }
        // A channel for the probe cannot be opened while the broker does not read.
        if let Link::Up(live) = &self.link
            && live.loss.is_none()
            && live.line.blocked().is_none()
        {
            self.quarantine.probe(&live.line, Instant::now());
        }
        let (mut free, mut cleared) = (Vec::new(), Vec::new());
        self.quarantine.poll(
            context,
            self.times.pause,
            &self.shared,
            &mut free,
            &mut cleared,
        );
        if let Link::Up(live) = &self.link
            && live.line.is_precious()
        {
            self.probed.extend(cleared.iter().cloned());
        }
        if let Some(next) = self.quarantine.next(Instant::now()) {
            self.wake_at(next);
        }
        self.put_back(free);
        !cleared.is_empty()
    }

    /// Sends what fits.
    fn send(&mut self, context: &mut Context<'_>) -> bool {
        let Link::Up(live) = &mut self.link else {
            return false;
        };
        if self.waiting.is_empty() || live.loss.is_some() || !live.is_open(context) {
            return false;
        }
        if live.flight.is_empty() {
            live.quiet_since = Instant::now();
        }
        let mut sent = 0;
        while sent < BATCH
            && let Some(job) = self
                .waiting
                .pop_front_if(|job| live.flight.has_room_for(job))
        {
            sent += 1;
            if job.is_forsaken() {
                let mut job = job;
                fail(&mut job, "nobody waits for it any more", &self.shared);
                continue;
            }
            let Some(job) = admit(job, &live.line, &mut self.quarantine, &self.probed) else {
                continue;
            };
            if let Some(limit) = self.size_limit.filter(|limit| job.size() > *limit) {
                let mut job = job;
                job.answer(Err(too_large(&job.message, limit)), &self.shared);
                continue;
            }
            let sending = live.line.send(&job.message, job.mandatory);
            live.flight.start(job, sending);
        }
        sent > 0
    }
}

impl<S: Source> Drop for Engine<S> {
    fn drop(&mut self) {
        self.shared.end(std::thread::panicking());
    }
}
