//! Where the deliveries of one channel come from, for whoever wants them: the subscriber itself, or its keeper.
//!
//! Whoever waits for deliveries polls lapin's consumer on its own thread, so that a delivery wakes nobody else on its way.
//! While nobody waits, the keeper looks now and then, because the end of a consumer must be noticed.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use lapin::{Consumer, message::Delivery, types::ShortString};

use crate::{
    acker::ChannelSettle,
    consuming::{offsets::Offsets, pump::Pump},
};

/// A consumer, shared by those who may poll it.
#[derive(Clone)]
pub(crate) struct Source(Arc<Mutex<Inner>>);

struct Inner {
    pump: Pump,
    settle: Arc<ChannelSettle>,
    /// Where in its stream each delivery lies, if it is one.
    offsets: Option<Offsets>,
    has_ended: bool,
}

/// How a consumer has ended: with an error, or without one if it was cancelled or its channel was closed in order.
pub(crate) type End = Option<lapin::Error>;

impl Source {
    pub(crate) fn new(consumer: Consumer, settle: Arc<ChannelSettle>, is_stream: bool) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            pump: Pump::new(consumer),
            settle,
            offsets: is_stream.then(Offsets::default),
            has_ended: false,
        })))
    }

    /// Appends what has come in; ready once, when the consumer has ended. Whoever polls last is woken by the next delivery.
    pub(crate) fn poll(&self, into: &mut VecDeque<Delivery>, cx: &mut Context<'_>) -> Poll<End> {
        let mut inner = self.inner();
        let Inner {
            pump,
            settle,
            offsets,
            has_ended,
        } = &mut *inner;
        if *has_ended {
            return Poll::Pending;
        }
        let ended = pump.poll(cx, |batch| {
            if let Some(offsets) = offsets {
                offsets.note(batch, settle.first_unsettled());
            }
            // Counted first: a delivery may be settled before this returns.
            settle.count(batch.len() as u64);
            into.append(batch);
        });
        *has_ended = ended.is_ready();
        ended
    }

    /// The name of the consumer at the broker.
    pub(crate) fn tag(&self) -> ShortString {
        self.inner().pump.tag()
    }

    /// Where in its stream another consumer has to go on, so that nothing unsettled is left out.
    pub(crate) fn resume_at(&self) -> Option<i64> {
        let mut inner = self.inner();
        let first = inner.settle.first_unsettled();
        inner.offsets.as_mut()?.resume_at(first)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Source")
    }
}
