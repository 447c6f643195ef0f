//! The state of a broker: plain data, and what changes of it do.
//!
//! The three things users do are in files of their own: [`publish`](super::publish), [`consume`](super::consume) and
//! [`declare`](super::declare). Here is what they share: how a message enters a queue, how one dies, and how a
//! change takes effect at once (in memory) or after its commit (with a journal).

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use foldhash::{HashMap, HashMapExt};
use tidings_core::{Address, Completion, Result, call::Message, clock::Clock};
use tokio::sync::oneshot;

use crate::{
    broker::{
        change::Change,
        consumer::{Consumer, ConsumerId, Waits, Wakers},
        dead_letter::{self, Death, History, Reason},
        entry::Entry,
        exchange::{Exchanges, Route},
        expiry::Timers,
        producers::Producers,
        queue::{Queue, QueueId},
        unsettled::Unsettled,
    },
    error,
    journal::Inbox,
};

/// Everything a broker knows.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) clock: Clock,
    pub(crate) journal: Option<Arc<Inbox>>,
    pub(crate) closed: bool,
    pub(crate) exchanges: Exchanges,
    pub(crate) queues: HashMap<QueueId, Queue>,
    pub(crate) consumers: BTreeMap<ConsumerId, Consumer>,
    pub(crate) unsettled: Unsettled,
    pub(crate) producers: Producers,
    pub(crate) timers: Timers,
    /// To be woken once the lock is released.
    pub(crate) wakers: Wakers,
    /// Messages whose time in a queue has ended; they are buried before the lock is released.
    pub(crate) dying: VecDeque<(QueueId, Entry)>,
    /// Changes handed to the journal that will make messages visible.
    pub(crate) in_flight: usize,
    pub(crate) last_id: u64,
}

