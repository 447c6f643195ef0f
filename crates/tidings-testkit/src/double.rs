//! Doubles: a publisher and a settler that write down what is asked of them and answer as told.

use std::{
    fmt, mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use tidings_core::{
    Acker, Address, Call, Completion, Delivery, Envelope, Error, ErrorKind, Result, Settlement,
    acker::Settle, transport::Publisher,
};
use tokio::sync::oneshot;

/// A publisher that records every call.
///
/// ```
/// use tidings_core::{ErrorKind, transport::Publisher};
/// use tidings_testkit::double::{Answer, FakePublisher, call};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let publisher = FakePublisher::new();
/// publisher.publish(call("q", "fine")).await?;
/// publisher.answer(Answer::Fail(ErrorKind::Full));
/// assert!(publisher.publish(call("q", "too much")).await.is_err());
/// assert_eq!(publisher.calls().len(), 2);
/// # Ok::<_, tidings_core::Error>(())
/// # })?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Default)]
pub struct FakePublisher(Mutex<Published>);

#[derive(Default)]
struct Published {
    calls: Vec<Call>,
    answer: Answer,
    pending: Vec<oneshot::Sender<Result<()>>>,
}

/// How a double answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Answer {
    /// Success at once.
    #[default]
    Confirm,
    /// This error at once.
    Fail(ErrorKind),
    /// Nothing, until [`FakePublisher::resolve`].
    Stay,
}

impl FakePublisher {
    /// Confirms everything.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Answers this way from now on.
    pub fn answer(&self, answer: Answer) {
        lock(&self.0).answer = answer;
    }

    /// What was published so far.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.0).calls.clone()
    }

    /// Takes what was published so far.
    pub fn take(&self) -> Vec<Call> {
        mem::take(&mut lock(&self.0).calls)
    }

    /// Answers all publishes that are pending; returns how many.
    pub fn resolve(&self, result: Result<(), ErrorKind>) -> usize {
        let pending = mem::take(&mut lock(&self.0).pending);
        let count = pending.len();
        for waiting in pending {
            // A caller that gave up needs no answer.
            drop(waiting.send(result.map_err(refusal)));
        }
        count
    }
}

impl Publisher for FakePublisher {
    fn publish(&self, call: Call) -> Completion {
        let mut published = lock(&self.0);
        published.calls.push(call);
        match published.answer {
            Answer::Confirm => Completion::ready(Ok(())),
            Answer::Fail(kind) => Completion::ready(Err(refusal(kind))),
            Answer::Stay => {
                let (waiting, answer) = oneshot::channel();
                published.pending.push(waiting);
                Completion::waiting(answer, "the fake publisher is gone")
            }
        }
    }
}

impl fmt::Debug for FakePublisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let published = lock(&self.0);
        f.debug_struct("FakePublisher")
            .field("calls", &published.calls.len())
            .field("answer", &published.answer)
            .finish_non_exhaustive()
    }
}

/// A settler that records what became of every delivery that [`delivery`](Self::delivery) made.
#[derive(Debug, Default)]
pub struct FakeSettle(Mutex<Settled>);

#[derive(Debug, Default)]
struct Settled {
    fates: Vec<(u64, Fate)>,
    answer: Option<ErrorKind>,
    next: u64,
}

/// What became of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Somebody settled it.
    Settled(Settlement),
    /// Somebody dropped it.
    Abandoned,
}

impl FakeSettle {
    /// Accepts every settlement.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Refuses every settlement from now on.
    pub fn refuse(&self, kind: ErrorKind) {
        lock(&self.0).answer = Some(kind);
    }

    /// A delivery of this call; tags count from 0.
    #[must_use]
    pub fn delivery(self: &Arc<Self>, call: Call) -> Delivery {
        let mut settled = lock(&self.0);
        let tag = settled.next;
        settled.next += 1;
        drop(settled);
        let settle: Arc<dyn Settle> = Arc::<Self>::clone(self);
        Delivery::new(call, Acker::new(settle, tag))
    }

    /// Tags and what became of them, in the order in which it happened.
    #[must_use]
    pub fn fates(&self) -> Vec<(u64, Fate)> {
        lock(&self.0).fates.clone()
    }

    /// How deliveries were settled, in order, without those that were dropped.
    #[must_use]
    pub fn settlements(&self) -> Vec<Settlement> {
        self.fates()
            .into_iter()
            .filter_map(|(_, fate)| match fate {
                Fate::Settled(how) => Some(how),
                Fate::Abandoned => None,
            })
            .collect()
    }
}

impl Settle for FakeSettle {
    fn settle(&self, tag: u64, how: Settlement) -> Completion {
        let mut settled = lock(&self.0);
        settled.fates.push((tag, Fate::Settled(how)));
        Completion::ready(settled.answer.map_or(Ok(()), |kind| Err(refusal(kind))))
    }

    fn abandon(&self, tag: u64) {
        lock(&self.0).fates.push((tag, Fate::Abandoned));
    }
}

/// A call to a queue, as a publisher makes it.
#[must_use]
pub fn call(queue: &str, payload: impl Into<Bytes>) -> Call {
    Call::new(Address::queue(queue), Envelope::new(payload))
}

/// A call out of a queue, as a handler receives it for the first time.
#[must_use]
pub fn delivered(queue: &str, payload: impl Into<Bytes>) -> Call {
    call(queue, payload).with_origin(queue.into(), false)
}

fn refusal(kind: ErrorKind) -> Error {
    Error::new(kind, format!("the double was told to answer {kind:?}"))
}

fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
