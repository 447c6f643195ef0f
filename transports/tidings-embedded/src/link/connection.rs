//! One client at the owner: its requests go to the engine as they come, the answers and the deliveries back as
//! they are ready, in any order.
//!
//! Two loops share the connection. One reads requests and hands them to the engine; the other waits for
//! whatever is ready to be said, collects all of it, and writes it at once. The first waits for the second when
//! too much is unanswered, so a client that does not read is not read from either. When the connection ends,
//! however it ends, the engine takes back what the client had.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use futures_util::{
    FutureExt, StreamExt,
    future::{AbortHandle, Abortable},
    stream::{FuturesUnordered, SelectAll},
};
use tidings_core::{
    Acker, Completion, Delivery, Error, ErrorKind, Result, tasks::Tasks, transport::Subscriber,
};
use tokio::{
    io::{AsyncWriteExt, ReadHalf, WriteHalf},
    sync::mpsc,
};

use super::{
    frame::{Answer, Frames, Request},
    member::lock,
    server::refuse,
    socket::Stream,
    wire::corrupt,
};
use crate::broker::{Broker, ConnectionId, ProducerId};

/// How many answers may be on their way from the reading loop to the writing one.
const HANDED_OVER: usize = 1_024;
/// How many requests of one client may be unanswered before no more are read.
const UNANSWERED: usize = 8_192;
/// How much is collected before it is written.
const WRITE: usize = 256 << 10;

/// A client at the engine. Dropping it takes back everything that the client had.
#[derive(Debug)]
pub(super) struct Guest {
    broker: Broker,
    connection: ConnectionId,
    producer: ProducerId,
    ackers: Mutex<Ackers>,
}

/// The deliveries that the client has not settled.
#[derive(Debug, Default)]
struct Ackers {
    last: u64,
    by_tag: HashMap<u64, Acker>,
}

impl Guest {
    pub(super) fn new(broker: Broker, client: u128) -> Self {
        Self {
            connection: broker.connect(),
            broker,
            producer: ProducerId(client),
            ackers: Mutex::default(),
        }
    }

    fn keep(&self, acker: Acker) -> u64 {
        let mut ackers = lock(&self.ackers);
        ackers.last += 1;
        let tag = ackers.last;
        ackers.by_tag.insert(tag, acker);
        tag
    }

    fn release(&self, tag: u64) -> Option<Acker> {
        lock(&self.ackers).by_tag.remove(&tag)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.broker.disconnect(self.connection);
    }
}

/// What the reading loop asks the writing one to say.
enum Out {
    /// This, now.
    Now(Answer),
    /// What becomes of this.
    Later(Outcome),
    /// The deliveries of this.
    Deliveries(Abortable<Deliveries>),
}

/// An answer that is not known yet.
struct Outcome {
    about: About,
    completion: Completion,
}

