//! One service, fifty thousand events, and everything that can happen to a broker and to the way there.
//!
//! Nothing is restarted by hand: after each fault the test only waits until the service calls itself ready again.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidings::{
    Address, Call, Client, Deadline, Domain, Envelope, ErrorKind, Event, Router, Running, Server,
    State, Subscriber,
};
use tidings_testkit::{
    proxy::Proxy,
    rabbitmq::{Node, VirtualHost},
};
use tokio::time::{interval, timeout};

const EVENTS: u32 = 50_000;
/// How many are published and unconfirmed at a time.
const UNDER_WAY: usize = 400;
/// How long a service may take to be ready again once what it needs is there again.
const SECONDS: Duration = Duration::from_secs(15);
/// How long everything together may take.
const PATIENCE: Duration = Duration::from_secs(240);

#[derive(Event, Serialize, Deserialize, JsonSchema, Clone)]
struct Moved {
    number: u32,
}

/// Who has seen what. `ledger` loses nothing; the queue of `audit` is deleted on the way, with what is in it.
#[derive(Clone, Debug, Default)]
struct Seen {
    ledger: Arc<Mutex<HashSet<u32>>>,
    audit: Arc<Mutex<HashSet<u32>>>,
    progress: Arc<AtomicU32>,
}

async fn ledger(State(seen): State<Seen>, event: Moved) {
    seen.ledger.lock().unwrap().insert(event.number);
}

async fn audit(State(seen): State<Seen>, event: Moved) {
    seen.audit.lock().unwrap().insert(event.number);
}

/// The service, behind a proxy that breaks its connections.
struct Service {
    running: Running,
    seen: Seen,
    proxy: Proxy,
    host: VirtualHost,
}

impl Service {
    async fn start(node: &Node) -> Self {
        let host = node.virtual_host("faults").await;
        let proxy = Proxy::start(host.address()).await.unwrap();
        let transport = tidings::open(&host.url_through(proxy.address()))
            .await
            .unwrap();
        let domain = Domain::builder("acme", "faults")
            .without_store()
            .build()
            .unwrap();
        let seen = Seen::default();
        let router = Router::new()
            .subscriber(Subscriber::new("ledger").on(ledger).prefetch(200))
            .subscriber(Subscriber::new("audit").on(audit).prefetch(200))
            .with_state(seen.clone());
        let running = Server::builder(transport, domain)
            .start(router)
            .await
            .unwrap();
        Self {
            running,
            seen,
            proxy,
            host,
        }
    }

    /// Publishes all events and returns those that were confirmed.
    async fn publish_all(client: Client, progress: Arc<AtomicU32>) -> HashSet<u32> {
        let (mut confirmed, mut under_way) = (HashSet::new(), FuturesUnordered::new());
        for number in 0..EVENTS {
            progress.store(number, Ordering::Relaxed);
            let publish = client.publish(&Moved { number });
            under_way.push(async move { (number, publish.await) });
            while under_way.len() >= UNDER_WAY {
                note(&mut confirmed, under_way.next().await.unwrap());
            }
        }
        while let Some(published) = under_way.next().await {
            note(&mut confirmed, published);
        }
        confirmed
    }

    async fn reached(&self, number: u32) {
        self.until(PATIENCE, "publishing goes on", || {
            self.seen.progress.load(Ordering::Relaxed) >= number
        })
        .await;
    }

    /// Waits until the service noticed (if it is going to), and then until it is ready by itself.
    async fn back(&self, fault: &str) {
        let start = Instant::now();
        self.until(SECONDS, fault, || self.running.health().ready)
            .await;
        // Ready is what it says of itself; that it receives is what counts.
        let before = (self.count_ledger(), self.count_audit());
        self.until(SECONDS, fault, || {
            let done = self.seen.progress.load(Ordering::Relaxed) + 1 == EVENTS;
            done || (self.count_ledger() > before.0 && self.count_audit() > before.1)
        })
        .await;
        println!("{fault}: receiving again after {:?}", start.elapsed());
    }

