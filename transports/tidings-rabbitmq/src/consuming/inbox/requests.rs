//! Requests of an inbox: published without confirms, because a reply says more than a confirm.
//!
//! Frames are queued on the thread that publishes (see [`acker`](crate::acker)), so a call pays for no other thread. What
//! no queue has received comes back from the broker: lapin keeps it without a word, so whoever reads the replies
//! looks for it now and then, as long as requests were sent a moment ago.

use std::{
    collections::VecDeque,
    fmt, mem,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_util::{FutureExt, task::AtomicWaker};
use lapin::{Channel, message::Delivery, options::BasicPublishOptions, types::ShortString};
use tidings_core::{Address, Call, Completion, Error, ErrorKind, Result, transport::Publisher};
use tokio::time::{Sleep, sleep};

use super::ways::{WHY, Ways};
use crate::{connection::Generation, envelope, error, publishing};

/// How soon after a request it is looked for. Doubled with each look after which none was sent.
const FIRST_LOOK: Duration = Duration::from_millis(25);
/// Once this long has passed between two looks, what was sent has arrived.
const LAST_LOOK: Duration = Duration::from_secs(5);
/// How often it is looked for while the broker does not read: it may have been sent and not been read.
const BLOCKED_LOOK: Duration = Duration::from_millis(500);

/// The way out of one inbox. Cloning it gives another handle.
#[derive(Clone)]
pub(crate) struct Requests {
    ways: Arc<Ways>,
    generation: Generation,
    sent: Arc<Sent>,
}

/// What the way out tells the way in.
#[derive(Debug, Default)]
struct Sent {
    requests: AtomicU64,
    /// Whether nobody looks for returned requests at the moment.
    unwatched: AtomicBool,
    watcher: AtomicWaker,
}

impl Requests {
    /// Over a channel that nobody else has, and what looks for requests that come back.
    pub(crate) fn over(channel: Channel, generation: Generation) -> (Self, Returned) {
        let sent = Arc::new(Sent::default());
        let ways = Arc::new(Ways::new(channel));
        let returned = Returned {
            ways: Arc::clone(&ways),
            sent: Arc::clone(&sent),
            generation: generation.clone(),
            pace: Pace::new(),
            look: None,
            found: VecDeque::new(),
        };
        let requests = Self {
            ways,
            generation,
            sent,
        };
        (requests, returned)
    }

    /// The connection that they go out on, and that the replies come in on.
    pub(super) fn generation(&self) -> &Generation {
        &self.generation
    }

    /// Sends once the broker reads, if that is before the call's deadline. Frames that were queued now would reach a handler
    /// long after their callers have left, and nothing would limit how many there are.
    async fn send_later(self, mut call: Call) -> Result<()> {
        let generation = &self.generation;
        tokio::select! {
            // Cancel-safe: all three only look.
            () = generation.unblocked() => {}
            () = generation.over() => {}
            () = call.deadline.passed() => return Err(unsent(&call.address, generation)),
        }
        if let (Some(left), Some(wanted)) = (
            call.deadline.remaining(),
            call.envelope.properties.expiration(),
        ) {
            call.envelope.properties.fields_mut().expiration = Some(wanted.min(left));
        }
        self.send(&call)
    }

    /// Gives requests to this exchange a channel of their own.
    pub(super) async fn lead_to(&self, exchange: &Arc<str>) {
        self.ways.open(exchange, &self.generation).await;
    }

    fn send(&self, call: &Call) -> Result<()> {
        if let Some(error) = publishing::impossible(call) {
            return Err(error);
        }
        let properties = envelope::properties(&call.envelope)?;
        let options = BasicPublishOptions {
            mandatory: call.mandatory,
            ..BasicPublishOptions::default()
        };
        let own = self.ways.own(&call.address.exchange);
        let channel = own.as_deref().unwrap_or(&self.ways.common);
        let publishing = channel.basic_publish(
            ShortString::from(&*call.address.exchange),
            ShortString::from(&*call.address.key),
            options,
            &call.envelope.payload.bytes,
            properties,
        );
        // The first poll queues the frames. Whether they are written the reply will tell, or the end of the inbox.
        if let Some(Err(failed)) = publishing.now_or_never() {
            self.generation.suspect(&failed);
            if own.is_some() && !self.generation.is_over() {
                self.ways.tell(&call.address.exchange);
                return Err(vanished(&call.address));
            }
            return Err(over(&error::said(&failed)));
        }
        self.sent.add();
        Ok(())
    }
}

/// Nothing of this request was sent, because an earlier one to its exchange has ended the channel.
fn vanished(address: &Address) -> Error {
    let context = format!(
        "cannot publish to exchange `{}`: declare it again, then ask again ({WHY})",
        address.exchange
    );
    Error::new(ErrorKind::NotFound, context)
}

/// Nothing of this request was sent, and nothing will be sent on this way again.
fn over(reason: &str) -> Error {
    let context = format!(
        "the inbox has ended with its channel for requests: open another and ask again ({reason})"
    );
    Error::new(ErrorKind::Closed, context)
}

/// Nothing of this request was sent, because the broker does not read.
fn unsent(address: &Address, generation: &Generation) -> Error {
    let why = generation.blocked().unwrap_or_default();
    let context = format!(
        "`{address}` was not sent, RabbitMQ has blocked publishers all the time ({why}): free memory or disk there, then ask again"
    );
    Error::new(ErrorKind::Unavailable, context)
}

impl Publisher for Requests {
    /// A request that is given up while the broker blocks publishers is not sent.
    fn publish(&self, call: Call) -> Completion {
        if self.generation.blocked().is_some() {
            return Completion::future(self.clone().send_later(call));
        }
        Completion::ready(self.send(&call))
    }
}

impl fmt::Debug for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Requests")
            .field("channel", &self.ways.common.id())
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

impl Sent {
    fn add(&self) {
        self.requests.fetch_add(1, Ordering::Release);
        if self.unwatched.swap(false, Ordering::AcqRel) {
            self.watcher.wake();
        }
    }

    /// Whoever looks wants to stop until the next request; false if there have been more than were `seen`.
    fn may_rest(&self, seen: u64) -> bool {
        // Both sides swap the flag after what they have done: the second to come sees what the first one did.
        self.unwatched.swap(true, Ordering::AcqRel);
        let may_rest = self.requests.load(Ordering::Acquire) == seen;
        if !may_rest {
            self.unwatched.store(false, Ordering::Release);
        }
        may_rest
    }
}

/// What becomes known of requests that were sent.
pub(crate) enum News {
    /// No queue has received it.
    Returned(Box<Delivery>),
    /// No request that was sent to this exchange will be answered any more.
    Vanished(Arc<str>),
}

/// Requests that no queue has received, and exchanges that have vanished.
pub(crate) struct Returned {
    ways: Arc<Ways>,
    sent: Arc<Sent>,
    generation: Generation,
    pace: Pace,
    look: Option<Pin<Box<Sleep>>>,
    found: VecDeque<News>,
}

/// When to look again.
#[derive(Debug)]
struct Pace {
    pause: Duration,
    /// How many requests had been sent at the last look.
    seen: u64,
    /// Whether the broker did not read then.
    was_blocked: bool,
}

impl Returned {
    /// The next one; pending as long as there is none, `None` once the broker has closed the channel that several exchanges
    /// share: it does so when one of them does not exist, and whatever was sent after that request has not arrived.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<News>> {
        loop {
            if let Some(news) = self.found.pop_front() {
                return Poll::Ready(Some(news));
            }
            if !self.ways.common.status().connected() {
                return Poll::Ready(None);
            }
            let Some(look) = &mut self.look else {
                ready!(self.poll_watch(cx));
                self.look = Some(Box::pin(sleep(self.pace.pause)));
                continue;
            };
            ready!(look.as_mut().poll(cx));
            self.look = None;
            self.look();
        }
    }

    /// Ready while there is something to look for.
    fn poll_watch(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.pace.is_over() {
            return Poll::Ready(());
        }
        self.sent.watcher.register(cx.waker());
        if self.sent.may_rest(self.pace.seen) {
            return Poll::Pending;
        }
        self.pace.pause = FIRST_LOOK;
        Poll::Ready(())
    }

    fn look(&mut self) {
        let sent = self.sent.requests.load(Ordering::Acquire);
        self.pace.look(sent, self.generation.blocked().is_some());
        let returned = self.ways.returned().into_iter();
        self.found
            .extend(returned.map(|message| News::Returned(Box::new(message.delivery))));
        let ended = self.ways.ended().into_iter();
        let vanished = ended.map(News::Vanished);
        // With the connection, all channels end: that is more than the end of some exchanges.
        if self.ways.common.status().connected() {
            self.found.extend(vanished);
        }
    }
}

