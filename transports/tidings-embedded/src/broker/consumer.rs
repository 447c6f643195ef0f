//! Those who wait for messages.
//!
//! Consumers pull: a message stays in its queue until a consumer that is really polling takes it, so what a
//! slow consumer has not seen yet still expires, still goes to others, and is not marked as redelivered.

use std::{mem, task::Waker};

use tidings_core::Error;

use crate::broker::{ConnectionId, queue::QueueId};

/// A consumer's identity: never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ConsumerId(pub(crate) u64);

/// A consumer.
#[derive(Debug)]
pub(crate) struct Consumer {
    pub(crate) connection: ConnectionId,
    pub(crate) queue: QueueId,
    pub(crate) prefetch: u32,
    pub(crate) unsettled: u32,
    pub(crate) waits: Waits,
    pub(crate) waker: Option<Waker>,
}

/// What a consumer waits for.
#[derive(Debug)]
pub(crate) enum Waits {
    /// For nothing: it is busy elsewhere.
    Not,
    /// For a message; it is in its queue's rotation.
    Message,
    /// For one of its deliveries to be settled.
    Room,
    /// For its turn: it has been woken for a message and has not come yet.
    Turn,
    /// It has ended, after this error if there is one.
    Ended(Option<Error>),
}

/// Wakers to call once the lock is released. Most operations wake nobody or one, which allocates nothing.
#[derive(Debug, Default)]
pub(crate) struct Wakers {
    first: Option<Waker>,
    rest: Vec<Waker>,
}

impl Wakers {
    pub(crate) fn add(&mut self, waker: Option<Waker>) {
        if self.first.is_none() {
            self.first = waker;
        } else {
            self.rest.extend(waker);
        }
    }

    /// Takes them out; `None`, the usual case, if there are none.
    pub(crate) fn take(&mut self) -> Option<Self> {
        self.first.is_some().then(|| mem::take(self))
    }

    pub(crate) fn wake(self) {
        if let Some(waker) = self.first {
            waker.wake();
        }
        for waker in self.rest {
            waker.wake();
        }
    }
}
