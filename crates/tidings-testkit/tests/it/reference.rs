//! The smallest transport that keeps its promises: queues in memory, no exchanges, no dead letters, no expiry, and as
//! good as no settings in which queues could differ.
//! It is durable in the sense that its restart is a pretence that loses every connection and no message.
//!
//! The suite and the broken transports are tested on it, so that they depend on no broker of ours. It is
//! written to be obviously right, not to be fast: one lock around plain data.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use tidings_core::{
    Acker, Call, Completion, Deadline, Delivery, Error, ErrorKind, Result, Settlement,
    acker::Settle,
    topology::{Difference, Thing, Topology},
    transport::{
        BoxFuture, Capabilities, Capability, Publisher, QueueStatus, Subscriber, Subscription,
        Transport,
    },
};

/// All queues.
#[derive(Default)]
pub(crate) struct Hub(Mutex<State>);

#[derive(Default)]
struct State {
    queues: BTreeMap<Arc<str>, Stored>,
    closed: BTreeSet<u64>,
    /// Connections with numbers up to this one ended with a restart.
    restarted: u64,
    /// Numbers for messages, connections and subscribers alike.
    next: u64,
}

#[derive(Default)]
struct Stored {
    ready: BTreeMap<u64, Call>,
    unsettled: BTreeMap<u64, (Owner, Call)>,
    consumers: u32,
    wakers: Vec<Waker>,
    durable: bool,
    /// The connection that it belongs to and goes with.
    exclusive: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Owner {
    connection: u64,
    subscriber: u64,
}

impl Hub {
    pub(crate) fn connect(self: &Arc<Self>) -> Arc<dyn Transport> {
        Arc::new(Reference {
            hub: Arc::clone(self),
            connection: self.lock().number(),
        })
    }

    /// Ends all connections and forgets what need not be kept, or everything if it is broken.
    pub(crate) fn restart(&self, forget: bool) {
        let mut state = self.lock();
        state.restarted = state.number();
        state.queues.retain(|_, queue| queue.durable);
        for queue in state.queues.values_mut() {
            queue.give_back_all(|_| true);
            if forget {
                queue.ready.clear();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn open(&self, connection: u64) -> Result<()> {
        if connection <= self.restarted || self.closed.contains(&connection) {
            return Err(Error::new(ErrorKind::Closed, "the connection is closed"));
        }
        Ok(())
    }

    fn queue(&mut self, name: &str) -> Result<&mut Stored> {
        self.queues.get_mut(name).ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                format!("queue `{name}` does not exist"),
            )
        })
    }

    /// A queue for somebody who wants to receive from it.
    fn open_queue(&mut self, connection: u64, name: &str) -> Result<&mut Stored> {
        let queue = self.queue(name)?;
        if queue.exclusive.is_some_and(|owner| owner != connection) {
            let context = format!("queue `{name}` belongs to another connection");
            return Err(Error::new(ErrorKind::Denied, context));
        }
        Ok(queue)
    }

    fn close(&mut self, connection: u64) {
        self.closed.insert(connection);
        for queue in self.queues.values_mut() {
            queue.give_back_all(|owner| owner.connection == connection);
        }
        self.queues
            .retain(|_, queue| queue.exclusive != Some(connection));
    }

    fn publish(&mut self, connection: u64, call: Call) -> Result<()> {
        self.open(connection)?;
        if !call.address.is_queue() {
            let context = format!("exchange `{}` does not exist", call.address.exchange);
            return Err(Error::new(ErrorKind::NotFound, context));
        }
        let (number, key) = (self.number(), Arc::clone(&call.address.key));
        let Some(queue) = self.queues.get_mut(&key) else {
            if call.mandatory {
                let context = format!("there is no queue `{key}`");
                return Err(Error::new(ErrorKind::Unroutable, context));
            }
            return Ok(());
        };
        queue.ready.insert(number, call.with_origin(key, false));
        queue.wake();
        Ok(())
    }

    fn settle(&mut self, connection: u64, queue: &str, tag: u64, how: &Settlement) -> Result<()> {
        self.open(connection)?;
        let queue = self.queue(queue)?;
        let Some((_, call)) = queue.unsettled.remove(&tag) else {
            return Err(Error::new(ErrorKind::Closed, "the delivery is not ours"));
        };
        if matches!(how, Settlement::Nack { .. }) {
            queue.give_back(tag, call);
        }
        queue.wake();
        Ok(())
    }
}

impl Stored {
    fn give_back(&mut self, number: u64, mut call: Call) {
        if let Some(origin) = &mut call.origin {
            origin.redelivered = true;
        }
        self.ready.insert(number, call);
    }

    fn give_back_all(&mut self, of: impl Fn(Owner) -> bool) {
        for (number, (owner, call)) in mem::take(&mut self.unsettled) {
            if of(owner) {
                self.give_back(number, call);
            } else {
                self.unsettled.insert(number, (owner, call));
            }
        }
        self.wake();
    }

    fn wake(&mut self) {
        self.wakers.drain(..).for_each(Waker::wake);
    }
}

struct Reference {
    hub: Arc<Hub>,
    connection: u64,
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reference").field(&self.connection).finish()
    }
}

impl Reference {
    fn with<T>(&self, act: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        let mut state = self.hub.lock();
        state.open(self.connection)?;
        act(&mut state)
    }
}

