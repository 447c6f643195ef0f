//! What the owner says to one client: answers as they become known, deliveries as the credit allows.
//!
//! One loop collects everything that is ready, from all of the client's requests and subscriptions, and writes
//! it at once. It stops taking over requests while too many are unanswered, which stops the reading loop.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::{
    FutureExt, Stream as FutureStream, StreamExt,
    future::Abortable,
    stream::{FuturesUnordered, SelectAll},
};
use tidings_core::{Completion, Delivery, Error, Result, Settlement, transport::Subscriber};
use tokio::{
    io::{AsyncWriteExt, WriteHalf},
    sync::mpsc,
};

use super::{connection::Guest, frame::Answer, socket::Stream};

/// How many requests of one client may be unanswered before no more are read.
const UNANSWERED: usize = 8_192;
/// How much is collected before it is written.
const WRITE: usize = 256 << 10;

/// What the reading loop asks the writing one to say.
pub(super) enum Out {
    /// This, now.
    Now(Answer),
    /// What becomes of this.
    Later(Outcome),
    /// That the request with this number has led to these deliveries, and then the deliveries.
    Deliveries(u64, Abortable<Deliveries>),
    /// No deliveries from now on.
    Hold,
}

impl Out {
    /// The answer to the request `id`.
    pub(super) fn done(id: u64, result: Result<()>) -> Self {
        Self::Now(Answer::Done { id, result })
    }
}

/// An answer that is not known yet.
pub(super) struct Outcome {
    pub(super) about: About,
    pub(super) completion: Completion,
}

/// What an answer is about.
#[derive(Clone, Copy)]
pub(super) enum About {
    /// The publish with this number.
    Publish(u64),
    /// The request with this number.
    Request(u64),
}

impl Future for Outcome {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        let about = self.about;
        self.completion.poll_unpin(cx).map(|result| match about {
            About::Publish(seq) => Answer::Published { seq, result },
            About::Request(id) => Answer::Done { id, result },
        })
    }
}

/// One subscription of the client.
pub(super) struct Deliveries {
    subscription: u32,
    subscriber: Option<Box<dyn Subscriber>>,
}

impl Deliveries {
    pub(super) fn new(subscription: u32, subscriber: Box<dyn Subscriber>) -> Self {
        Self {
            subscription,
            subscriber: Some(subscriber),
        }
    }
}

pub(super) enum Event {
    Delivery(u32, Delivery),
    Ended(u32, Option<Error>),
}

impl FutureStream for Deliveries {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        let subscription = self.subscription;
        let Some(subscriber) = &mut self.subscriber else {
            return Poll::Ready(None);
        };
        subscriber.poll_next(cx).map(|next| match next {
            Some(Ok(delivery)) => Some(Event::Delivery(subscription, delivery)),
            ended => {
                self.subscriber = None;
                Some(Event::Ended(subscription, ended.and_then(Result::err)))
            }
        })
    }
}

/// The loop that writes.
pub(super) struct Writing {
    guest: Arc<Guest>,
    outs: mpsc::Receiver<Out>,
    writer: WriteHalf<Stream>,
    outcomes: FuturesUnordered<Outcome>,
    deliveries: SelectAll<Abortable<Deliveries>>,
    /// Whether there will be no more deliveries.
    held: bool,
    wire: Vec<u8>,
}

impl Writing {
    pub(super) fn new(
        guest: Arc<Guest>,
        outs: mpsc::Receiver<Out>,
        writer: WriteHalf<Stream>,
    ) -> Self {
        Self {
            guest,
            outs,
            writer,
            outcomes: FuturesUnordered::new(),
            deliveries: SelectAll::new(),
            held: false,
            wire: Vec::new(),
        }
    }

    /// Writes until everything is answered after the last request. `None` if the client is gone before that.
    pub(super) async fn run(mut self) -> Option<WriteHalf<Stream>> {
        loop {
            let more = self.collect().await;
            if !self.wire.is_empty() && self.writer.write_all(&self.wire).await.is_err() {
                return None;
            }
            self.wire.clear();
            self.wire.shrink_to(4 * WRITE);
            if !more {
                return Some(self.writer);
            }
        }
    }

    /// Waits for something to say, and collects everything that is ready. False if nothing will come any more.
    async fn collect(&mut self) -> bool {
        let mut open = std::future::poll_fn(|cx| self.poll_collect(cx)).await;
        while open && self.wire.len() < WRITE {
            match std::future::poll_fn(|cx| Poll::Ready(self.poll_collect(cx))).await {
                Poll::Ready(still) => open = still,
                Poll::Pending => break,
            }
        }
        open
    }

    /// Appends what is ready. `Ready(false)` at the end of requests and answers.
    fn poll_collect(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let before = self.wire.len();
        let mut requests_end = false;
        while self.outcomes.len() < UNANSWERED && self.wire.len() < WRITE {
            match self.outs.poll_recv(cx) {
                Poll::Ready(Some(out)) => self.accept(out),
                Poll::Ready(None) => {
                    requests_end = true;
                    break;
                }
                Poll::Pending => break,
            }
        }
        while let Poll::Ready(Some(answer)) = self.outcomes.poll_next_unpin(cx) {
            self.say(&answer);
        }
        if requests_end {
            // Nothing is delivered any more to a client that is about to leave.
            self.deliveries.clear();
            if self.outcomes.is_empty() {
                return Poll::Ready(false);
            }
        }
        while self.wire.len() < WRITE {
            let Poll::Ready(Some(event)) = self.deliveries.poll_next_unpin(cx) else {
                break;
            };
            self.deliver(event);
        }
        if self.wire.len() > before {
            Poll::Ready(true)
        } else {
            Poll::Pending
        }
    }

    fn accept(&mut self, out: Out) {
        match out {
            Out::Now(answer) => self.say(&answer),
            Out::Later(outcome) => self.outcomes.push(outcome),
            Out::Deliveries(id, deliveries) => {
                // Before the first delivery, so that the client knows what it belongs to.
                self.say(&Answer::Done { id, result: Ok(()) });
                // The next owner will have it subscribed again.
                if !self.held {
                    self.deliveries.push(deliveries);
                }
            }
            Out::Hold => {
                self.held = true;
                self.deliveries.clear();
                self.guest.hold();
            }
        }
    }

    fn deliver(&mut self, event: Event) {
        match event {
            Event::Delivery(subscription, delivery) => {
                let (call, acker) = delivery.split();
                let tag = self.guest.keep(acker);
                let answer = Answer::Delivery {
                    subscription,
                    tag,
                    call,
                };
                if let Err(error) = answer.put(&mut self.wire) {
                    // Can only be a message whose headers have grown beyond all measure since it was published.
                    tracing::error!(
                        error = error.chain(),
                        "rejecting a message that cannot be delivered to another process"
                    );
                    if let Some(acker) = self.guest.release(tag) {
                        drop(acker.settle(Settlement::Reject));
                    }
                }
            }
            Event::Ended(subscription, error) => self.say(&Answer::Ended {
                subscription,
                error,
            }),
        }
    }

    fn say(&mut self, answer: &Answer) {
        if let Err(error) = answer.put(&mut self.wire) {
            tracing::error!(
                error = error.chain(),
                "an answer to another process is too large"
            );
        }
    }
}
