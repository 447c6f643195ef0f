//! The way out: who gets the next message, and what becomes of it.

use std::{
    sync::Arc,
    task::{Poll, Waker},
    time::Duration,
};

use tidings_core::{Call, Completion, Error, Result, Settlement, transport::Subscription};

use crate::{
    broker::{
        ConnectionId,
        change::Change,
        consumer::{Consumer, ConsumerId, Waits},
        dead_letter::Reason,
        entry::Entry,
        queue::QueueId,
        state::State,
        unsettled::Lease,
    },
    error,
};

/// A message on its way to a consumer, with the tag that settles it.
pub(crate) type Handout = (Call, u64);

impl State {
    /// Adds a consumer to a queue.
    pub(crate) fn subscribe(
        &mut self,
        connection: ConnectionId,
        to: &Subscription,
    ) -> Result<ConsumerId> {
        if self.closed {
            return Err(error::closed());
        }
        let found = self.exchanges.queue(&to.queue);
        let Some((queue_id, queue)) =
            found.and_then(|id| self.queues.get_mut(&id).map(|queue| (id, queue)))
        else {
            return Err(error::no_queue(&to.queue));
        };
        if queue.owner.is_some_and(|owner| owner != connection) {
            return Err(error::exclusive(&to.queue));
        }
        queue.consumers += 1;
        let attended = queue.attended;
        let consumer = ConsumerId(self.next_id());
        self.consumers.insert(
            consumer,
            Consumer {
                connection,
                queue: queue_id,
                prefetch: u32::from(to.prefetch.max(1)),
                unsettled: 0,
                waits: Waits::Not,
                waker: None,
            },
        );
        if !attended {
            // Nobody waits for the completion; the consumer is woken when it is done.
            drop(self.submit(Change::Attend(queue_id), false));
        }
        Ok(consumer)
    }

    /// The next message for a consumer, or the promise to wake it.
    pub(crate) fn poll(&mut self, id: ConsumerId, waker: &Waker) -> Poll<Option<Result<Handout>>> {
        let Some(consumer) = self.consumers.get_mut(&id) else {
            return Poll::Ready(None);
        };
        if let Waits::Ended(error) = &mut consumer.waits {
            return Poll::Ready(error.take().map(Err));
        }
        let queue_id = consumer.queue;
        let Some(queue) = self.queues.get_mut(&queue_id) else {
            return Poll::Ready(None);
        };
        let has_turn = matches!(consumer.waits, Waits::Turn);
        queue.woken -= u32::from(has_turn);
        let was_parked = matches!(consumer.waits, Waits::Message);
        if consumer.unsettled >= consumer.prefetch {
            consumer.wait(Waits::Room, waker);
            return Poll::Pending;
        }
        if !has_turn && queue.woken > 0 && !queue.ready.is_empty() {
            // Somebody else has been woken for a message and has not come yet: let it go first, once. Without
            // this, a consumer that settles quickly would take everything from under the others' hands.
            consumer.wait(Waits::Turn, waker);
            self.wakers.add(consumer.waker.take());
            queue.woken += 1;
            if was_parked {
                queue.parked.retain(|parked| *parked != id);
            }
            return Poll::Pending;
        }
        if queue.attended
            && let Some(entry) = self.take(queue_id)
        {
            self.leave_rotation(id, was_parked);
            return Poll::Ready(Some(Ok(self.hand_out(id, queue_id, entry))));
        }
        self.park(id, was_parked, waker);
        Poll::Pending
    }

    /// Puts a consumer that found nothing at the end of the rotation.
    fn park(&mut self, id: ConsumerId, was_parked: bool, waker: &Waker) {
        let Some(consumer) = self.consumers.get_mut(&id) else {
            return;
        };
        consumer.wait(Waits::Message, waker);
        if let Some(queue) = self.queues.get_mut(&consumer.queue)
            && !was_parked
        {
            queue.parked.push_back(id);
        }
    }

    fn leave_rotation(&mut self, id: ConsumerId, was_parked: bool) {
        let Some(consumer) = self.consumers.get_mut(&id) else {
            return;
        };
        consumer.waits = Waits::Not;
        if was_parked && let Some(queue) = self.queues.get_mut(&consumer.queue) {
            queue.parked.retain(|parked| *parked != id);
        }
    }

    /// The first message of a queue whose time is not over.
    fn take(&mut self, id: QueueId) -> Option<Entry> {
        let queue = self.queues.get_mut(&id)?;
        while let Some(entry) = queue.ready.pop() {
            let Some(at) = entry.expires_at else {
                return Some(entry);
            };
            self.timers.remove(at, id, entry.id);
            if !entry.is_expired(self.clock.now_millis()) {
                return Some(entry);
            }
            self.dying.push_back((id, entry));
        }
        None
    }

    fn hand_out(&mut self, id: ConsumerId, queue_id: QueueId, entry: Entry) -> Handout {
        let mut call = Call::of(Arc::clone(&entry.message));
        if let Some(queue) = self.queues.get_mut(&queue_id) {
            queue.unsettled += 1;
            call = call.with_origin(Arc::clone(&queue.settings.name), entry.redelivered);
        }
        let mut connection = ConnectionId(0);
        if let Some(consumer) = self.consumers.get_mut(&id) {
            consumer.unsettled += 1;
            connection = consumer.connection;
        }
        let tag = self.unsettled.insert(Lease {
            entry,
            queue: queue_id,
            consumer: id,
            connection,
        });
        (call, tag)
    }

