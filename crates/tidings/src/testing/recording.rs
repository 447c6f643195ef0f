//! A transport that remembers what passed through it.

use std::{
    collections::BTreeSet,
    fmt,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
};

use tidings_core::{
    Call, Completion, Contract, Deadline,
    convention::Convention,
    error::Result,
    topology::Topology,
    transport::{
        BoxFuture, Capabilities, Publisher, QueueStatus, Subscriber, Subscription, Transport,
    },
};
use tokio::sync::Notify;

use super::journal::{DeadLetter, anywhere};

/// A transport and the calls that were published through it.
pub(super) struct Recording {
    inner: Arc<dyn Transport>,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    published: Mutex<Vec<Call>>,
    expiring: Mutex<BTreeSet<Arc<str>>>,
    changed: Notify,
}

impl Recording {
    pub(super) fn new(inner: Arc<dyn Transport>) -> Self {
        Self {
            inner,
            seen: Arc::default(),
        }
    }

    /// Resolves when something has been published after this call.
    pub(super) fn changed(&self) -> impl Future<Output = ()> + '_ {
        self.seen.changed.notified()
    }

    /// Whether messages of this queue expire.
    pub(super) fn expires(&self, queue: &str) -> bool {
        self.seen
            .expiring
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(queue)
    }

    /// Fresh messages of a type: those that carry no header of a retry or a dead letter.
    pub(super) fn published<T: Contract>(&self, convention: &dyn Convention) -> Result<Vec<T>> {
        let mut messages = Vec::new();
        for call in self
            .seen
            .published()
            .iter()
            .filter(|call| call.envelope.headers.is_empty())
        {
            let attachment = anywhere();
            let Ok(opened) = convention.open(call, &attachment) else {
                continue;
            };
            if opened.name == T::NAME && opened.version == i64::from(T::VERSION) {
                messages.push(convention.format().decode(&opened.body)?);
            }
        }
        Ok(messages)
    }

    pub(super) fn dead_letters(&self, subscriber: &str) -> Vec<DeadLetter> {
        let published = self.seen.published();
        published
            .iter()
            .filter_map(DeadLetter::read)
            .filter(|letter| letter.is_of(subscriber))
            .collect()
    }
}

impl Seen {
    fn published(&self) -> std::sync::MutexGuard<'_, Vec<Call>> {
        self.published
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Recording").field(&self.inner).finish()
    }
}

impl Transport for Recording {
    fn scheme(&self) -> &'static str {
        self.inner.scheme()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn declare<'a>(&'a self, topology: &'a Topology) -> BoxFuture<'a, Result<()>> {
        let expiring = topology
            .queues
            .iter()
            .filter(|queue| queue.message_ttl.is_some());
        let expiring = expiring.map(|queue| Arc::clone(&queue.name));
        self.seen
            .expiring
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(expiring);
        self.inner.declare(topology)
    }

    fn delete<'a>(&'a self, topology: &'a Topology) -> BoxFuture<'a, Result<()>> {
        self.inner.delete(topology)
    }

    fn publisher(&self) -> BoxFuture<'_, Result<Arc<dyn Publisher>>> {
        Box::pin(async {
            let inner = self.inner.publisher().await?;
            let publisher: Arc<dyn Publisher> = Arc::new(Recorder {
                inner,
                seen: Arc::clone(&self.seen),
            });
            Ok(publisher)
        })
    }

    fn subscribe(&self, to: Subscription) -> BoxFuture<'_, Result<Box<dyn Subscriber>>> {
        self.inner.subscribe(to)
    }

    fn queues<'a>(&'a self, named: &'a [Arc<str>]) -> BoxFuture<'a, Result<Vec<QueueStatus>>> {
        self.inner.queues(named)
    }

    fn close(&self, deadline: Deadline) -> BoxFuture<'_, Result<()>> {
        self.inner.close(deadline)
    }
}

/// A publisher whose calls are remembered.
struct Recorder {
    inner: Arc<dyn Publisher>,
    seen: Arc<Seen>,
}

impl Publisher for Recorder {
    fn publish(&self, call: Call) -> Completion {
        self.seen.published().push(call.clone());
        self.seen.changed.notify_waiters();
        self.inner.publish(call)
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Recorder").field(&self.inner).finish()
    }
}
