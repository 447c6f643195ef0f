//! Takes deliveries out of a lapin consumer, as many at a time as there are.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::Stream;
use lapin::{Consumer, message::Delivery, types::ShortString};

/// How many deliveries are taken in one go. Consumers without acks, and those with a large prefetch, may have more.
pub(crate) const AT_ONCE: usize = 1_024;

/// A consumer, and what was taken out of it and not given away yet.
#[derive(Debug)]
pub(crate) struct Pump {
    consumer: Consumer,
    batch: VecDeque<Delivery>,
}

impl Pump {
    pub(crate) fn new(consumer: Consumer) -> Self {
        Self {
            consumer,
            batch: VecDeque::new(),
        }
    }

    /// The name of the consumer at the broker.
    pub(crate) fn tag(&self) -> ShortString {
        self.consumer.tag()
    }

    /// Gives away what has come in. Ready when the consumer has ended: with an error, or without one if it was
    /// cancelled or its channel was closed in order.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        give: impl FnOnce(&mut VecDeque<Delivery>),
    ) -> Poll<Option<lapin::Error>> {
        let ended = loop {
            match Pin::new(&mut self.consumer).poll_next(cx) {
                Poll::Ready(Some(Ok(delivery))) => self.batch.push_back(delivery),
                Poll::Ready(Some(Err(failed))) => break Poll::Ready(Some(failed)),
                Poll::Ready(None) => break Poll::Ready(None),
                Poll::Pending => break Poll::Pending,
            }
            if self.batch.len() == AT_ONCE {
                cx.waker().wake_by_ref();
                break Poll::Pending;
            }
        };
        if !self.batch.is_empty() {
            give(&mut self.batch);
        }
        ended
    }
}
