//! The way in: from a call to the queues that receive it.

use std::sync::Arc;

use tidings_core::{Call, Completion, Error};

use crate::{
    broker::{
        ProducerId, Sequence,
        change::{Change, From},
        exchange::Route,
        queue::QueueId,
        state::State,
    },
    envelope, error,
};

/// AMQP 0.9.1 keys are short strings; what RabbitMQ refuses is refused here, too.
const LONGEST_KEY: usize = 255;

impl State {
    /// Publishes a call once, however often it comes with the same number.
    pub(crate) fn publish(
        &mut self,
        from: Option<(ProducerId, Sequence)>,
        call: Call,
    ) -> Completion {
        if self.closed {
            return Completion::ready(Err(error::closed()));
        }
        if let Some(from) = from
            && !self.producers.admit(from)
        {
            return self.submit(Change::Confirm(from), true);
        }
        if call.address.key.len() > LONGEST_KEY {
            return self.refuse(from, error::long_key(&call.address));
        }
        if let Some(journal) = &self.journal {
            if journal.is_full() {
                return self.refuse(from, error::too_many_waiting());
            }
            if let Err(error) = envelope::check(&call) {
                return self.refuse(from, error);
            }
        }
        match self.exchanges.route(&call.address) {
            None => self.refuse(from, error::no_exchange(&call.address.exchange)),
            Some(Route::Nowhere) if call.mandatory => {
                self.refuse(from, error::unroutable(&call.address))
            }
            Some(Route::Nowhere) => Completion::ready(Ok(())),
            Some(Route::One(queue)) => self.store_one(queue, from, call),
            Some(Route::Many(queues)) => self.store_all(&queues, from, &call),
        }
    }

    fn refuse(&mut self, from: Option<(ProducerId, Sequence)>, error: Error) -> Completion {
        if let Some(from) = from {
            self.producers.refuse(from);
        }
        Completion::ready(Err(error))
    }

    /// The usual case: one queue.
    fn store_one(
        &mut self,
        queue: QueueId,
        from: Option<(ProducerId, Sequence)>,
        call: Call,
    ) -> Completion {
        let Some(entry) = self.entry(queue, call.into_message(), None) else {
            return Completion::ready(Ok(()));
        };
        if self.journal.is_none() {
            self.enqueue(queue, entry);
            return Completion::ready(Ok(()));
        }
        let from = self.from(from);
        self.submit(
            Change::Publish {
                rows: vec![(queue, entry)],
                from,
            },
            true,
        )
    }

    fn store_all(
        &mut self,
        queues: &[QueueId],
        from: Option<(ProducerId, Sequence)>,
        call: &Call,
    ) -> Completion {
        let mut rows = Vec::with_capacity(queues.len());
        for queue in queues {
            let entry = self.entry(*queue, Arc::clone(call.message()), None);
            rows.extend(entry.map(|entry| (*queue, entry)));
        }
        let from = self.from(from);
        self.submit(Change::Publish { rows, from }, true)
    }

    fn from(&mut self, from: Option<(ProducerId, Sequence)>) -> Option<From> {
        from.map(|(producer, sequence)| From {
            producer,
            sequence,
            refused: self.producers.take_untold(producer),
        })
    }
}
