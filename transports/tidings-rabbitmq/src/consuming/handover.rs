//! Where deliveries pass from lapin to the task that handles them.
//!
//! The subscriber takes everything that is there and returns when that is used up, so that a message costs no lock and no
//! wake-up of its own; while it waits, lapin wakes it directly (see [`Source`]). What the keeper has found while
//! nobody waited lies in a queue between the two. It needs no bound: the broker sends no more than the prefetch. What it
//! holds belongs to one *life* of the subscription (one channel); when that ends, its deliveries go back to their queue by
//! themselves, and those that were not handed out are forgotten.

use std::{
    collections::VecDeque,
    fmt, mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};

use lapin::message::Delivery;
use tidings_core::{Error, acker::Settle};
use tokio::sync::Notify;

use crate::consuming::source::{self, Source};

/// Deliveries of one life.
pub(crate) struct Batch {
    life: u64,
    /// Settles them.
    pub(crate) settle: Arc<dyn Settle>,
    /// In the order in which they came.
    pub(crate) deliveries: VecDeque<Delivery>,
}

/// The queue between one subscriber and its keeper.
pub(crate) struct Handover {
    /// Counts the lives.
    life: AtomicU64,
    state: Mutex<State>,
    /// Whether the subscriber is gone.
    left: AtomicBool,
    leaving: Notify,
    /// The consumer of this life has ended, and the subscriber was the one to see it.
    ending: Notify,
}

struct State {
    settle: Arc<dyn Settle>,
    deliveries: VecDeque<Delivery>,
    source: Option<Source>,
    /// How the consumer of this life has ended, until its keeper has heard of it.
    ended: Option<source::End>,
    /// Whether the next delivery wakes the keeper.
    is_kept: bool,
    end: Option<End>,
    waker: Option<Waker>,
}

/// How a subscription ends: with an error, or without one.
type End = Option<Error>;

impl Handover {
    /// For a first life whose deliveries this settles; without a source, they are [given](Self::give).
    pub(crate) fn new(settle: Arc<dyn Settle>, source: Option<Source>) -> Self {
        let state = State {
            settle,
            deliveries: VecDeque::new(),
            source,
            ended: None,
            is_kept: false,
            end: None,
            waker: None,
        };
        Self {
            life: AtomicU64::new(0),
            state: Mutex::new(state),
            left: AtomicBool::new(false),
            leaving: Notify::new(),
            ending: Notify::new(),
        }
    }

    /// For the keeper: ready when the consumer of this life has ended. It takes part in receiving if it is `due` for a look,
    /// and from then on until the subscriber waits again.
    pub(crate) fn poll_ended(&self, due: bool, cx: &mut Context<'_>) -> Poll<source::End> {
        let mut state = self.state();
        if let Some(ended) = state.ended.take() {
            return Poll::Ready(ended);
        }
        if !due && !state.is_kept {
            return Poll::Pending;
        }
        let State {
            source, deliveries, ..
        } = &mut *state;
        let Some(source) = source else {
            return Poll::Pending;
        };
        let ended = source.poll(deliveries, cx);
        state.is_kept = true;
        if state.deliveries.is_empty() {
            return ended;
        }
        wake(state);
        ended
    }

    /// Resolves when the subscriber has seen the end of the consumer.
    ///
    /// # Cancel safety
    /// Yes: an end that was seen stays to be [polled](Self::poll_ended).
    pub(crate) async fn ending(&self) {
        self.ending.notified().await;
    }

    /// Hands deliveries over; leaves `deliveries` empty.
    pub(crate) fn give(&self, deliveries: &mut VecDeque<Delivery>) {
        let mut state = self.state();
        if state.deliveries.is_empty() {
            mem::swap(&mut state.deliveries, deliveries);
        } else {
            state.deliveries.append(deliveries);
        }
        wake(state);
    }

    /// Forgets what has not been handed out and begins another life, if there is to be one.
    pub(crate) fn begin_life(&self, life: Option<(Arc<dyn Settle>, Source)>) {
        let mut state = self.state();
        self.life.fetch_add(1, Ordering::Release);
        state.deliveries.clear();
        (state.source, state.ended, state.is_kept) = (None, None, false);
        if let Some((settle, source)) = life {
            state.settle = settle;
            state.source = Some(source);
            wake(state);
        }
    }

    /// Ends the subscription: the subscriber yields the error, if there is one, and then nothing more.
    pub(crate) fn end(&self, error: Option<Error>) {
        let mut state = self.state();
        state.end.get_or_insert(error);
        wake(state);
    }

    /// The deliveries that have not been handed out, after the subscriber has left.
    pub(crate) fn leftovers(&self) -> VecDeque<Delivery> {
        mem::take(&mut self.state().deliveries)
    }

    /// Resolves when the subscriber has left.
    ///
    /// # Cancel safety
    /// Yes: it only looks at a flag.
    pub(crate) async fn left(&self) {
        while !self.left.load(Ordering::Acquire) {
            self.leaving.notified().await;
        }
    }

    /// Everything that is there; takes the place of `batch`. For the subscriber.
    pub(crate) fn poll_take(
        &self,
        batch: &mut Option<Batch>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), End>> {
        let mut state = self.state();
        if state.deliveries.is_empty() {
            self.look(&mut state, cx);
        }
        if state.deliveries.is_empty() {
            if let Some(end) = &mut state.end {
                return Poll::Ready(Err(end.take()));
            }
            match &mut state.waker {
                Some(waker) => waker.clone_from(cx.waker()),
                waker => *waker = Some(cx.waker().clone()),
            }
            return Poll::Pending;
        }
        // The empty queue of the last batch becomes the next one to be filled.
        let mut queue = batch
            .take()
            .map(|batch| batch.deliveries)
            .unwrap_or_default();
        queue.clear();
        *batch = Some(Batch {
            life: self.life.load(Ordering::Relaxed),
            settle: Arc::clone(&state.settle),
            deliveries: mem::replace(&mut state.deliveries, queue),
        });
        Poll::Ready(Ok(()))
    }

    /// The subscriber looks for itself, and is woken by what comes next.
    fn look(&self, state: &mut State, cx: &mut Context<'_>) {
        let State {
            source: Some(source),
            deliveries,
            ..
        } = state
        else {
            return;
        };
        let ended = source.poll(deliveries, cx);
        state.is_kept = false;
        if let Poll::Ready(ended) = ended {
            state.ended = Some(ended);
            self.ending.notify_one();
        }
    }

    /// Whether deliveries of this batch may still be handed out.
    pub(crate) fn is_alive(&self, batch: &Batch) -> bool {
        batch.life == self.life.load(Ordering::Acquire)
    }

    /// The subscriber leaves, and leaves this behind.
    pub(crate) fn leave(&self, batch: Option<Batch>) {
        let mut state = self.state();
        if let Some(mut batch) = batch
            && self.is_alive(&batch)
        {
            batch.deliveries.append(&mut state.deliveries);
            state.deliveries = batch.deliveries;
        }
        state.waker = None;
        drop(state);
        self.left.store(true, Ordering::Release);
        self.leaving.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes the subscriber, after the lock has been let go: it will want it.
fn wake(mut state: MutexGuard<'_, State>) {
    let waker = state.waker.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl fmt::Debug for Handover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handover")
            .field("life", &self.life)
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}
