//! What a process declared that does not survive its owner: queues that are not durable, and bindings to them.
//!
//! A new owner finds everything else in the file. A client declares these again before it subscribes again, so
//! a service keeps its reply queue through a take-over, though not the messages that were in it.

use std::sync::{Arc, Mutex};

use tidings_core::topology::Topology;

use super::member::lock;

/// The transient part of all topologies that were declared and not deleted.
#[derive(Debug, Default)]
pub(super) struct Transient(Mutex<Topology>);

impl Transient {
    /// Remembers the transient part of a topology.
    pub(super) fn remember(&self, declared: &Topology) {
        let queues: Vec<_> = declared
            .queues
            .iter()
            .filter(|queue| !queue.durable)
            .cloned()
            .collect();
        if queues.is_empty() && declared.bindings.is_empty() {
            return;
        }
        let mut known = lock(&self.0);
        known.merge(Topology {
            queues,
            ..Topology::new()
        });
        // A binding may come with a later topology than its queue.
        let to_known = |queue: &Arc<str>| known.queues.iter().any(|known| known.name == *queue);
        let bindings = declared
            .bindings
            .iter()
            .filter(|binding| to_known(&binding.queue))
            .cloned()
            .collect();
        known.merge(Topology {
            bindings,
            ..Topology::new()
        });
    }

    /// Forgets what is being deleted.
    pub(super) fn forget(&self, deleted: &Topology) {
        let no_queue = |name: &Arc<str>| deleted.queues.iter().any(|queue| queue.name == *name);
        let no_exchange = |name: &Arc<str>| {
            deleted
                .exchanges
                .iter()
                .any(|exchange| exchange.name == *name)
        };
        let mut known = lock(&self.0);
        known.queues.retain(|queue| !no_queue(&queue.name));
        known
            .bindings
            .retain(|binding| !no_queue(&binding.queue) && !no_exchange(&binding.exchange));
    }

    /// Everything that a new owner has to be told, if there is anything.
    pub(super) fn all(&self) -> Option<Topology> {
        let known = lock(&self.0);
        (!known.queues.is_empty()).then(|| known.clone())
    }
}

#[cfg(test)]
mod tests {
    use tidings_core::topology::{Exchange, Queue};

    use super::*;

    #[test]
    fn remembers_what_dies_with_the_owner_until_it_is_deleted() {
        let transient = Transient::default();
        let replies = Topology::new().queue(Queue::exclusive("replies"));
        transient.remember(
            &Topology::new()
                .exchange(Exchange::topic("events"))
                .queue(Queue::new("durable"))
                .bind("events", "durable", "#"),
        );
        assert_eq!(transient.all(), None);
        transient.remember(&replies);
        transient.remember(&Topology::new().bind("events", "replies", "reply"));
        let both = replies.clone().bind("events", "replies", "reply");
        assert_eq!(transient.all(), Some(both));
        transient.forget(&replies);
        assert_eq!(transient.all(), None);
    }
}