impl State {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            journal: None,
            closed: false,
            exchanges: Exchanges::new(),
            queues: HashMap::new(),
            consumers: BTreeMap::new(),
            unsettled: Unsettled::default(),
            producers: Producers::new(),
            timers: Timers::default(),
            wakers: Wakers::default(),
            dying: VecDeque::new(),
            in_flight: 0,
            last_id: 0,
        }
    }

    /// An identity for anything: never given twice, growing.
    pub(crate) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Carries a change out: now, or after its commit if it must survive a crash or must not overtake one that
    /// does. Without `wanted` nobody hears of the outcome.
    pub(crate) fn submit(&mut self, change: Change, wanted: bool) -> Completion {
        let Some(journal) = self
            .journal
            .as_ref()
            .filter(|_| change.is_stored() || self.in_flight > 0)
        else {
            return Completion::ready(self.apply(change));
        };
        self.in_flight += usize::from(change.shows_messages());
        if !wanted {
            journal.push(change, None);
            return Completion::ready(Ok(()));
        }
        let (done, answer) = oneshot::channel();
        journal.push(change, Some(done));
        Completion::waiting(
            answer,
            "the embedded broker ended before it could say whether this was stored",
        )
    }

    /// Lets a change take effect that needs no journal.
    fn apply(&mut self, change: Change) -> Result<()> {
        match change {
            Change::Publish { rows, .. } | Change::Bury { rows, .. } => {
                for (queue, entry) in rows {
                    self.enqueue(queue, entry);
                }
            }
            Change::Attend(queue) => self.attend(queue),
            Change::Confirm(from) if self.producers.is_refused(from) => {
                return Err(error::refused_before());
            }
            Change::Forget { .. }
            | Change::Hide { .. }
            | Change::Topology(_)
            | Change::Confirm(_)
            | Change::Close { .. } => {}
        }
        Ok(())
    }

    /// Lets a change take effect that the journal has committed.
    pub(crate) fn committed(&mut self, change: Change) -> Result<()> {
        self.in_flight -= usize::from(change.shows_messages());
        self.apply(change)
    }

    /// Forgets a publish that the journal could not store: no consumer has seen it.
    pub(crate) fn refused(&mut self, change: &Change) {
        self.in_flight -= usize::from(change.shows_messages());
        if let Change::Publish {
            from: Some(from), ..
        } = change
        {
            self.producers.refuse((from.producer, from.sequence));
        }
    }

    /// A new message for a queue; `None` if the queue is gone.
    pub(crate) fn entry(
        &mut self,
        queue: QueueId,
        message: Arc<Message>,
        history: History,
    ) -> Option<Entry> {
        let queue = self.queues.get(&queue)?;
        let envelope = &message.envelope;
        let lifetime = match (queue.settings.message_ttl, envelope.properties.expiration()) {
            (Some(queue), Some(own)) => Some(queue.min(own)),
            (queue, own) => queue.or(own),
        };
        let stored = queue.stored && envelope.persistent;
        let expires_at = lifetime.map(|lifetime| {
            let millis = i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX);
            self.clock.now_millis().saturating_add(millis)
        });
        Some(Entry {
            id: self.next_id(),
            message,
            expires_at,
            history,
            stored,
            redelivered: false,
            immediate: false,
        })
    }

    /// Makes a message visible to the consumers of its queue.
    pub(crate) fn enqueue(&mut self, id: QueueId, mut entry: Entry) {
        // The queue may have been deleted while the journal was writing.
        let Some(queue) = self.queues.get_mut(&id) else {
            return;
        };
        if let Some(at) = entry.expires_at {
            if at > self.clock.now_millis() {
                self.timers.add(at, id, entry.id);
            } else if queue.delivers_at_once() {
                entry.immediate = true;
            } else {
                self.dying.push_back((id, entry));
                return;
            }
        }
        queue.ready.insert(entry);
        self.offer(id);
    }

    /// Puts a delivered message back into its old place.
    pub(crate) fn requeue(&mut self, queue: QueueId, mut entry: Entry) {
        entry.redelivered = true;
        entry.immediate = false;
        self.enqueue(queue, entry);
    }

    /// Wakes the consumer that has waited longest, if a message can be delivered.
    pub(crate) fn offer(&mut self, queue: QueueId) {
        let Some(queue) = self.queues.get_mut(&queue).filter(|queue| queue.attended) else {
            return;
        };
        let Some(id) = queue.parked.pop_front() else {
            return;
        };
        if let Some(consumer) = self.consumers.get_mut(&id) {
            consumer.waits = Waits::Turn;
            queue.woken += 1;
            self.wakers.add(consumer.waker.take());
        }
    }

    fn attend(&mut self, id: QueueId) {
        let Some(queue) = self.queues.get_mut(&id) else {
            return;
        };
        queue.attended = true;
        for _ in 0..queue.ready.len().min(queue.parked.len()) {
            self.offer(id);
        }
    }

    /// Sees to messages that are due, at most so many, and returns when the next one will be.
    pub(crate) fn expire(&mut self, at_most: usize) -> i64 {
        let now = self.clock.now_millis();
        for _ in 0..at_most {
            let Some((id, entry)) = self.timers.pop(now) else {
                break;
            };
            let Some(queue) = self.queues.get_mut(&id) else {
                continue;
            };
            if let Some(entry) = queue.ready.remove(entry) {
                self.dying.push_back((id, entry));
            } else if let Some((_, entry)) = queue.delayed.remove(&entry) {
                // Its delay is over or its lifetime; `enqueue` knows which.
                self.enqueue(id, entry);
            }
        }
        self.timers.set()
    }

    /// Buries what expired during an operation.
    pub(crate) fn bury_dying(&mut self) {
        while let Some((queue, entry)) = self.dying.pop_front() {
            // Nobody waits: an expiry that cannot be stored stays with the journal, which goes on trying.
            drop(self.dead_letter(queue, entry, Reason::Expired, false));
        }
    }

    /// Ends a message's time in a queue: to the dead-letter exchange if the queue has one.
    pub(crate) fn dead_letter(
        &mut self,
        queue: QueueId,
        entry: Entry,
        reason: Reason,
        wanted: bool,
    ) -> Completion {
        let gone = entry.stored.then_some(entry.id);
        let rows = self.copies(queue, entry, reason);
        self.submit(Change::Bury { gone, rows }, wanted)
    }

    /// The dead letters that a dying message becomes.
    fn copies(&mut self, queue: QueueId, entry: Entry, reason: Reason) -> Vec<(QueueId, Entry)> {
        let Some(queue) = self.queues.get(&queue) else {
            return Vec::new();
        };
        let Some(to) = &queue.settings.dead_letter else {
            return Vec::new();
        };
        let name = Arc::clone(&queue.settings.name);
        let key = to.key.as_ref().unwrap_or(&entry.message.address.key);
        let to = Address::new(Arc::clone(&to.exchange), Arc::clone(key));
        let targets = self.dead_letter_targets(&name, &to, reason);
        let Entry {
            message,
            mut history,
            ..
        } = entry;
        let mut envelope = message.envelope.clone();
        let time = self.clock.now_millis().div_euclid(1_000);
        dead_letter::bury(
            &mut envelope,
            &Death {
                queue: &name,
                reason,
                address: &message.address,
                time,
            },
        );
        dead_letter::note(&mut history, &name, reason);
        let copy = Arc::new(Message {
            address: to,
            envelope,
        });
        let mut rows = Vec::with_capacity(targets.len());
        for target in targets {
            if self.ends_cycle(target, &history, &name) {
                continue;
            }
            let entry = self.entry(target, Arc::clone(&copy), history.clone());
            rows.extend(entry.map(|entry| (target, entry)));
        }
        rows
    }

    fn dead_letter_targets(&mut self, queue: &str, to: &Address, reason: Reason) -> Vec<QueueId> {
        let reason = reason.as_str();
        match self.exchanges.route(to) {
            Some(Route::One(target)) => vec![target],
            Some(Route::Many(targets)) => targets.to_vec(),
            // RabbitMQ drops the message in silence in both cases; the least we owe is to say so.
            Some(Route::Nowhere) => {
                tracing::error!(queue, reason, to = %to, "message lost: no queue receives the dead letters of this queue; bind one");
                Vec::new()
            }
            None => {
                tracing::error!(queue, reason, to = %to, "message lost: the dead-letter exchange of this queue does not exist; declare it");
                Vec::new()
            }
        }
    }

    fn ends_cycle(&self, target: QueueId, history: &History, from: &str) -> bool {
        let Some(target) = self.queues.get(&target) else {
            return true;
        };
        let name = &*target.settings.name;
        let cycle = dead_letter::is_cycle(history, name);
        if cycle {
            tracing::warn!(
                queue = name,
                from,
                "message dropped: it has expired in this queue before and came back by itself, so it would circle for ever"
            );
        }
        cycle
    }
}
