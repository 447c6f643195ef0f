//! Transports that break their promises on purpose, around one that keeps them.
//!
//! A checker that has never failed proves nothing: these show that the conformance suite and the history
//! checker do fail. They deliberately do not imitate any real fault in detail; each breaks one promise.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use tidings_core::{
    Acker, Call, Completion, Deadline, Delivery, Result, Settlement,
    acker::Settle,
    topology::{Difference, Topology},
    transport::{
        BoxFuture, Capabilities, Impairment, Publisher, QueueStatus, Subscriber, Subscription,
        Transport,
    },
};

/// A broken promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Defect {
    /// Every so many publishes, one is confirmed and not stored. 0 counts as 1.
    LosesEvery(usize),
    /// Every so many publishes, one is stored twice, and neither copy is marked. 0 counts as 1.
    DoublesEvery(usize),
    /// A publish is confirmed at once and stored only when the next one comes.
    ConfirmsBeforeStoring,
    /// Messages are acked when they are handed out, whatever the handler says later.
    AcksOnDelivery,
    /// Acks are answered and not passed on, so the messages come back.
    ForgetsAcks,
    /// Nacks and dropped deliveries are treated as acks.
    LosesNacked,
    /// Redelivered messages look like new ones.
    HidesRedelivery,
    /// Every subscriber gets all it can.
    IgnoresPrefetch,
    /// Publishes of one publisher are swapped in pairs.
    Reorders,
}

/// A transport with one defect.
#[derive(Debug)]
pub struct Broken {
    inner: Arc<dyn Transport>,
    defect: Defect,
}

impl Broken {
    /// Breaks a promise of this transport.
    #[must_use]
    pub fn new(inner: Arc<dyn Transport>, defect: Defect) -> Self {
        Self { inner, defect }
    }
}

impl Transport for Broken {
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

    fn compare<'a>(&'a self, topology: &'a Topology) -> BoxFuture<'a, Result<Vec<Difference>>> {
        self.inner.compare(topology)
    }

    fn impairments(&self) -> Vec<Impairment> {
        self.inner.impairments()
    }

    fn publisher(&self) -> BoxFuture<'_, Result<Arc<dyn Publisher>>> {
        Box::pin(async {
            let publisher = BrokenPublisher {
                inner: self.inner.publisher().await?,
                defect: self.defect,
                count: AtomicUsize::new(0),
                held: Mutex::new(None),
            };
            Ok(Arc::new(publisher) as Arc<dyn Publisher>)
        })
    }

    fn subscribe(&self, mut to: Subscription) -> BoxFuture<'_, Result<Box<dyn Subscriber>>> {
        if self.defect == Defect::IgnoresPrefetch {
            to.prefetch = u16::MAX;
        }
        Box::pin(async {
            let subscriber = BrokenSubscriber {
                inner: self.inner.subscribe(to).await?,
                defect: self.defect,
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

struct BrokenPublisher {
    inner: Arc<dyn Publisher>,
    defect: Defect,
    count: AtomicUsize,
    held: Mutex<Option<Call>>,
}

impl BrokenPublisher {
    fn is_nth(&self, every: usize) -> bool {
        (self.count.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(every.max(1))
    }

    /// Keeps this call back and gives out the one that was kept before.
    fn swap(&self, call: Call) -> Option<Call> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.replace(call)
    }

    fn take(&self) -> Option<Call> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.take()
    }
}

impl Publisher for BrokenPublisher {
    fn publish(&self, call: Call) -> Completion {
        match self.defect {
            Defect::LosesEvery(every) if self.is_nth(every) => Completion::ready(Ok(())),
            Defect::DoublesEvery(every) if self.is_nth(every) => {
                drop(self.inner.publish(call.clone()));
                self.inner.publish(call)
            }
            Defect::ConfirmsBeforeStoring => {
                if let Some(earlier) = self.swap(call) {
                    drop(self.inner.publish(earlier));
                }
                Completion::ready(Ok(()))
            }
            Defect::Reorders => match self.take() {
                Some(earlier) => {
                    let completion = self.inner.publish(call);
                    drop(self.inner.publish(earlier));
                    completion
                }
                None => {
                    self.swap(call);
                    Completion::ready(Ok(()))
                }
            },
            _ => self.inner.publish(call),
        }
    }
}

impl fmt::Debug for BrokenPublisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BrokenPublisher")
            .field("defect", &self.defect)
            .finish_non_exhaustive()
    }
}

struct BrokenSubscriber {
    inner: Box<dyn Subscriber>,
    defect: Defect,
}

impl Subscriber for BrokenSubscriber {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Delivery>>> {
        let next = ready!(self.inner.poll_next(cx));
        Poll::Ready(next.map(|delivery| delivery.map(|delivery| self.spoil(delivery))))
    }
}

impl BrokenSubscriber {
    fn spoil(&self, delivery: Delivery) -> Delivery {
        let (mut call, acker) = delivery.split();
        match self.defect {
            Defect::HidesRedelivery => {
                if let Some(origin) = &mut call.origin {
                    origin.redelivered = false;
                }
                Delivery::new(call, acker)
            }
            Defect::AcksOnDelivery => {
                drop(acker.settle(Settlement::Ack));
                Delivery::new(call, Acker::new(Arc::new(Deaf), 0))
            }
            Defect::ForgetsAcks | Defect::LosesNacked => {
                let settle = BrokenSettle {
                    acker: Mutex::new(Some(acker)),
                    defect: self.defect,
                };
                Delivery::new(call, Acker::new(Arc::new(settle), 0))
            }
            _ => Delivery::new(call, acker),
        }
    }
}

/// Agrees to everything and does nothing.
struct Deaf;

impl Settle for Deaf {
    fn settle(&self, _: u64, _: Settlement) -> Completion {
        Completion::ready(Ok(()))
    }

    fn abandon(&self, _: u64) {}
}

/// Settles one delivery otherwise than asked.
struct BrokenSettle {
    acker: Mutex<Option<Acker>>,
    defect: Defect,
}

impl BrokenSettle {
    fn pass_on(&self, how: Option<Settlement>) -> Completion {
        let acker = self
            .acker
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        match (acker, how) {
            (Some(acker), Some(how)) => acker.settle(how),
            _ => Completion::ready(Ok(())),
        }
    }
}

impl Settle for BrokenSettle {
    fn settle(&self, _: u64, how: Settlement) -> Completion {
        match (self.defect, how) {
            // Dropping the acker gives the message back.
            (Defect::ForgetsAcks, Settlement::Ack) => self.pass_on(None),
            (Defect::LosesNacked, Settlement::Nack { .. }) => self.pass_on(Some(Settlement::Ack)),
            (_, how) => self.pass_on(Some(how)),
        }
    }

    fn abandon(&self, _: u64) {
        let lost = self.defect == Defect::LosesNacked;
        drop(self.pass_on(lost.then_some(Settlement::Ack)));
    }
}
