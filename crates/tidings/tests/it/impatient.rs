//! A broker as RabbitMQ is in one respect: it keeps no nacked message back, so that detours have to do it.

use std::sync::Arc;

use tidings::{
    Deadline, Result,
    embedded::Embedded,
    topology::{Difference, Topology},
    transport::{
        BoxFuture, Capabilities, Capability, Publisher, QueueStatus, Subscriber, Subscription,
        Transport,
    },
};

/// The embedded broker without delayed nacks.
#[derive(Debug)]
pub(crate) struct Impatient(Embedded);

impl Impatient {
    pub(crate) fn memory() -> Arc<dyn Transport> {
        Arc::new(Self(Embedded::memory()))
    }
}

impl Transport for Impatient {
    fn scheme(&self) -> &'static str {
        "impatient"
    }

    fn capabilities(&self) -> Capabilities {
        let kept = self.0.capabilities().iter();
        let kept = kept.filter(|it| *it != Capability::DelayedNack);
        kept.fold(Capabilities::NONE, Capabilities::with)
    }

    fn declare<'a>(&'a self, topology: &'a Topology) -> BoxFuture<'a, Result<()>> {
        self.0.declare(topology)
    }

    fn compare<'a>(&'a self, topology: &'a Topology) -> BoxFuture<'a, Result<Vec<Difference>>> {
        self.0.compare(topology)
    }

    fn delete<'a>(&'a self, topology: &'a Topology) -> BoxFuture<'a, Result<()>> {
        self.0.delete(topology)
    }

    fn publisher(&self) -> BoxFuture<'_, Result<Arc<dyn Publisher>>> {
        self.0.publisher()
    }

    fn subscribe(&self, to: Subscription) -> BoxFuture<'_, Result<Box<dyn Subscriber>>> {
        self.0.subscribe(to)
    }

    fn queues<'a>(&'a self, named: &'a [Arc<str>]) -> BoxFuture<'a, Result<Vec<QueueStatus>>> {
        self.0.queues(named)
    }

    fn close(&self, deadline: Deadline) -> BoxFuture<'_, Result<()>> {
        self.0.close(deadline)
    }
}