    /// Settles a delivery.
    pub(crate) fn settle(&mut self, tag: u64, how: &Settlement) -> Completion {
        let Some(lease) = self.unsettled.remove(tag) else {
            return Completion::ready(Err(error::lost_delivery()));
        };
        self.release(&lease);
        let Lease { entry, queue, .. } = lease;
        match how {
            // Journaled, and answered after the commit: a crash cannot bring the message back.
            Settlement::Ack if entry.stored => self.submit(Change::Forget { id: entry.id }, true),
            Settlement::Ack => Completion::ready(Ok(())),
            Settlement::Nack { delay: Some(delay) } if !delay.is_zero() => {
                self.hide(queue, entry, *delay)
            }
            Settlement::Nack { .. } => {
                // Not journaled: after a crash the message is in its queue all the same.
                self.requeue(queue, entry);
                Completion::ready(Ok(()))
            }
            Settlement::Reject => self.dead_letter(queue, entry, Reason::Rejected, true),
        }
    }

    /// Gives a delivery back.
    pub(crate) fn abandon(&mut self, tag: u64) {
        if let Some(lease) = self.unsettled.remove(tag) {
            self.give_back(lease);
        }
    }

    pub(crate) fn give_back(&mut self, lease: Lease) {
        self.release(&lease);
        self.requeue(lease.queue, lease.entry);
    }

    /// Keeps a message out of sight for a while.
    fn hide(&mut self, id: QueueId, mut entry: Entry, delay: Duration) -> Completion {
        let Some(queue) = self.queues.get_mut(&id) else {
            return Completion::ready(Ok(()));
        };
        // A part of a millisecond counts as one.
        let delay = i64::try_from(delay.as_micros().div_ceil(1_000)).unwrap_or(i64::MAX);
        let until = self.clock.now_millis().saturating_add(delay);
        entry.redelivered = true;
        entry.immediate = false;
        let (stored, entry_id) = (entry.stored, entry.id);
        self.timers
            .add(entry.expires_at.unwrap_or(until).min(until), id, entry_id);
        queue.delayed.insert(entry_id, (until, entry));
        if stored {
            return self.submit(
                Change::Hide {
                    id: entry_id,
                    until,
                },
                true,
            );
        }
        Completion::ready(Ok(()))
    }

    /// Makes room for another delivery to the same consumer.
    fn release(&mut self, lease: &Lease) {
        let Some(queue) = self.queues.get_mut(&lease.queue) else {
            return;
        };
        queue.unsettled -= 1;
        let Some(consumer) = self.consumers.get_mut(&lease.consumer) else {
            return;
        };
        consumer.unsettled -= 1;
        if !matches!(consumer.waits, Waits::Room) {
            return;
        }
        if queue.ready.is_empty() || !queue.attended {
            consumer.waits = Waits::Message;
            queue.parked.push_back(lease.consumer);
        } else {
            consumer.waits = Waits::Turn;
            queue.woken += 1;
            self.wakers.add(consumer.waker.take());
        }
    }

    /// Forgets a consumer whose subscriber is gone. Its deliveries stay with whoever has them.
    pub(crate) fn unsubscribe(&mut self, id: ConsumerId) {
        self.detach(id);
        self.consumers.remove(&id);
    }

    /// Ends a consumer: its subscriber returns this error, if there is one, and then nothing more.
    pub(crate) fn end(&mut self, id: ConsumerId, error: Option<Error>) {
        self.detach(id);
        if let Some(consumer) = self.consumers.get_mut(&id) {
            consumer.waits = Waits::Ended(error);
            self.wakers.add(consumer.waker.take());
        }
    }

    /// Takes a consumer out of its queue and passes its turn on.
    fn detach(&mut self, id: ConsumerId) {
        let Some(consumer) = self.consumers.get_mut(&id) else {
            return;
        };
        let waits = std::mem::replace(&mut consumer.waits, Waits::Ended(None));
        let queue_id = consumer.queue;
        let Some(queue) = self.queues.get_mut(&queue_id) else {
            return;
        };
        match waits {
            Waits::Ended(error) => {
                consumer.waits = Waits::Ended(error);
                return;
            }
            Waits::Message => queue.parked.retain(|parked| *parked != id),
            Waits::Turn => queue.woken -= 1,
            Waits::Not | Waits::Room => {}
        }
        queue.consumers -= 1;
        if !matches!(waits, Waits::Turn) || queue.ready.is_empty() {
            return;
        }
        if queue.parked.is_empty() && queue.woken == 0 {
            self.end_immediate(queue_id);
        } else {
            self.offer(queue_id);
        }
    }

    /// Lets messages expire that were kept only for a consumer that has gone.
    fn end_immediate(&mut self, id: QueueId) {
        let Some(queue) = self.queues.get_mut(&id) else {
            return;
        };
        let immediate = |entry: &&Entry| entry.immediate;
        let ids: Vec<u64> = queue
            .ready
            .iter()
            .filter(immediate)
            .map(|entry| entry.id)
            .collect();
        for entry in ids
            .into_iter()
            .filter_map(|entry| queue.ready.remove(entry))
        {
            self.dying.push_back((id, entry));
        }
    }
}

impl Consumer {
    fn wait(&mut self, waits: Waits, waker: &Waker) {
        self.waits = waits;
        if !self
            .waker
            .as_ref()
            .is_some_and(|known| known.will_wake(waker))
        {
            self.waker = Some(waker.clone());
        }
    }
}
