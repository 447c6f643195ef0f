//! Settles the deliveries of one channel.
//!
//! A settlement is recorded in a [`Book`] and is complete with that: AMQP 0.9.1 has no confirmation of an ack, so there
//! is nothing to wait for. Frames are queued right here, on the thread that settles: lapin takes a frame on the
//! first poll of its future, and what comes after that is only the news that it was written. When the channel has
//! ended, its tags mean nothing any more, and this says so.

use std::{
    collections::HashSet,
    fmt,
    future::Future,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};

use futures_util::FutureExt;
use lapin::{
    BasicProperties, Channel,
    options::{BasicAckOptions, BasicNackOptions, BasicPublishOptions, BasicRejectOptions},
    types::ShortString,
};
use tidings_core::{Call, Completion, Error, ErrorKind, Result, Settlement, acker::Settle};
use tokio::sync::Notify;

use crate::{
    connection::Generation,
    consuming::{
        book::{Book, Frame, Return},
        unwritten::Unwritten,
    },
    envelope, error,
    publishing::{Publishing, impossible, is_direct_reply},
};

/// An answer of more bytes may be more than the broker takes, which ends the channel: the default of RabbitMQ 4 is 16 times
/// as much.
const LARGE: usize = 1 << 20;

/// The most exchanges that are remembered.
const MOST: usize = 1_024;

/// One for all deliveries of a channel.
pub(crate) struct ChannelSettle {
    channel: Arc<Channel>,
    generation: Generation,
    records: Mutex<Records>,
    /// How many deliveries have come in.
    delivered: AtomicU64,
    /// Set once, when the channel has ended or is about to.
    over: AtomicBool,
    /// Whether the keeper looks after acks that wait.
    attended: AtomicBool,
    /// Whether the keeper waits for the last settlement.
    ending: AtomicBool,
    /// Asks the keeper to look after acks, or tells it that everything is settled.
    news: Notify,
    /// Streams keep their messages whatever happens to a delivery: there is no giving back.
    is_stream: bool,
    has_warned: AtomicBool,
    /// Publishes answers of which nobody knows yet whether they harm the channel.
    publishing: Publishing,
    good: Arc<Good>,
}

/// What is known of the deliveries.
struct Records {
    book: Book,
    unwritten: Unwritten,
}

/// Exchanges that have taken an answer: they are there, and we may publish to them.
#[derive(Debug, Default)]
struct Good(Mutex<HashSet<Arc<str>>>);

impl ChannelSettle {
    pub(crate) fn new(
        channel: Channel,
        generation: Generation,
        prefetch: u16,
        is_stream: bool,
        publishing: Publishing,
    ) -> Self {
        let records = Records {
            book: Book::new(prefetch),
            unwritten: Unwritten::default(),
        };
        Self {
            channel: Arc::new(channel),
            generation,
            records: Mutex::new(records),
            delivered: AtomicU64::new(0),
            over: AtomicBool::new(false),
            attended: AtomicBool::new(false),
            ending: AtomicBool::new(false),
            news: Notify::new(),
            is_stream,
            has_warned: AtomicBool::new(false),
            publishing,
            good: Arc::default(),
        }
    }

    /// Counts deliveries that have come in. Their tags are those after the ones counted before.
    pub(crate) fn count(&self, deliveries: u64) {
        self.delivered.fetch_add(deliveries, Ordering::Relaxed);
    }

    /// Every delivery before this one is settled.
    pub(crate) fn first_unsettled(&self) -> u64 {
        self.records().book.first()
    }

    /// Sends the acks that wait, and takes no further settlement.
    pub(crate) fn end(&self) {
        let mut records = self.records();
        if !self.over.swap(true, Ordering::Relaxed) {
            self.collect(&mut records);
            records.book.flush(&mut |frame| self.send(frame));
        }
    }

    /// Resolves when acks wait that nobody attends to, or when everything is settled.
    ///
    /// # Cancel safety
    /// Yes: news that nobody has heard are kept.
    pub(crate) async fn news(&self) {
        self.news.notified().await;
    }