impl Transport for Reference {
    fn scheme(&self) -> &'static str {
        "reference"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::of(&[
            Capability::Durable,
            Capability::CompetingConsumers,
            Capability::ExclusiveQueues,
            Capability::Ordered,
            Capability::UnroutableDetection,
        ])
    }

    fn declare<'a>(&'a self, topology: &'a Topology) -> BoxFuture<'a, Result<()>> {
        let declared = self.with(|state| {
            topology.validate()?;
            for queue in &topology.queues {
                let entry = state.queues.entry(Arc::clone(&queue.name));
                let stored = entry.or_default();
                stored.durable = queue.durable;
                stored.exclusive = queue.exclusive.then_some(self.connection);
            }
            Ok(())
        });
        Box::pin(async { declared })
    }

    fn compare<'a>(&'a self, topology: &'a Topology) -> BoxFuture<'a, Result<Vec<Difference>>> {
        let compared = self.with(|state| {
            topology.validate()?;
            let wanted = topology.queues.iter();
            let missing = wanted.filter(|queue| !state.queues.contains_key(&queue.name));
            Ok(missing
                .map(|queue| Difference::Missing(Thing::Queue(Arc::clone(&queue.name))))
                .collect())
        });
        Box::pin(async { compared })
    }

    fn delete<'a>(&'a self, topology: &'a Topology) -> BoxFuture<'a, Result<()>> {
        let deleted = self.with(|state| {
            for queue in &topology.queues {
                state.queues.remove(&queue.name);
            }
            Ok(())
        });
        Box::pin(async { deleted })
    }

    fn publisher(&self) -> BoxFuture<'_, Result<Arc<dyn Publisher>>> {
        Box::pin(async {
            self.with(|_| Ok(()))?;
            Ok(Arc::new(Self {
                hub: Arc::clone(&self.hub),
                connection: self.connection,
            }) as Arc<dyn Publisher>)
        })
    }

    fn subscribe(&self, to: Subscription) -> BoxFuture<'_, Result<Box<dyn Subscriber>>> {
        Box::pin(async move {
            let owner = self.with(|state| {
                state.open_queue(self.connection, &to.queue)?.consumers += 1;
                Ok(Owner {
                    connection: self.connection,
                    subscriber: state.number(),
                })
            })?;
            let taking = Taking {
                hub: Arc::clone(&self.hub),
                owner,
                to,
            };
            Ok(Box::new(taking) as Box<dyn Subscriber>)
        })
    }

    fn queues<'a>(&'a self, named: &'a [Arc<str>]) -> BoxFuture<'a, Result<Vec<QueueStatus>>> {
        let found = self.with(|state| {
            let names: Vec<_> = match named {
                [] => state.queues.keys().cloned().collect(),
                named => named.to_vec(),
            };
            names
                .into_iter()
                .map(|name| {
                    let queue = state.queue(&name)?;
                    Ok(QueueStatus {
                        ready: queue.ready.len() as u64,
                        unsettled: Some(queue.unsettled.len() as u64),
                        consumers: queue.consumers,
                        rates: None,
                        name,
                    })
                })
                .collect()
        });
        Box::pin(async { found })
    }

    fn close(&self, _: Deadline) -> BoxFuture<'_, Result<()>> {
        self.hub.lock().close(self.connection);
        Box::pin(async { Ok(()) })
    }
}

impl Publisher for Reference {
    fn publish(&self, call: Call) -> Completion {
        Completion::ready(self.hub.lock().publish(self.connection, call))
    }
}

struct Taking {
    hub: Arc<Hub>,
    owner: Owner,
    to: Subscription,
}

impl Subscriber for Taking {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Delivery>>> {
        let mut state = self.hub.lock();
        if state.open(self.owner.connection).is_err() {
            return Poll::Ready(None);
        }
        let queue = match state.queue(&self.to.queue) {
            Ok(queue) => queue,
            Err(error) => return Poll::Ready(Some(Err(error))),
        };
        let held = queue
            .unsettled
            .values()
            .filter(|(owner, _)| *owner == self.owner)
            .count();
        let next = if held < usize::from(self.to.prefetch.max(1)) {
            queue.ready.pop_first()
        } else {
            None
        };
        let Some((number, call)) = next else {
            queue.wakers.push(cx.waker().clone());
            return Poll::Pending;
        };
        queue.unsettled.insert(number, (self.owner, call.clone()));
        let settle = Settler {
            hub: Arc::clone(&self.hub),
            connection: self.owner.connection,
            queue: Arc::clone(&self.to.queue),
        };
        Poll::Ready(Some(Ok(Delivery::new(
            call,
            Acker::new(Arc::new(settle), number),
        ))))
    }
}

impl Drop for Taking {
    fn drop(&mut self) {
        if let Ok(queue) = self.hub.lock().queue(&self.to.queue) {
            queue.consumers -= 1;
        }
    }
}

struct Settler {
    hub: Arc<Hub>,
    connection: u64,
    queue: Arc<str>,
}

impl Settle for Settler {
    fn settle(&self, tag: u64, how: Settlement) -> Completion {
        let mut state = self.hub.lock();
        Completion::ready(state.settle(self.connection, &self.queue, tag, &how))
    }

    fn abandon(&self, tag: u64) {
        drop(self.settle(tag, Settlement::Nack { delay: None }));
    }
}
