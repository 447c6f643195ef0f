//! The way out: hands the messages of one queue to one consumer, in order and within its prefetch.
//!
//! It holds no messages of its own: each poll takes the next one from the broker. So nothing has to go back
//! when it is dropped, and a dropped `next()` loses nothing.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tidings_core::{Acker, Delivery, Result, acker::Settle, transport::Subscriber};
use tokio::task::coop;

use crate::broker::{Broker, consumer::ConsumerId};

/// A subscriber in the process that owns the broker.
pub struct LocalSubscriber {
    broker: Broker,
    consumer: ConsumerId,
    settle: Arc<dyn Settle>,
}

impl LocalSubscriber {
    pub(crate) fn new(broker: Broker, consumer: ConsumerId, settle: Arc<dyn Settle>) -> Self {
        Self {
            broker,
            consumer,
            settle,
        }
    }
}

impl Subscriber for LocalSubscriber {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Delivery>>> {
        // A full queue is always ready: without a budget its consumer would never let other tasks run.
        let progress = ready!(coop::poll_proceed(cx));
        let handout = ready!(self.broker.poll(self.consumer, cx.waker()));
        progress.made_progress();
        Poll::Ready(handout.map(|handout| {
            handout
                .map(|(call, tag)| Delivery::new(call, Acker::new(Arc::clone(&self.settle), tag)))
        }))
    }
}

impl Drop for LocalSubscriber {
    fn drop(&mut self) {
        self.broker.unsubscribe(self.consumer);
    }
}

impl fmt::Debug for LocalSubscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalSubscriber")
            .field("consumer", &self.consumer)
            .finish_non_exhaustive()
    }
}
