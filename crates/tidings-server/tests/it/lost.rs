//! What becomes of requests whose channel ends while they are here. The broker is played: it brings them again when it is told.

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use serde_json::{Value, json};
use tidings_core::{
    Acker, Address, Call, Completion, Deadline, Delivery, Envelope, Error, Settlement,
    acker::Settle,
    error::Result,
    properties::Fields,
    topology::Topology,
    transport::{
        BoxFuture, Capabilities, Publisher, QueueStatus, Subscriber, Subscription, Transport,
    },
};
use tidings_rpc::Rpc;
use tidings_server::Server;
use tokio::sync::mpsc;

use crate::rig::{QUEUE, Rig};

/// Another transport, but for what it delivers.
struct Played {
    inner: Arc<dyn Transport>,
    deliveries: Mutex<Option<mpsc::UnboundedReceiver<Delivery>>>,
    left: Arc<AtomicU64>,
}

impl fmt::Debug for Played {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Played")
    }
}

impl Transport for Played {
    fn scheme(&self) -> &'static str {
        "played"
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

    fn subscribe(&self, _: Subscription) -> BoxFuture<'_, Result<Box<dyn Subscriber>>> {
        let deliveries = self.deliveries.lock().unwrap().take().unwrap();
        let left = Arc::clone(&self.left);
        Box::pin(async move { Ok(Box::new(Reader { deliveries, left }) as _) })
    }

    fn queues<'a>(&'a self, named: &'a [Arc<str>]) -> BoxFuture<'a, Result<Vec<QueueStatus>>> {
        self.inner.queues(named)
    }

    fn close(&self, deadline: Deadline) -> BoxFuture<'_, Result<()>> {
        self.inner.close(deadline)
    }
}

struct Reader {
    deliveries: mpsc::UnboundedReceiver<Delivery>,
    left: Arc<AtomicU64>,
}

impl Subscriber for Reader {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Delivery, Error>>> {
        let next = ready!(self.deliveries.poll_recv(cx));
        self.left.fetch_sub(1, Ordering::SeqCst);
        Poll::Ready(next.map(Ok))
    }
}

/// One channel, as the transport sees it.
struct Life {
    is_over: AtomicBool,
    acked: Mutex<Vec<u64>>,
}

impl Settle for Life {
    fn settle(&self, tag: u64, how: Settlement) -> Completion {
        assert_eq!(how, Settlement::Ack);
        self.acked.lock().unwrap().push(tag);
        Completion::ready(Ok(()))
    }

    fn is_lost(&self, _: u64) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    fn abandon(&self, _: u64) {}
}

/// Who plays the broker.
struct Broker {
    deliver: mpsc::UnboundedSender<Delivery>,
    left: Arc<AtomicU64>,
    reply_to: Arc<str>,
    life: Arc<Life>,
    lives: u32,
}

impl Broker {
    fn of(rig: &Rig) -> (Self, Arc<dyn Transport>) {
        let (deliver, deliveries) = mpsc::unbounded_channel();
        let left = Arc::<AtomicU64>::default();
        let played = Played {
            inner: Arc::clone(&rig.transport),
            deliveries: Mutex::new(Some(deliveries)),
            left: Arc::clone(&left),
        };
        let broker = Self {
            deliver,
            left,
            reply_to: rig.reply_to(),
            life: life(),
            lives: 1,
        };
        (broker, Arc::new(played))
    }

    /// Delivers work on these numbers of a key, and waits until all of it has been taken in.
    async fn deliver(&self, key: &str, numbers: impl IntoIterator<Item = u64>) {
        for number in numbers {
            self.left.fetch_add(1, Ordering::SeqCst);
            let acker = Acker::new(Arc::clone(&self.life) as _, number);
            let call = self.request(&json!({"key": key, "number": number}));
            self.deliver.send(Delivery::new(call, acker)).unwrap();
        }
        while self.left.load(Ordering::SeqCst) > 0 {
            tokio::task::yield_now().await;
        }
    }

    fn request(&self, body: &Value) -> Call {
        let fields = Fields {
            correlation_id: Some(body["number"].to_string().into()),
            reply_to: Some(Arc::clone(&self.reply_to)),
            ..Fields::default()
        };
        let envelope = Envelope::new(body.to_string()).with_properties(fields);
        Call::new(Address::new("work", QUEUE), envelope).with_origin(QUEUE.into(), self.lives > 1)
    }

    /// The channel ends; from now on there is another.
    fn end_channel(&mut self) {
        self.life.is_over.store(true, Ordering::SeqCst);
        self.life = life();
        self.lives += 1;
    }

    async fn acked(&self, expected: &[u64]) {
        while self.life.acked.lock().unwrap().len() < expected.len() {
            tokio::task::yield_now().await;
        }
        assert_eq!(*self.life.acked.lock().unwrap(), expected);
    }
}

fn life() -> Arc<Life> {
    Arc::new(Life {
        is_over: AtomicBool::new(false),
        acked: Mutex::default(),
    })
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_lane_or_a_key_while_its_channel_ends_is_not_begun() {
    let mut rig = Rig::new().await;
    let (mut broker, transport) = Broker::of(&rig);
    let server = Server::builder(transport, Rpc::new(QUEUE).unwrap()).concurrency(1);
    let _running = server.start(rig.router()).await.unwrap();
    broker.deliver("a", [1]).await;
    assert_eq!(rig.begun().await, "work a1");
    broker.deliver("a", [2]).await;
    broker.deliver("b", [3]).await;
    broker.end_channel();
    rig.go(9);
    assert_eq!(rig.told().await.0, "1", "it was at work already");
    // After what waited: had anything of that been begun, it would have been before this.
    broker.deliver("c", [4]).await;
    assert_eq!(rig.begun().await, "work c4");
    assert_eq!(rig.told().await.0, "4");
    broker.acked(&[4]).await;
}

#[tokio::test(start_paused = true)]
async fn what_comes_again_because_its_channel_ended_is_handled_once_in_all() {
    let mut rig = Rig::new().await;
    let (mut broker, transport) = Broker::of(&rig);
    let server = Server::builder(transport, Rpc::new(QUEUE).unwrap()).concurrency(2);
    let _running = server.start(rig.router()).await.unwrap();
    broker.deliver("a", [1]).await;
    assert_eq!(rig.begun().await, "work a1");
    rig.go(1);
    assert_eq!(rig.told().await.0, "1");
    broker.acked(&[1]).await;
    broker.deliver("b", [2]).await;
    assert_eq!(rig.begun().await, "work b2");
    // The ack of the first was on its way, and is lost with the channel.
    broker.end_channel();
    broker.deliver("a", [1]).await;
    assert_eq!(rig.told().await.0, "1", "answered again");
    broker.deliver("b", [2]).await;
    broker.deliver("c", [3]).await;
    rig.go(9);
    let mut told = vec![rig.told().await.0, rig.told().await.0, rig.told().await.0];
    told.sort();
    assert_eq!(told, ["2", "2", "3"], "the second by whoever was at it");
    assert_eq!(rig.begun().await, "work c3");
    assert_eq!(rig.begun_already(), None);
}
