//! Services whose handlers wait for a word, a client, and what can be seen of an alarm.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidings::{
    Address, Call, Domain, Envelope, ErrorKind, Event, HandlerError, Request, RetryPolicy, Router,
    Running, Server, State, Subscriber,
    rpc::{Client, Response, Rpc},
    tasks::Tasks,
    topology::{Queue, Topology},
    transport::Transport,
};
use tidings_testkit::rabbitmq::VirtualHost;
use tokio::{
    sync::{Semaphore, oneshot},
    time::{interval, timeout},
};

/// How many handlers there are at a time.
pub(super) const LANES: u16 = 8;
/// How many requests wait, and how many events.
pub(super) const MANY: u32 = 200;
/// How long a publish waits for its confirm.
pub(super) const CONFIRM: Duration = Duration::from_secs(1);
/// How long a connection may be silent.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(2);
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);
const QUEUE: &str = "alarm.calls";
const ASIDE: &str = "alarm.aside";

#[derive(Debug, Request, Serialize, Deserialize, JsonSchema)]
#[request(exchange = "alarm_work", response = u32, lock = off)]
pub(super) struct Work {
    pub(super) number: u32,
}

#[derive(Event, Serialize, Deserialize, JsonSchema, Clone)]
pub(super) struct Moved {
    pub(super) number: u32,
}

/// How often each handler has begun with each number, and what lets them go on.
#[derive(Clone, Debug)]
pub(super) struct Stage {
    begun: Arc<Mutex<BTreeMap<(&'static str, u32), usize>>>,
    go: Arc<Semaphore>,
}

impl Stage {
    fn new() -> Self {
        Self {
            begun: Arc::default(),
            go: Arc::new(Semaphore::new(0)),
        }
    }

    /// Returns how often it has begun with this.
    async fn act(&self, what: &'static str, number: u32) -> usize {
        let times = {
            let mut begun = self.begun.lock().unwrap();
            let times = begun.entry((what, number)).or_default();
            *times += 1;
            *times
        };
        // Whoever has passed leaves the door open.
        drop(self.go.acquire().await.unwrap());
        times
    }

    pub(super) fn open(&self) {
        self.go.add_permits(1_000);
    }

    fn shut(&self) {
        self.go.forget_permits(1_000);
    }

    /// How often one has begun with this number.
    pub(super) fn count(&self, what: &'static str, number: u32) -> usize {
        let begun = self.begun.lock().unwrap();
        begun.get(&(what, number)).copied().unwrap_or_default()
    }

    /// How many numbers one has begun with, and how often in all.
    pub(super) fn counts(&self, what: &'static str) -> (usize, usize) {
        let begun = self.begun.lock().unwrap();
        let times = begun.iter().filter(|((who, _), _)| *who == what);
        times.fold((0, 0), |(numbers, all), (_, times)| {
            (numbers + 1, all + times)
        })
    }
}

async fn work(State(stage): State<Stage>, request: Work) -> Response<u32> {
    stage.act("work", request.number).await;
    Response::success("Worked", request.number)
}

/// Fails the first time.
async fn fragile(State(stage): State<Stage>, event: Moved) -> Result<(), HandlerError> {
    match stage.act("fragile", event.number).await {
        1 => Err(HandlerError::retry("not yet")),
        _ => Ok(()),
    }
}

async fn sturdy(State(stage): State<Stage>, event: Moved) {
    stage.act("sturdy", event.number).await;
}

/// A server, and its way to the broker.
pub(super) struct Service {
    pub(super) running: Running,
    pub(super) stage: Stage,
    pub(super) transport: Arc<dyn Transport>,
}

impl Service {
    /// Answers calls.
    pub(super) async fn of_calls(host: &VirtualHost) -> Self {
        let (transport, stage) = (connect(host).await, Stage::new());
        let subscriber = Subscriber::new(QUEUE).on_request(work);
        let router = Router::new()
            .subscriber(subscriber)
            .with_state(stage.clone());
        let server = Server::builder(Arc::clone(&transport), Rpc::new(QUEUE).unwrap());
        Self::start(
            transport,
            stage,
            server.concurrency(LANES).start(router).await,
        )
    }

    /// Two that handle the same events: one of them never publishes anything.
    pub(super) async fn of_events(host: &VirtualHost) -> Self {
        let (transport, stage) = (connect(host).await, Stage::new());
        let fragile = Subscriber::new("fragile")
            .on(fragile)
            .retry(RetryPolicy::new(3));
        let router = Router::new()
            .subscriber(fragile)
            .subscriber(Subscriber::new("sturdy").on(sturdy))
            .with_state(stage.clone());
        let domain = Domain::builder("acme", "alarm").without_store();
        let domain = domain
            .retry_ttl(Duration::from_millis(200))
            .build()
            .unwrap();
        let server = Server::builder(Arc::clone(&transport), domain);
        Self::start(
            transport,
            stage,
            server.concurrency(LANES).start(router).await,
        )
    }

