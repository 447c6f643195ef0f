//! What exists: declaring it, all or nothing, and deleting it.

use std::sync::Arc;

use tidings_core::{
    Completion, Result,
    topology::{self, Topology},
    transport::QueueStatus,
};

use crate::{
    broker::{
        ConnectionId,
        change::{Change, TopologyChange},
        queue::{Queue, QueueId},
        state::State,
        unsettled::Lease,
    },
    error,
};

impl State {
    /// Makes everything in the topology exist, or nothing.
    pub(crate) fn declare(&mut self, connection: ConnectionId, topology: &Topology) -> Completion {
        if let Err(error) = self.check(connection, topology) {
            return Completion::ready(Err(error));
        }
        let changes = self.create(connection, topology);
        // Handed to the journal also when it is empty: what exists may have been declared a moment ago by
        // somebody else and not be committed yet.
        self.submit(Change::Topology(changes), true)
    }

    fn check(&self, connection: ConnectionId, topology: &Topology) -> Result<()> {
        let differences = self.compare(connection, topology)?;
        if let Some(queue) = topology
            .queues
            .iter()
            .find(|queue| self.is_others(connection, &queue.name))
        {
            return Err(error::exclusive(&queue.name));
        }
        let conflicts: Vec<_> = differences.iter().filter(|it| it.is_conflict()).collect();
        if conflicts.is_empty() {
            Ok(())
        } else {
            Err(error::conflict(&conflicts))
        }
    }

    /// Adds what is missing and returns what of it the journal must know.
    fn create(&mut self, connection: ConnectionId, topology: &Topology) -> Vec<TopologyChange> {
        let mut changes = Vec::new();
        for exchange in &topology.exchanges {
            if self.exchanges.kind(&exchange.name).is_none() {
                self.exchanges
                    .add(Arc::clone(&exchange.name), exchange.kind);
                changes.push(TopologyChange::Exchange(exchange.clone()));
            }
        }
        for queue in &topology.queues {
            if self.exchanges.queue(&queue.name).is_none() {
                changes.extend(self.create_queue(connection, queue));
            }
        }
        for binding in &topology.bindings {
            changes.extend(self.bind(binding));
        }
        changes
    }

    fn create_queue(
        &mut self,
        connection: ConnectionId,
        settings: &topology::Queue,
    ) -> Option<TopologyChange> {
        let id = QueueId(self.next_id());
        let owner = settings.exclusive.then_some(connection);
        // An exclusive queue goes with its connection, so there is nothing to keep.
        let stored = self.journal.is_some() && settings.durable && !settings.exclusive;
        let queue = Queue::new(settings.clone(), owner, stored);
        self.queues.insert(id, queue);
        self.exchanges.add_queue(Arc::clone(&settings.name), id);
        stored.then(|| TopologyChange::Queue(id, settings.clone()))
    }

    fn bind(&mut self, binding: &topology::Binding) -> Option<TopologyChange> {
        let id = self.exchanges.queue(&binding.queue)?;
        let new = self.exchanges.bind(&binding.exchange, &binding.pattern, id);
        let stored = self.queues.get(&id)?.stored;
        (new && stored).then(|| TopologyChange::Bind {
            exchange: Arc::clone(&binding.exchange),
            queue: id,
            pattern: Arc::clone(&binding.pattern),
        })
    }

    /// Deletes the exchanges and queues of a topology with what is in them.
    pub(crate) fn delete(&mut self, connection: ConnectionId, topology: &Topology) -> Completion {
        if self.closed {
            return Completion::ready(Err(error::closed()));
        }
        for queue in &topology.queues {
            if self.is_others(connection, &queue.name) {
                return Completion::ready(Err(error::exclusive(&queue.name)));
            }
        }
        let mut changes = Vec::new();
        for exchange in &topology.exchanges {
            if self.exchanges.remove(&exchange.name) {
                changes.push(TopologyChange::DropExchange(Arc::clone(&exchange.name)));
            }
        }
        for queue in &topology.queues {
            changes.extend(self.delete_queue(&queue.name));
        }
        self.submit(Change::Topology(changes), true)
    }