    async fn until(&self, patience: Duration, what: &str, reached: impl Fn() -> bool) {
        // What a broker does comes with no event: it is looked at.
        let mut looks = interval(Duration::from_millis(20));
        let waiting = async {
            while !reached() {
                looks.tick().await;
            }
        };
        if timeout(patience, waiting).await.is_err() {
            panic!("{what}: {:?}", self.running.health());
        }
    }

    fn count_ledger(&self) -> usize {
        self.seen.ledger.lock().unwrap().len()
    }

    fn count_audit(&self) -> usize {
        self.seen.audit.lock().unwrap().len()
    }

    /// A publish for which the broker closes the channel under all others.
    async fn close_a_channel(&self) {
        let publisher = self.running.transport().publisher().await.unwrap();
        let nowhere = Call::new(Address::new("no.such.exchange", "key"), Envelope::new("x"));
        let error = publisher.publish(nowhere).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    }

    async fn delete_the_queue_of_audit(&self) {
        let queue = "acme.faults.1.event.moved.audit";
        self.host.delete(&format!("/api/queues/{{}}/{queue}")).await;
    }
}

fn note(confirmed: &mut HashSet<u32>, (number, published): (u32, tidings::Result<()>)) {
    match published {
        Ok(()) => {
            confirmed.insert(number);
        }
        // Not confirmed is allowed when a broker is away for long; it must only be said.
        Err(error) => assert!(
            matches!(
                error.kind(),
                ErrorKind::Unconfirmed | ErrorKind::Unavailable
            ),
            "{number}: {error}"
        ),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_survives_everything_without_a_hand() {
    let Some(node) = Node::start("faults").await else {
        return;
    };
    let service = Service::start(&node).await;
    let (client, progress) = (
        service.running.client().clone(),
        Arc::clone(&service.seen.progress),
    );
    let publishing = tidings::tasks::Tasks::new();
    let (answer, confirmed) = tokio::sync::oneshot::channel();
    publishing.spawn("publish", async move {
        answer
            .send(Service::publish_all(client, progress).await)
            .unwrap();
    });

    service.reached(EVENTS / 10).await;
    service.proxy.cut().await;
    service.back("connections cut").await;

    service.reached(EVENTS * 2 / 10).await;
    service.proxy.reset().await;
    service.back("connections reset").await;

    service.reached(EVENTS * 3 / 10).await;
    service.close_a_channel().await;
    service.back("channel closed by the server").await;

    service.reached(EVENTS * 4 / 10).await;
    service.delete_the_queue_of_audit().await;
    service.back("queue deleted").await;

    service.reached(EVENTS * 5 / 10).await;
    assert!(service.host.close_connections().await > 0);
    service.back("connections closed by an operator").await;

    service.reached(EVENTS * 6 / 10).await;
    node.stop().await;
    node.resume().await;
    service.back("broker stopped and started").await;

    service.reached(EVENTS * 8 / 10).await;
    node.kill().await;
    node.resume().await;
    service.back("broker killed and started").await;

    let confirmed = timeout(PATIENCE, confirmed).await.unwrap().unwrap();
    service
        .until(PATIENCE, "everything confirmed is handled", || {
            confirmed.is_subset(&service.seen.ledger.lock().unwrap())
        })
        .await;
    println!(
        "{EVENTS} published, {} confirmed, {} handled by the one, {} by the one whose queue was deleted",
        confirmed.len(),
        service.count_ledger(),
        service.count_audit()
    );
    assert!(
        confirmed.len() > EVENTS as usize / 2,
        "a test in which nothing is confirmed shows nothing"
    );
    let transport = Arc::clone(service.running.transport());
    assert!(service.running.drain(SECONDS).await.complete);
    transport.close(Deadline::after(SECONDS)).await.unwrap();
}
