//! The publish task: keeps every publish until its answer is known, through channels and connections that come and go.
//!
//! It is one hand-written future, because everything it waits for (new publishes, confirms, the connection, the clock) may
//! be ready at once and is then handled in one go: a step takes in what was handed over, answers what is known, and sends
//! what fits. It never waits for a write: frames are queued, so that the client writes many at a time.

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

use super::{
    Times,
    flight::Flight,
    job::{Handed, Job, Shared, expired},
    line::{Line, Loss, Refusal, Source, Verdict},
    quarantine::Quarantine,
    refusal::{Blame, never_sent, too_large, unconfirmed, unroutable},
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

/// A channel, and what is on its way on it.
struct Live<L> {
    line: L,
    flight: Flight,
    over: BoxFuture<'static, ()>,
    unblocked: Option<BoxFuture<'static, ()>>,
    /// Set once the channel has died: nothing more is sent, the answers that were already given are collected.
    loss: Option<(Loss, Instant)>,
    /// Those that were lost with it.
    lost: Vec<Job>,
    /// When the broker last gave an answer, or had no reason to.
    quiet_since: Instant,
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
        if let Link::Up(live) = &self.link
            && live.loss.is_none()
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
        if let Some(next) = self.quarantine.next() {
            self.wake_at(next);
        }
        self.put_back(free);
        !cleared.is_empty()
    }

    /// Puts jobs where their numbers belong.
    fn put_back(&mut self, jobs: Vec<Job>) {
        if jobs.is_empty() {
            return;
        }
        self.waiting.extend(jobs);
        self.waiting.make_contiguous().sort_by_key(|job| job.number);
    }

    /// Leaves a dead channel: decides about what was lost with it, and waits for the next.
    fn start_over(&mut self) {
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
            loss => tracing::debug!(
                ?loss,
                count = lost.len(),
                "a channel for publishing is gone"
            ),
        }
        lost.retain(|job| !job.is_answered());
        self.put_back(lost);
    }

    /// Finds those whom a refusal concerns and deals with them; `lost` keeps the others.
    fn blame(&mut self, refusal: &Refusal, lost: &mut Vec<Job>) {
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

    /// Looks at the clock, when it is time to.
    fn tick(&mut self, context: &mut Context<'_>) -> bool {
        if !self.is_timed || self.timer.as_mut().poll(context).is_pending() {
            return false;
        }
        self.is_timed = false;
        let now = Instant::now();
        self.expire(now);
        self.watch(now);
        let pending = self.shared.pending();
        metrics::gauge!(tidings_core::metric::UNCONFIRMED).set(as_f64(pending));
        let oldest = self.oldest();
        self.shared.set_oldest(oldest);
        if pending > 0 {
            let due = oldest.map_or(now + self.times.tick, |oldest| oldest + self.times.confirm);
            self.wake_at(due.clamp(now, now + self.times.tick));
        }
        true
    }

    /// Answers what has waited for too long.
    fn expire(&mut self, now: Instant) {
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
    fn watch(&mut self, now: Instant) {
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

    /// Answers everything, because there will never be a channel again.
    fn give_up(&mut self) {
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

    fn oldest(&self) -> Option<Instant> {
        let flying = match &self.link {
            Link::Up(live) => live.flight.oldest(),
            _ => None,
        };
        let waiting = self.waiting.front().map(|job| job.since);
        let oldest = [flying, waiting, self.quarantine.oldest()];
        oldest.into_iter().flatten().min()
    }

    /// Has the clock looked at by then.
    fn wake_at(&mut self, instant: Instant) {
        if !self.is_timed || instant < self.timer.deadline() {
            self.timer.as_mut().reset(instant);
            self.is_timed = true;
        }
    }
}

impl<S: Source> Drop for Engine<S> {
    fn drop(&mut self) {
        self.shared.end();
    }
}

impl<L: Line> Live<L> {
    /// Notes that the channel has died. What the broker objects to says more than that the channel is gone.
    fn die(&mut self, loss: Loss) {
        match &mut self.loss {
            Some((known @ Loss::Gone(_), _)) if matches!(loss, Loss::Refused(_)) => *known = loss,
            Some(_) => {}
            none => *none = Some((loss, Instant::now())),
        }
    }

    /// Whether the broker reads; if not, the task is woken when it does.
    fn is_open(&mut self, context: &mut Context<'_>) -> bool {
        if self.unblocked.is_none() && self.line.blocked().is_none() {
            return true;
        }
        let line = &self.line;
        let unblocked = self.unblocked.get_or_insert_with(|| line.unblocked());
        let is_open = unblocked.as_mut().poll(context).is_ready();
        if is_open {
            self.unblocked = None;
            self.quiet_since = Instant::now();
        }
        is_open
    }

    fn trouble(&self, patience: std::time::Duration) -> String {
        match self.line.blocked() {
            Some(reason) => format!("the broker has blocked the connection: {reason}"),
            None => format!("no answer within {patience:?}"),
        }
    }
}

/// Gives the job back if it may be sent now; else its exchange is kept apart, and the job with it.
fn admit(
    job: Job,
    line: &impl Line,
    quarantine: &mut Quarantine,
    probed: &HashSet<Arc<str>>,
) -> Option<Job> {
    let exchange = &job.message.address.exchange;
    if line.is_precious() && !exchange.is_empty() && !probed.contains(exchange) {
        quarantine.add(exchange);
    }
    if quarantine.is_empty() {
        return Some(job);
    }
    quarantine.park(job)
}

/// Answers a job of which nothing is known.
fn fail(job: &mut Job, trouble: &str, shared: &Shared) {
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