impl Pace {
    fn new() -> Self {
        Self {
            pause: FIRST_LOOK,
            seen: 0,
            was_blocked: false,
        }
    }

    /// Notes a look, and what there was: how many requests had been sent, and whether the broker did not read. What it has
    /// not read counts as sent once it reads.
    fn look(&mut self, sent: u64, is_blocked: bool) {
        let was_blocked = mem::replace(&mut self.was_blocked, is_blocked);
        let is_new = mem::replace(&mut self.seen, sent) != sent || was_blocked;
        self.pause = match is_new {
            _ if is_blocked => BLOCKED_LOOK,
            true => FIRST_LOOK,
            false => 2 * self.pause,
        };
    }

    /// Whether all that was sent has arrived.
    fn is_over(&self) -> bool {
        self.pause >= LAST_LOOK
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long it is looked for what was sent.
    fn looks(pace: &mut Pace, sent: u64) -> Duration {
        let mut passed = Duration::ZERO;
        while !pace.is_over() {
            passed += pace.pause;
            pace.look(sent, false);
        }
        passed
    }

    #[test]
    fn a_request_is_looked_for_until_it_has_arrived() {
        let mut pace = Pace::new();
        assert!(looks(&mut pace, 1) > LAST_LOOK);
        pace.look(2, false);
        assert_eq!(pace.pause, FIRST_LOOK);
    }

    #[test]
    fn what_the_broker_does_not_read_is_looked_for_when_it_does() {
        let mut pace = Pace::new();
        for _ in 0..1_000 {
            pace.look(1, true);
            assert!(!pace.is_over());
        }
        pace.look(1, false);
        assert_eq!(pace.pause, FIRST_LOOK);
        assert!(looks(&mut pace, 1) > LAST_LOOK);
    }

    #[test]
    fn nobody_rests_while_there_is_something_to_look_for() {
        let sent = Sent::default();
        assert!(sent.may_rest(0));
        sent.add();
        assert!(!sent.unwatched.load(Ordering::Acquire), "it is woken");
        assert!(!sent.may_rest(0));
        assert!(!sent.unwatched.load(Ordering::Acquire), "it is awake");
        assert!(sent.may_rest(1));
    }
}
