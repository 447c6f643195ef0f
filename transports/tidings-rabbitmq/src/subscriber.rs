//! The way out of one queue, through all lives of its connection.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tidings_core::{Acker, Delivery, Result, transport::Subscriber};
use tokio::task::coop;

use crate::{
    consuming::handover::{Batch, Handover},
    envelope::{self, Names},
};

/// Reads what the reactor hands over. It is here, on the thread that wants it, that a delivery becomes a call.
pub(crate) struct RabbitSubscriber {
    handover: Arc<Handover>,
    batch: Option<Batch>,
    names: Names,
}

impl RabbitSubscriber {
    /// For the deliveries of this queue.
    pub(crate) fn new(handover: Arc<Handover>, queue: Arc<str>) -> Self {
        Self {
            handover,
            batch: None,
            names: Names::of(queue),
        }
    }
}

impl Subscriber for RabbitSubscriber {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Delivery>>> {
        // A full queue is always ready: without a budget its consumer would never let other tasks run.
        let progress = ready!(coop::poll_proceed(cx));
        loop {
            if let Some(batch) = &mut self.batch
                && self.handover.is_alive(batch)
                && let Some(delivery) = batch.deliveries.pop_front()
            {
                let acker = Acker::new(Arc::clone(&batch.settle), delivery.delivery_tag);
                let call = envelope::call(delivery, &mut self.names);
                progress.made_progress();
                return Poll::Ready(Some(Ok(Delivery::new(call, acker))));
            }
            if let Err(end) = ready!(self.handover.poll_take(&mut self.batch, cx)) {
                return Poll::Ready(end.map(Err));
            }
        }
    }
}

impl Drop for RabbitSubscriber {
    fn drop(&mut self) {
        self.handover.leave(self.batch.take());
    }
}

impl fmt::Debug for RabbitSubscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RabbitSubscriber")
            .field("handover", &self.handover)
            .finish_non_exhaustive()
    }
}