    /// Whether every delivery is settled. From now on, the last settlement makes news.
    pub(crate) fn is_settled(&self) -> bool {
        let mut records = self.records();
        self.collect(&mut records);
        self.ending.store(true, Ordering::Relaxed);
        records.book.settled() >= self.delivered.load(Ordering::Relaxed)
    }

    /// Whether every answer that is on its way is written.
    pub(crate) fn is_written(&self) -> bool {
        let mut records = self.records();
        self.collect(&mut records);
        records.unwritten.is_empty()
    }

    /// One look at the acks that wait, after a look that returned `seen`: sends them if they have waited since then, or
    /// if nothing else is in hand that could join them. The first look sends nothing: where the broker has room for more
    /// messages, nobody waits for an ack, and what comes next may share its frame. `None` if none is left and the next one
    /// will make news.
    pub(crate) fn attend(&self, seen: Option<u64>) -> Option<u64> {
        let mut records = self.records();
        self.collect(&mut records);
        let book = &mut records.book;
        let is_idle = book.settled() >= self.delivered.load(Ordering::Relaxed);
        if seen.is_some_and(|seen| is_idle || seen == book.rounds()) {
            book.flush(&mut |frame| self.send(frame));
        }
        let waits = records.wait();
        self.attended.store(waits, Ordering::Relaxed);
        waits.then(|| records.book.rounds())
    }

    /// Gives the deliveries back that were never handed out.
    pub(crate) fn return_unseen(&self, tags: impl IntoIterator<Item = u64>) {
        for tag in tags {
            self.abandon(tag);
        }
    }

    fn record(&self, settlement: &Settlement, tag: u64) -> Result<()> {
        let mut records = self.records();
        // Looked at under the lock: after `end` nothing is recorded.
        if self.over.load(Ordering::Relaxed) || !self.channel.status().connected() {
            return Err(lost_delivery());
        }
        let delivered = self.delivered.load(Ordering::Relaxed);
        let mut send = |frame| self.send(frame);
        let Records { book, unwritten } = &mut *records;
        match self.means(settlement) {
            None if unwritten.keep_ack(tag) => {}
            None => book.ack(tag, &mut send),
            Some(how) => {
                unwritten.forget(tag);
                book.give_back(tag, how, &mut send);
            }
        }
        self.collect(&mut records);
        let is_last = self.ending.load(Ordering::Relaxed) && records.book.settled() >= delivered;
        let is_unattended = records.wait() && !self.attended.swap(true, Ordering::Relaxed);
        drop(records);
        if is_last || is_unattended {
            self.news.notify_one();
        }
        Ok(())
    }

    /// Lets the acks go whose answers are written by now.
    fn collect(&self, records: &mut Records) {
        let mut send = |frame| self.send(frame);
        while let Some((tag, written)) = records.unwritten.next() {
            match written {
                Ok(()) => records.book.ack(tag, &mut send),
                // Only the end of the channel keeps an answer from being written, and that gives back everything.
                Err(_) => records.book.give_back(tag, Return::Requeue, &mut send),
            }
        }
    }