    fn delete_queue(&mut self, name: &str) -> Option<TopologyChange> {
        let id = self.exchanges.remove_queue(name)?;
        let of_queue = |(consumer, it): (&_, &crate::broker::consumer::Consumer)| {
            (it.queue == id).then_some(*consumer)
        };
        let consumers: Vec<_> = self.consumers.iter().filter_map(of_queue).collect();
        for consumer in consumers {
            self.end(consumer, Some(error::queue_deleted(name)));
        }
        let queue = self.queues.remove(&id)?;
        let delayed = queue.delayed.values();
        for (until, entry) in delayed {
            self.timers
                .remove(entry.expires_at.unwrap_or(*until).min(*until), id, entry.id);
        }
        for entry in queue.ready.iter() {
            if let Some(at) = entry.expires_at {
                self.timers.remove(at, id, entry.id);
            }
        }
        queue.stored.then_some(TopologyChange::DropQueue(id))
    }

    /// Ends a connection.
    pub(crate) fn disconnect(&mut self, connection: ConnectionId) {
        self.end_consumers(|owner| owner == connection);
        for lease in self
            .unsettled
            .remove_where(|lease| lease.connection == connection)
        {
            self.give_back(lease);
        }
        let owned = |queue: &Queue| {
            (queue.owner == Some(connection)).then(|| Arc::clone(&queue.settings.name))
        };
        let queues: Vec<_> = self.queues.values().filter_map(owned).collect();
        for queue in queues {
            // Exclusive queues are not journaled: nothing to submit.
            self.delete_queue(&queue);
        }
    }

    fn end_consumers(&mut self, ends: impl Fn(ConnectionId) -> bool) {
        let consumers = self
            .consumers
            .iter()
            .filter(|(_, consumer)| ends(consumer.connection));
        let consumers: Vec<_> = consumers.map(|(id, _)| *id).collect();
        for consumer in consumers {
            self.end(consumer, None);
        }
    }

    /// Ends everything. The completion resolves when all that was handed over is committed.
    pub(crate) fn close(&mut self) -> Completion {
        if self.closed {
            return self.submit(
                Change::Close {
                    delivered: Vec::new(),
                },
                true,
            );
        }
        self.closed = true;
        self.end_consumers(|_| true);
        let leases: Vec<Lease> = self.unsettled.remove_where(|_| true);
        for lease in leases {
            self.give_back(lease);
        }
        let delivered = self.delivered();
        self.submit(Change::Close { delivered }, true)
    }

    /// The stored messages that somebody may have seen.
    fn delivered(&self) -> Vec<u64> {
        let mut ids = Vec::new();
        for queue in self.queues.values() {
            let delayed = queue.delayed.values().map(|(_, entry)| entry);
            let seen = queue
                .ready
                .iter()
                .chain(delayed)
                .filter(|entry| entry.stored && entry.redelivered);
            ids.extend(seen.map(|entry| entry.id));
        }
        ids
    }

    /// The queues from outside.
    pub(crate) fn status(&self, named: &[Arc<str>]) -> Result<Vec<QueueStatus>> {
        if !named.is_empty() {
            let one = |name: &Arc<str>| {
                let found = self
                    .exchanges
                    .queue(name)
                    .and_then(|id| self.queues.get(&id));
                found
                    .map(Queue::status)
                    .ok_or_else(|| error::no_queue(name))
            };
            return named.iter().map(one).collect();
        }
        let mut all: Vec<_> = self.queues.values().map(Queue::status).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }
}

impl Queue {
    fn status(&self) -> QueueStatus {
        QueueStatus {
            name: Arc::clone(&self.settings.name),
            ready: (self.ready.len() + self.delayed.len()) as u64,
            unsettled: Some(self.unsettled),
            consumers: self.consumers,
            rates: None,
        }
    }
}