    fn start(
        transport: Arc<dyn Transport>,
        stage: Stage,
        running: tidings::Result<Running>,
    ) -> Self {
        let running = running.unwrap();
        Self {
            running,
            stage,
            transport,
        }
    }

    /// Publishes once, which makes a connection one that an alarm concerns.
    async fn publish_aside(&self) -> tidings::Result<()> {
        let publisher = self.transport.publisher().await.unwrap();
        let call = Call::new(Address::queue(ASIDE), Envelope::new("x"));
        publisher.publish(call).await
    }

    /// Publishes until the broker has said that it reads no more: it tells a connection with its first publish.
    pub(super) async fn meets_the_alarm(&self) {
        until("the alarm is met", async || {
            let _met = self.publish_aside().await.is_err();
            self.is_blocked("outbound")
        })
        .await;
    }

    pub(super) fn is_blocked(&self, connection: &str) -> bool {
        let start = format!("the {connection} connection to RabbitMQ is blocked by the broker");
        let reasons = self.running.health().reasons;
        let mut said = reasons.iter().filter(|reason| reason.starts_with(&start));
        said.any(|reason| reason.ends_with("low on memory"))
    }

    /// Publishes of an application fail, each in its own time, and say why.
    pub(super) async fn outlast(&self, time: Duration) {
        let started = Instant::now();
        while started.elapsed() < time {
            let error = self.publish_aside().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
            assert!(error.to_string().contains("low on memory"), "{error}");
        }
    }

    pub(super) async fn begins(&self, what: &'static str, numbers: usize) {
        until(what, async || self.stage.counts(what).0 == numbers).await;
    }

    /// One call is answered, and the door is shut again. From now on it has published on both ways.
    pub(super) async fn warm_up(&self, client: &Client) {
        self.stage.open();
        client.call(&Work { number: 0 }).await.unwrap();
        self.stage.shut();
        self.publish_aside().await.unwrap();
    }

    /// Waits until so many requests are here or in the queue.
    pub(super) async fn holds(&self, requests: usize) {
        let prefetched = 2 * u64::from(LANES);
        let waiting = requests as u64 - prefetched;
        until("the requests wait", async || {
            self.depth(QUEUE).await == waiting
        })
        .await;
    }

    /// Waits until no message of this subscriber is left.
    pub(super) async fn is_through_with(&self, subscriber: &str) {
        let main = format!("acme.alarm.1.event.moved.{subscriber}");
        let retry = format!("retry.{main}");
        until("the queue is empty", async || {
            self.depth(&main).await + self.depth(&retry).await == 0
        })
        .await;
    }

    async fn depth(&self, queue: &str) -> u64 {
        self.transport.queues(&[queue.into()]).await.unwrap()[0].ready
    }
}

pub(super) async fn client(host: &VirtualHost) -> Client {
    let client = Client::over(connect(host).await, Rpc::new(QUEUE).unwrap());
    client.with_timeout(PATIENCE)
}

async fn connect(host: &VirtualHost) -> Arc<dyn Transport> {
    let (confirm, heartbeat) = (CONFIRM.as_millis(), HEARTBEAT.as_secs());
    let url = format!(
        "{}&confirm_timeout_ms={confirm}&heartbeat={heartbeat}",
        host.url()
    );
    let transport = tidings::open(&url).await.unwrap();
    let aside = Topology::new().queue(Queue::new(ASIDE));
    transport.declare(&aside).await.unwrap();
    transport
}

/// Calls with these numbers, all at once, from the way of somebody else; what became of them comes when all have ended.
pub(super) fn call_all(
    client: &Client,
    numbers: impl Iterator<Item = u32>,
) -> (
    Tasks,
    oneshot::Receiver<Vec<tidings::Result<Response<u32>>>>,
) {
    let (tasks, (tell, told)) = (Tasks::new(), oneshot::channel());
    let calls = numbers.map(|number| {
        let client = client.clone();
        async move { client.call(&Work { number }).await }
    });
    let calls = join_all(calls);
    tasks.spawn("calls", async move {
        // A test that has failed does not wait.
        let _heard = tell.send(calls.await).is_ok();
    });
    (tasks, told)
}

/// Every caller has its answer.
pub(super) async fn are_answered(told: oneshot::Receiver<Vec<tidings::Result<Response<u32>>>>) {
    for answer in timeout(PATIENCE, told).await.unwrap().unwrap() {
        assert!(answer.unwrap().success);
    }
}

/// What a broker does comes with no event: it is looked at.
pub(super) async fn until(what: &str, reached: impl AsyncFn() -> bool) {
    let mut looks = interval(Duration::from_millis(20));
    let waiting = async {
        while !reached().await {
            looks.tick().await;
        }
    };
    let waited = timeout(PATIENCE, waiting).await;
    assert!(waited.is_ok(), "{what}: never");
}
