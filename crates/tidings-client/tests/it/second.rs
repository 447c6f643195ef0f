//! A second transport for the queue spool: queues in memory that claim to be durable.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use tidings_core::{
    Acker, Call, Completion, Deadline, Delivery, Error, ErrorKind, Settlement,
    acker::Settle,
    error::Result,
    topology::Topology,
    transport::{
        BoxFuture, Capabilities, Capability, Publisher, QueueStatus, Subscriber, Subscription,
        Transport,
    },
};

/// Clones are the same broker.
#[derive(Clone, Debug, Default)]
pub(crate) struct Second {
    state: Arc<Mutex<State>>,
    volatile: bool,
}

#[derive(Debug, Default)]
struct State {
    queues: BTreeMap<String, VecDeque<Call>>,
    unsettled: BTreeMap<u64, Call>,
    next_tag: u64,
    away: bool,
    /// How many messages count as ready in each queue although nobody gets them yet.
    held_back: usize,
    waker: Option<Waker>,
}

impl Second {
    pub(crate) fn volatile() -> Self {
        Self {
            volatile: true,
            ..Self::default()
        }
    }

    pub(crate) fn go_away(&self) {
        self.state.lock().unwrap().away = true;
    }

    /// As after a nack with a delay: counted, not delivered.
    pub(crate) fn hold_back(&self, messages: usize) {
        self.state.lock().unwrap().held_back = messages;
    }

    pub(crate) fn ready(&self, queue: &str) -> Vec<Call> {
        let state = self.state.lock().unwrap();
        state
            .queues
            .get(queue)
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    }
}

impl Publisher for Second {
    fn publish(&self, call: Call) -> Completion {
        let mut state = self.state.lock().unwrap();
        if state.away {
            return Completion::ready(Err(Error::new(
                ErrorKind::Unavailable,
                "the second is away",
            )));
        }
        let Some(queue) = state.queues.get_mut(&*call.address.key) else {
            return Completion::ready(Err(Error::new(ErrorKind::Unroutable, "no such queue")));
        };
        queue.push_back(call);
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
        Completion::ready(Ok(()))
    }
}

impl Settle for Second {
    fn settle(&self, tag: u64, how: Settlement) -> Completion {
        let call = self.state.lock().unwrap().unsettled.remove(&tag);
        assert_eq!(how, Settlement::Ack);
        assert!(call.is_some(), "settled once");
        Completion::ready(Ok(()))
    }

    fn abandon(&self, tag: u64) {
        let mut state = self.state.lock().unwrap();
        if let Some(call) = state.unsettled.remove(&tag) {
            let queue = call.queue().to_owned();
            state.queues.entry(queue).or_default().push_back(call);
        }
    }
}

struct Listening {
    second: Second,
    queue: Arc<str>,
}

impl Subscriber for Listening {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Delivery>>> {
        let mut state = self.second.state.lock().unwrap();
        let Some(call) = state
            .queues
            .get_mut(&*self.queue)
            .and_then(VecDeque::pop_front)
        else {
            state.waker = Some(cx.waker().clone());
            return Poll::Pending;
        };
        let call = call.with_origin(Arc::clone(&self.queue), false);
        state.next_tag += 1;
        let tag = state.next_tag;
        state.unsettled.insert(tag, call.clone());
        let acker = Acker::new(Arc::new(self.second.clone()), tag);
        Poll::Ready(Some(Ok(Delivery::new(call, acker))))
    }
}

impl Transport for Second {
    fn scheme(&self) -> &'static str {
        "second"
    }

    fn capabilities(&self) -> Capabilities {
        if self.volatile {
            Capabilities::NONE
        } else {
            Capabilities::of(&[Capability::Durable])
        }
    }

    fn declare<'a>(&'a self, topology: &'a Topology) -> BoxFuture<'a, Result<()>> {
        let mut state = self.state.lock().unwrap();
        for queue in &topology.queues {
            assert!(queue.durable && queue.message_ttl.is_none());
            state.queues.entry(queue.name.to_string()).or_default();
        }
        Box::pin(async { Ok(()) })
    }

    fn delete<'a>(&'a self, _: &'a Topology) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn publisher(&self) -> BoxFuture<'_, Result<Arc<dyn Publisher>>> {
        let publisher: Arc<dyn Publisher> = Arc::new(self.clone());
        Box::pin(async { Ok(publisher) })
    }

    fn subscribe(&self, to: Subscription) -> BoxFuture<'_, Result<Box<dyn Subscriber>>> {
        let listening: Box<dyn Subscriber> = Box::new(Listening {
            second: self.clone(),
            queue: to.queue,
        });
        Box::pin(async { Ok(listening) })
    }

    fn queues<'a>(&'a self, named: &'a [Arc<str>]) -> BoxFuture<'a, Result<Vec<QueueStatus>>> {
        let state = self.state.lock().unwrap();
        let status = named.iter().map(|name| QueueStatus {
            name: Arc::clone(name),
            ready: (state.queues.get(&**name).map_or(0, VecDeque::len) + state.held_back) as u64,
            unsettled: Some(state.unsettled.len() as u64),
            consumers: 0,
            rates: None,
        });
        let status = status.collect();
        Box::pin(async { Ok(status) })
    }

    fn close(&self, _: Deadline) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }
}
