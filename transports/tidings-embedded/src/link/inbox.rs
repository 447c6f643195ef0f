//! The receiving end of a subscription that began at another process, and may end up in this one.
//!
//! Deliveries wait here until the subscriber polls. When the session ends, those that wait are dropped: they
//! were never handed out and come again. When this process takes over, the engine's own subscriber is put here
//! and the subscriber goes on with that.

use std::{
    collections::VecDeque,
    fmt, mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use tidings_core::{
    Delivery, Error, Result,
    transport::{Subscriber, Subscription},
};

use super::member::Member;

/// What a session has delivered and the subscriber has not taken.
pub(super) struct Inbox {
    /// What is subscribed to, for subscribing again.
    pub(super) to: Subscription,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Whether an owner has accepted it once: from then on it is subscribed again after a reconnect.
    established: bool,
    waiting: VecDeque<Delivery>,
    next: Option<Next>,
    waker: Option<Waker>,
}

/// What comes after the waiting deliveries.
enum Next {
    /// This process has become the owner.
    Local(Box<dyn Subscriber>),
    /// Nothing, because of this.
    End(Option<Error>),
}

impl Inbox {
    pub(super) fn new(to: Subscription) -> Self {
        Self {
            to,
            state: Mutex::default(),
        }
    }

    /// Adds a delivery. Returns whether the owner kept to the prefetch.
    pub(super) fn deliver(&self, delivery: Delivery) -> bool {
        let mut state = self.lock();
        if state.waiting.len() >= usize::from(self.to.prefetch) {
            drop(state);
            return false;
        }
        state.waiting.push_back(delivery);
        state.wake();
        true
    }

    /// Notes that an owner has accepted the subscription.
    pub(super) fn establish(&self) {
        self.lock().established = true;
    }

    /// Whether an owner has ever accepted the subscription.
    pub(super) fn is_established(&self) -> bool {
        self.lock().established
    }

    /// Forgets what waits: its session is over.
    pub(super) fn clear(&self) {
        // Dropped outside the lock: a dropped delivery gives itself back to the session.
        let waiting = mem::take(&mut self.lock().waiting);
        drop(waiting);
    }

    /// Goes on with a subscriber of this process.
    pub(super) fn go_local(&self, subscriber: Box<dyn Subscriber>) {
        self.finish(Next::Local(subscriber));
    }

    /// Ends it.
    pub(super) fn end(&self, error: Option<Error>) {
        self.finish(Next::End(error));
    }

    fn finish(&self, next: Next) {
        let mut state = self.lock();
        state.next.get_or_insert(next);
        state.wake();
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<Item> {
        let mut state = self.lock();
        if let Some(delivery) = state.waiting.pop_front() {
            return Poll::Ready(Item::Delivery(delivery));
        }
        match state.next.take() {
            Some(Next::Local(subscriber)) => Poll::Ready(Item::Local(subscriber)),
            Some(Next::End(error)) => {
                state.next = Some(Next::End(None));
                Poll::Ready(Item::End(error))
            }
            None => {
                state.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox")
            .field("to", &self.to)
            .finish_non_exhaustive()
    }
}

enum Item {
    Delivery(Delivery),
    Local(Box<dyn Subscriber>),
    End(Option<Error>),
}

/// A subscription made while another process was the owner. Dropping it cancels the subscription, wherever it is then.
pub(super) struct LinkSubscriber {
    source: Source,
    registration: Registration,
}

enum Source {
    Inbox,
    Local(Box<dyn Subscriber>),
}

/// The place of an inbox among the subscriptions of this process; given up when dropped.
pub(super) struct Registration {
    pub(super) member: Arc<Member>,
    pub(super) id: u32,
    pub(super) inbox: Arc<Inbox>,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.member.unsubscribe(self.id);
        self.inbox.clear();
    }
}

impl LinkSubscriber {
    pub(super) fn new(registration: Registration) -> Self {
        Self {
            source: Source::Inbox,
            registration,
        }
    }
}

impl Subscriber for LinkSubscriber {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Delivery>>> {
        loop {
            if let Source::Local(subscriber) = &mut self.source {
                return subscriber.poll_next(cx);
            }
            match self.registration.inbox.poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Item::Delivery(delivery)) => return Poll::Ready(Some(Ok(delivery))),
                Poll::Ready(Item::Local(subscriber)) => self.source = Source::Local(subscriber),
                Poll::Ready(Item::End(error)) => return Poll::Ready(error.map(Err)),
            }
        }
    }
}
