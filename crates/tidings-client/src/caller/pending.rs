//! The table of those who wait for an answer, by correlation id.
//!
//! An entry belongs to whoever waits: it leaves with the answer, with the one who waits, or with the address that
//! answers come to. Nothing else takes it out, so nothing can be forgotten in here.

use std::{
    collections::HashMap,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use tidings_core::Payload;
use tokio::sync::{Notify, oneshot};
use uuid::Uuid;

use super::observed::Observed;

/// How many may wait at a time. Whoever comes then is refused at once.
const LIMIT: usize = 65_536;

/// Everybody who waits for an answer to one address.
#[derive(Debug)]
pub(super) struct Pending {
    table: Mutex<Table>,
    observed: Arc<Observed>,
    limit: usize,
    /// Told once, when it ends.
    over: Notify,
}

#[derive(Debug, Default)]
struct Table {
    waiting: HashMap<Uuid, Entry>,
    /// Why no answer can come any more.
    ended: Option<Arc<str>>,
}

/// One who waits.
#[derive(Debug)]
struct Entry {
    /// What the request was sent to.
    exchange: Arc<str>,
    answer: oneshot::Sender<Answer>,
}

/// What whoever waits is told.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// This came back.
    Reply(Payload),
    /// No queue has received the request.
    Unroutable,
    /// The exchange is gone, and with it the way back: why.
    Vanished(Arc<str>),
}

/// Why nobody else may wait.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Too many wait already.
    Full(usize),
    /// No answer can come any more.
    Ended,
}

impl Pending {
    pub(super) fn new(observed: Arc<Observed>) -> Arc<Self> {
        Self::with_limit(observed, LIMIT)
    }

    fn with_limit(observed: Arc<Observed>, limit: usize) -> Arc<Self> {
        Arc::new(Self {
            table: Mutex::default(),
            observed,
            limit,
            over: Notify::new(),
        })
    }

    /// Waits for the answer with a new correlation id.
    pub(super) fn enter(self: &Arc<Self>, exchange: &Arc<str>) -> Result<Waiting, Refusal> {
        let (answer, answered) = oneshot::channel();
        let id = Uuid::new_v4();
        let mut table = self.table();
        if table.ended.is_some() {
            return Err(Refusal::Ended);
        }
        if table.waiting.len() >= self.limit {
            return Err(Refusal::Full(self.limit));
        }
        let exchange = Arc::clone(exchange);
        table.waiting.insert(id, Entry { exchange, answer });
        drop(table);
        self.observed.pending.increment(1);
        Ok(Waiting {
            pending: Arc::clone(self),
            id,
            answered,
        })
    }

    /// Hands an answer to whoever waits for it; whether somebody does.
    pub(super) fn answer(&self, id: Option<&str>, answer: Answer) -> bool {
        let id = id.and_then(|id| Uuid::try_parse(id).ok());
        let waiting = id.and_then(|id| self.table().waiting.remove(&id));
        waiting.is_some_and(|waiting| waiting.answer.send(answer).is_ok())
    }

    /// Sends those away who have called this exchange.
    pub(super) fn vanished(&self, exchange: &str, why: &Arc<str>) {
        let mut table = self.table();
        let is_meant = |_: &Uuid, entry: &mut Entry| *entry.exchange == *exchange;
        let meant: Vec<_> = table.waiting.extract_if(is_meant).collect();
        drop(table);
        // Outside of the lock: this wakes them.
        for (_, entry) in meant {
            // Whoever has left needs no word.
            let _heard = entry.answer.send(Answer::Vanished(Arc::clone(why))).is_ok();
        }
    }

    /// Sends everybody away who waits. The first reason counts.
    pub(super) fn end(&self, reason: &str) {
        let mut table = self.table();
        table.ended.get_or_insert_with(|| reason.into());
        let waiting = std::mem::take(&mut table.waiting);
        drop(table);
        // Outside of the lock: this wakes them.
        drop(waiting);
        self.over.notify_waiters();
    }

    /// Resolves once no answer can come any more.
    ///
    /// # Cancel safety
    /// Yes: what has ended stays so.
    pub(super) async fn over(&self) {
        let told = self.over.notified();
        if self.ended().is_none() {
            told.await;
        }
    }