    /// How the delivery is to be given back; `None` if it is done.
    fn means(&self, settlement: &Settlement) -> Option<Return> {
        let how = match settlement {
            Settlement::Ack => return None,
            // RabbitMQ cannot keep it back for a while.
            Settlement::Nack { .. } => Return::Requeue,
            Settlement::Reject => Return::Reject,
        };
        if !self.is_stream {
            return Some(how);
        }
        if !self.has_warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "a delivery from a stream cannot be given back, it counts as done: a stream keeps its messages, read it again from an offset"
            );
        }
        None
    }

    fn send(&self, frame: Frame) {
        // The first poll queues the frame. Whether it is written nobody can act upon: if not, the delivery comes again.
        let _sent = match frame {
            Frame::Ack { tag, multiple } => {
                let options = BasicAckOptions { multiple };
                self.channel.basic_ack(tag, options).now_or_never()
            }
            Frame::Requeue(tag) => {
                let options = BasicNackOptions {
                    multiple: false,
                    requeue: true,
                };
                self.channel.basic_nack(tag, options).now_or_never()
            }
            Frame::Reject(tag) => {
                let options = BasicRejectOptions { requeue: false };
                self.channel.basic_reject(tag, options).now_or_never()
            }
        };
    }

    /// Publishes on the other connection, with a confirm. Once an exchange has taken an answer that way, the next may go
    /// directly.
    fn confirmed(&self, answer: Call) -> Completion {
        let (good, exchange) = (Arc::clone(&self.good), Arc::clone(&answer.address.exchange));
        let taken = self.publishing.publish(answer.patiently());
        Completion::future(async move {
            taken.await?;
            good.add(exchange);
            Ok(())
        })
    }

    fn records(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Settle for ChannelSettle {
    fn settle(&self, tag: u64, how: Settlement) -> Completion {
        Completion::ready(self.record(&how, tag))
    }

    /// On the channel of the delivery. What comes later on a channel takes effect later, so an ack that is queued once
    /// these frames are written cannot outlive them. It waits for that, and nobody else does: see [`Unwritten`].
    ///
    /// An exchange that does not exist, or to which we may not publish, ends the channel, and with it the acks of other
    /// deliveries: so the first answer to each is confirmed, and whoever answers a delivery for the second time must take
    /// another way. Direct replies always do: their addresses are what callers say, and none of them is to harm a delivery.
    fn answer(&self, tag: u64, answer: Call) -> Result<Completion, Box<Call>> {
        let is_over = self.over.load(Ordering::Relaxed) || !self.channel.status().connected();
        let is_elsewhere = is_direct_reply(&answer.address) || impossible(&answer).is_some();
        let is_large = answer.envelope.payload.len() > LARGE;
        if is_over || is_elsewhere || is_large || self.generation.is_alarmed() {
            return Err(Box::new(answer));
        }
        if !self.good.has(&answer.address.exchange) {
            return Ok(self.confirmed(answer));
        }
        let Ok(properties) = envelope::properties(&answer.envelope) else {
            return Err(Box::new(answer));
        };
        let mut writing = Box::pin(write(Arc::clone(&self.channel), answer, properties));
        // The first poll queues the frames, here and now.
        let mut context = Context::from_waker(Waker::noop());
        if let Poll::Ready(written) = writing.as_mut().poll(&mut context) {
            return Ok(Completion::ready(written));
        }
        self.records().unwritten.add(tag, writing);
        Ok(Completion::ready(Ok(())))
    }

    /// The keeper says so before another channel brings the first of them again.
    fn is_lost(&self, _: u64) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    fn abandon(&self, tag: u64) {
        // If the channel has ended, the broker has the delivery back already.
        let _given_back = self.record(&Settlement::Nack { delay: None }, tag).is_ok();
    }
}

impl Records {
    /// Whether acks wait to be sent.
    fn wait(&self) -> bool {
        self.book.waits() || !self.unwritten.is_empty()
    }
}

impl Good {
    fn has(&self, exchange: &str) -> bool {
        self.exchanges().contains(exchange)
    }

    fn add(&self, exchange: Arc<str>) {
        let mut exchanges = self.exchanges();
        if exchanges.len() < MOST {
            exchanges.insert(exchange);
        }
    }

    fn exchanges(&self) -> MutexGuard<'_, HashSet<Arc<str>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Publishes without a confirm; resolves when it is written.
async fn write(channel: Arc<Channel>, answer: Call, properties: BasicProperties) -> Result<()> {
    let options = BasicPublishOptions {
        mandatory: false,
        ..BasicPublishOptions::default()
    };
    let address = &answer.address;
    let written = channel
        .basic_publish(
            ShortString::from(&*address.exchange),
            ShortString::from(&*address.key),
            options,
            &answer.envelope.payload.bytes,
            properties,
        )
        .await;
    match written {
        Ok(_no_confirm) => Ok(()),
        Err(failed) => Err(error::of_channel(&failed, "cannot send an answer")),
    }
}

/// For a settlement that comes after the delivery went back to its queue.
fn lost_delivery() -> Error {
    Error::new(
        ErrorKind::Closed,
        "the delivery is no longer ours, because its connection or its channel has ended: it will come again",
    )
}

impl fmt::Debug for ChannelSettle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelSettle")
            .field("channel", &self.channel.id())
            .field("over", &self.over)
            .finish_non_exhaustive()
    }
}
