//! A transport that, when told so, stops for ever at the next settlement instead of passing it on.
//!
//! When a server settles, everything that it does for a message is done: the handler has ended, and a copy for
//! a retry or a dead letter is confirmed. What is missing is the ack alone, which is the moment to be killed.

use std::{
    future::pending,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use tidings::{
    Deadline, Result, Settlement,
    topology::Topology,
    transport::{Capabilities, Publisher, QueueStatus, Subscriber, Subscription, Transport},
};
use tidings_core::{Acker, Completion, Delivery, acker::Settle, transport::BoxFuture};

use super::child::say;

/// Says when to stop.
#[derive(Clone, Debug, Default)]
pub(super) struct Halt(Arc<AtomicBool>);

impl Halt {
    pub(super) fn at_next_settlement(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    fn is_now(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// A transport that can be halted.
#[derive(Debug)]
pub(super) struct Halting {
    inner: Arc<dyn Transport>,
    halt: Halt,
}

impl Halting {
    pub(super) fn new(inner: Arc<dyn Transport>, halt: Halt) -> Self {
        Self { inner, halt }
    }
}

impl Transport for Halting {
    fn scheme(&self) -> &'static str {
        self.inner.scheme()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn declare<'a>(&'a self, topology: &'a Topology) -> BoxFuture<'a, Result<()>> {
        self.inner.declare(topology)
    }

    fn delete<'a>(&'a self, topology: &'a Topology) -> BoxFuture<'a, Result<()>> {
        self.inner.delete(topology)
    }

    fn publisher(&self) -> BoxFuture<'_, Result<Arc<dyn Publisher>>> {
        self.inner.publisher()
    }

    fn subscribe(&self, to: Subscription) -> BoxFuture<'_, Result<Box<dyn Subscriber>>> {
        Box::pin(async {
            let subscriber = HaltingSubscriber {
                inner: self.inner.subscribe(to).await?,
                halt: self.halt.clone(),
            };
            Ok(Box::new(subscriber) as Box<dyn Subscriber>)
        })
    }

    fn queues<'a>(&'a self, named: &'a [Arc<str>]) -> BoxFuture<'a, Result<Vec<QueueStatus>>> {
        self.inner.queues(named)
    }

    fn close(&self, deadline: Deadline) -> BoxFuture<'_, Result<()>> {
        self.inner.close(deadline)
    }
}

struct HaltingSubscriber {
    inner: Box<dyn Subscriber>,
    halt: Halt,
}

impl Subscriber for HaltingSubscriber {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Delivery>>> {
        let next = ready!(self.inner.poll_next(cx));
        Poll::Ready(next.map(|delivery| {
            let (call, acker) = delivery?.split();
            let settle = HaltingSettle {
                acker: Mutex::new(Some(acker)),
                halt: self.halt.clone(),
            };
            Ok(Delivery::new(call, Acker::new(Arc::new(settle), 0)))
        }))
    }
}

struct HaltingSettle {
    acker: Mutex<Option<Acker>>,
    halt: Halt,
}

impl HaltingSettle {
    fn take(&self) -> Option<Acker> {
        let mut acker = self.acker.lock().unwrap_or_else(PoisonError::into_inner);
        acker.take()
    }
}

impl Settle for HaltingSettle {
    fn settle(&self, _: u64, how: Settlement) -> Completion {
        if self.halt.is_now() {
            say("reached");
            return Completion::future(pending());
        }
        match self.take() {
            Some(acker) => acker.settle(how),
            None => Completion::ready(Ok(())),
        }
    }

    fn abandon(&self, _: u64) {
        drop(self.take());
    }
}