#[derive(Clone, Copy)]
enum About {
    Publish(u64),
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
struct Deliveries {
    subscription: u32,
    subscriber: Option<Box<dyn Subscriber>>,
}

enum Event {
    Delivery(u32, Delivery),
    Ended(u32, Option<Error>),
}

impl futures_util::Stream for Deliveries {
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

/// Serves one client until it ends or the owner stops.
pub(super) async fn serve(
    guest: Guest,
    mut frames: Frames<ReadHalf<Stream>>,
    writer: WriteHalf<Stream>,
    tasks: &Tasks,
) {
    let guest = Arc::new(guest);
    let (out, outs) = mpsc::channel(HANDED_OVER);
    let writing = Writing::new(Arc::clone(&guest), outs, writer);
    let reading = async {
        // Dropped at the end, which lets the writing loop come to its own.
        let out = out;
        tokio::select! {
            // Cut off between two frames or in the middle of handing one over: the client sends it again elsewhere.
            () = tasks.stopping() => Ok(()),
            ended = read(&guest, &mut frames, &out) => ended,
        }
    };
    tokio::pin!(reading);
    let written = writing.run();
    tokio::pin!(written);
    tokio::select! {
        ended = &mut reading => {
            let writer = written.await;
            say_goodbye(ended, writer).await;
        }
        // The client is gone: nobody reads the answers.
        _ = &mut written => {}
    }
}

async fn say_goodbye(ended: Result<()>, writer: Option<WriteHalf<Stream>>) {
    let Some(mut writer) = writer else { return };
    match ended {
        Err(error) => refuse(writer, error).await,
        Ok(()) => {
            let mut wire = Vec::new();
            if Answer::Goodbye.put(&mut wire).is_ok() && writer.write_all(&wire).await.is_ok() {
                drop(writer.shutdown().await);
            }
        }
    }
}

/// Reads requests until there are no more.
///
/// # Errors
/// `Corrupt` for a frame that is none.
async fn read(
    guest: &Guest,
    frames: &mut Frames<ReadHalf<Stream>>,
    out: &mpsc::Sender<Out>,
) -> Result<()> {
    let mut subscriptions = HashMap::new();
    while let Some(frame) = frames.next().await? {
        let said = match Request::read(frame)? {
            Request::Publish { seq, call } => Out::Later(Outcome {
                about: About::Publish(seq),
                completion: guest.broker.publish(Some((guest.producer, seq)), call),
            }),
            Request::Settle { id, tag, how } => Out::Later(Outcome {
                about: About::Request(id),
                completion: settle(guest, tag, how),
            }),
            Request::Abandon { tag } => {
                drop(guest.release(tag));
                continue;
            }
            Request::Cancel { subscription } => {
                let cancelled: Option<AbortHandle> = subscriptions.remove(&subscription);
                if let Some(handle) = cancelled {
                    handle.abort();
                }
                continue;
            }
            Request::Subscribe {
                id,
                subscription,
                to,
            } => {
                let subscribed = guest.broker.subscribe(guest.connection, to);
                let answer = Answer::Done {
                    id,
                    result: subscribed.as_ref().map(|_| ()).map_err(copy),
                };
                // Before the first delivery, so that the client knows what it belongs to.
                if out.send(Out::Now(answer)).await.is_err() {
                    return Ok(());
                }
                let Ok(subscriber) = subscribed else { continue };
                let (handle, registration) = AbortHandle::new_pair();
                subscriptions.insert(subscription, handle);
                let deliveries = Deliveries {
                    subscription,
                    subscriber: Some(Box::new(subscriber)),
                };
                Out::Deliveries(Abortable::new(deliveries, registration))
            }
            // Awaited here, because what comes next may need it.
            Request::Declare { id, topology } => Out::Now(Answer::Done {
                id,
                result: guest.broker.declare(guest.connection, &topology).await,
            }),
            Request::Delete { id, topology } => Out::Now(Answer::Done {
                id,
                result: guest.broker.delete(guest.connection, &topology).await,
            }),
            Request::Queues { id, named } => Out::Now(Answer::Queues {
                id,
                result: guest.broker.queues(&named),
            }),
            Request::Close => return Ok(()),
            Request::Hello { .. } => return Err(corrupt("a second greeting")),
        };
        if out.send(said).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

fn settle(guest: &Guest, tag: u64, how: tidings_core::Settlement) -> Completion {
    match guest.release(tag) {
        Some(acker) => acker.settle(how),
        None => Completion::ready(Err(Error::new(
            ErrorKind::Closed,
            format!(
                "delivery {tag} is not out any more: the message will come again unless it was settled"
            ),
        ))),
    }
}

/// An error cannot be cloned; this keeps what travels.
fn copy(error: &Error) -> Error {
    Error::new(error.kind(), error.to_string()).with_outcome(error.outcome())
}

/// The loop that writes.
struct Writing {
    guest: Arc<Guest>,
    outs: mpsc::Receiver<Out>,
    writer: WriteHalf<Stream>,
    outcomes: FuturesUnordered<Outcome>,
    deliveries: SelectAll<Abortable<Deliveries>>,
    wire: Vec<u8>,
}

impl Writing {
    fn new(guest: Arc<Guest>, outs: mpsc::Receiver<Out>, writer: WriteHalf<Stream>) -> Self {
        Self {
            guest,
            outs,
            writer,
            outcomes: FuturesUnordered::new(),
            deliveries: SelectAll::new(),
            wire: Vec::new(),
        }
    }

    /// Writes until everything is answered after the last request. `None` if the client is gone before that.
    async fn run(mut self) -> Option<WriteHalf<Stream>> {
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
            Out::Deliveries(deliveries) => self.deliveries.push(deliveries),
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
                        drop(acker.settle(tidings_core::Settlement::Reject));
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
