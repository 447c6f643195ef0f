//! Replies, read where they are wanted: the one who waits polls lapin's consumer itself.
//!
//! Between the socket and the caller there is no thread but lapin's own. That is possible because nothing of an inbox has
//! to go on when nobody reads it: it has no acks, and it is not made again.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_util::Stream;
use lapin::Consumer;
use tidings_core::{
    Acker, Address, Call, Delivery, Envelope, Error, Result, acker::Settle, transport,
};
use tokio::task::coop;

use super::{
    Settled, ended,
    requests::{News, Returned},
    ways::WHY,
};
use crate::{
    connection::Generation,
    envelope::{self, Names},
    error,
};

/// The way in of one inbox.
pub(crate) struct Replies {
    consumer: Consumer,
    returned: Returned,
    /// Resolves when its connection has ended.
    over: Pin<Box<dyn Future<Output = ()> + Send>>,
    generation: Generation,
    names: Names,
    settle: Arc<dyn Settle>,
    has_ended: bool,
    /// Tidies up on the broker.
    leave: Option<Box<dyn FnOnce() + Send>>,
}

impl Replies {
    /// From this consumer, until its connection has ended.
    pub(crate) fn new(
        consumer: Consumer,
        returned: Returned,
        generation: Generation,
        queue: Arc<str>,
        leave: impl FnOnce() + Send + 'static,
    ) -> Self {
        let watched = generation.clone();
        Self {
            consumer,
            returned,
            over: Box::pin(async move { watched.over().await }),
            generation,
            names: Names::of(queue),
            settle: Arc::new(Settled),
            has_ended: false,
            leave: Some(Box::new(leave)),
        }
    }

    fn poll_consumer(&mut self, cx: &mut Context<'_>) -> Poll<Result<Call>> {
        if let Poll::Ready(next) = Pin::new(&mut self.consumer).poll_next(cx) {
            return Poll::Ready(match next {
                Some(Ok(delivery)) => Ok(envelope::call(delivery, &mut self.names)),
                Some(Err(failed)) => {
                    self.generation.suspect(&failed);
                    Err(ended(&error::said(&failed)))
                }
                None => Err(ended("its channel was closed")),
            });
        }
        match self.returned.poll(cx) {
            Poll::Ready(Some(News::Returned(delivery))) => {
                let mut call = envelope::call(*delivery, &mut self.names);
                call.extensions.insert(transport::Returned);
                return Poll::Ready(Ok(call));
            }
            Poll::Ready(Some(News::Vanished(exchange))) => {
                let mut call = Call::new(Address::new(exchange, ""), Envelope::default());
                call.extensions
                    .insert(transport::Vanished { why: WHY.into() });
                return Poll::Ready(Ok(call));
            }
            Poll::Ready(None) => {
                return Poll::Ready(Err(ended("the broker has closed its channel for requests")));
            }
            Poll::Pending => {}
        }
        ready!(self.over.as_mut().poll(cx));
        Poll::Ready(Err(ended(&self.generation.why())))
    }
}

impl transport::Subscriber for Replies {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Delivery, Error>>> {
        // A full queue is always ready: without a budget its reader would never let other tasks run.
        let progress = ready!(coop::poll_proceed(cx));
        if self.has_ended {
            return Poll::Ready(None);
        }
        let next = ready!(self.poll_consumer(cx));
        progress.made_progress();
        self.has_ended = next.is_err();
        let acker = || Acker::new(Arc::clone(&self.settle), 0);
        Poll::Ready(Some(next.map(|call| Delivery::new(call, acker()))))
    }
}

impl Drop for Replies {
    fn drop(&mut self) {
        if let Some(leave) = self.leave.take() {
            leave();
        }
    }
}

impl fmt::Debug for Replies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replies")
            .field("generation", &self.generation)
            .field("has_ended", &self.has_ended)
            .finish_non_exhaustive()
    }
}