    /// Why no answer can come any more.
    pub(super) fn ended(&self) -> Option<Arc<str>> {
        self.table().ended.clone()
    }

    pub(super) fn len(&self) -> usize {
        self.table().waiting.len()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One who waits: resolves to the answer, or to `None` once none can come. Dropping it leaves nothing behind.
#[derive(Debug)]
pub(super) struct Waiting {
    pending: Arc<Pending>,
    id: Uuid,
    answered: oneshot::Receiver<Answer>,
}

impl Waiting {
    /// What ties the answer to the request.
    pub(super) fn correlation_id(&self) -> Arc<str> {
        let mut text = Uuid::encode_buffer();
        Arc::from(&*self.id.hyphenated().encode_lower(&mut text))
    }
}

impl Future for Waiting {
    type Output = Option<Answer>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.answered).poll(cx).map(Result::ok)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.pending.observed.pending.decrement(1);
        // Whoever has been answered, or sent away, is not in the table any more.
        if !self.answered.is_terminated() {
            self.pending.table().waiting.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(limit: usize) -> Arc<Pending> {
        Pending::with_limit(Arc::new(Observed::new()), limit)
    }

    fn enter(pending: &Arc<Pending>) -> Result<Waiting, Refusal> {
        pending.enter(&"action".into())
    }

    fn payload(text: &'static str) -> Answer {
        Answer::Reply(Payload::new(text))
    }

    #[tokio::test]
    async fn an_answer_finds_the_one_who_waits_and_only_once() {
        let pending = table(10);
        let (one, other) = (enter(&pending).unwrap(), enter(&pending).unwrap());
        let (one_id, other_id) = (one.correlation_id(), other.correlation_id());
        assert!(pending.answer(Some(&other_id), payload("other")));
        assert!(pending.answer(Some(&one_id), payload("one")));
        assert!(!pending.answer(Some(&one_id), payload("again")));
        assert_eq!(one.await, Some(payload("one")));
        assert_eq!(other.await, Some(payload("other")));
        assert_eq!(pending.len(), 0);
    }

    #[tokio::test]
    async fn an_exchange_that_vanishes_sends_its_own_callers_away() {
        let pending = table(10);
        let one = enter(&pending).unwrap();
        let other = pending.enter(&"other".into()).unwrap();
        pending.vanished("action", &"deleted".into());
        assert_eq!(one.await, Some(Answer::Vanished("deleted".into())));
        assert!(pending.answer(Some(&other.correlation_id()), payload("other")));
        assert_eq!(other.await, Some(payload("other")));
        assert!(enter(&pending).is_ok());
    }

    #[test]
    fn an_answer_to_nobody_is_told() {
        let pending = table(10);
        let _waiting = enter(&pending).unwrap();
        let foreign = Uuid::new_v4().to_string();
        for id in [None, Some(""), Some("not an id"), Some(&*foreign)] {
            assert!(!pending.answer(id, payload("x")), "{id:?}");
        }
        assert_eq!(pending.len(), 1);
    }

    #[test]
    fn whoever_leaves_leaves_nothing_behind() {
        let pending = table(1);
        for _ in 0..1_000 {
            let waiting = enter(&pending).unwrap();
            assert_eq!(enter(&pending).unwrap_err(), Refusal::Full(1));
            drop(waiting);
        }
        assert_eq!(pending.len(), 0);
    }

    #[tokio::test]
    async fn the_end_sends_everybody_away_and_lets_nobody_in() {
        let pending = table(10);
        let (one, other) = (enter(&pending).unwrap(), enter(&pending).unwrap());
        let id = other.correlation_id();
        assert!(pending.answer(Some(&id), payload("just in time")));
        pending.end("first");
        pending.end("second");
        assert_eq!(one.await, None);
        assert_eq!(other.await, Some(payload("just in time")));
        assert_eq!(enter(&pending).unwrap_err(), Refusal::Ended);
        assert_eq!(pending.ended().as_deref(), Some("first"));
        pending.over().await;
    }
}
