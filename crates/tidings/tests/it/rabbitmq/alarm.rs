//! A broker that is short of memory and blocks those who publish: what is handled meanwhile is handled once.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidings::{
    Address, Call, Deadline, Domain, Envelope, ErrorKind, Event, HandlerError, Request,
    RetryPolicy, Router, Running, Server, State, Subscriber,
    rpc::{Client, Response, Rpc},
    tasks::Tasks,
    topology::{Queue, Topology},
    transport::Transport,
};
use tidings_testkit::rabbitmq::{Node, VirtualHost};
use tokio::{
    sync::{Semaphore, oneshot},
    time::{interval, timeout},
};

/// How many handlers there are at a time.
const LANES: u16 = 8;
/// How many requests wait, and how many events.
const MANY: u32 = 200;
/// How long a publish waits for its confirm.
const CONFIRM: Duration = Duration::from_secs(1);
/// How long a connection may be silent.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a server may take to end.
const GRACE: Duration = Duration::from_secs(1);
/// How long it may take besides to end handlers and connections that do not end by themselves.
const PARTING: Duration = Duration::from_secs(4);
/// The number of a request that must not arrive.
const NEVER_SENT: u32 = 999;
const QUEUE: &str = "alarm.calls";
const ASIDE: &str = "alarm.aside";

#[derive(Debug, Request, Serialize, Deserialize, JsonSchema)]
#[request(exchange = "alarm_work", response = u32, lock = off)]
struct Work {
    number: u32,
}

#[derive(Event, Serialize, Deserialize, JsonSchema, Clone)]
struct Moved {
    number: u32,
}

/// How often each handler has begun with each number, and what lets them go on.
#[derive(Clone, Debug)]
struct Stage {
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

    fn open(&self) {
        self.go.add_permits(1_000);
    }

    fn shut(&self) {
        self.go.forget_permits(1_000);
    }

    /// How often one has begun with this number.
    fn count(&self, what: &'static str, number: u32) -> usize {
        let begun = self.begun.lock().unwrap();
        begun.get(&(what, number)).copied().unwrap_or_default()
    }

    /// How many numbers one has begun with, and how often in all.
    fn counts(&self, what: &'static str) -> (usize, usize) {
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
struct Service {
    running: Running,
    stage: Stage,
    transport: Arc<dyn Transport>,
}

impl Service {
    /// Answers calls.
    async fn of_calls(host: &VirtualHost) -> Self {
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
    async fn of_events(host: &VirtualHost) -> Self {
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
    async fn meets_the_alarm(&self) {
        until("the alarm is met", async || {
            let _met = self.publish_aside().await.is_err();
            self.is_blocked("outbound")
        })
        .await;
    }

    fn is_blocked(&self, connection: &str) -> bool {
        let start = format!("the {connection} connection to RabbitMQ is blocked by the broker");
        let reasons = self.running.health().reasons;
        let mut said = reasons.iter().filter(|reason| reason.starts_with(&start));
        said.any(|reason| reason.ends_with("low on memory"))
    }

    /// Publishes of an application fail, each in its own time, and say why.
    async fn outlast(&self, time: Duration) {
        let started = Instant::now();
        while started.elapsed() < time {
            let error = self.publish_aside().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
            assert!(error.to_string().contains("low on memory"), "{error}");
        }
    }

    async fn begins(&self, what: &'static str, numbers: usize) {
        until(what, async || self.stage.counts(what).0 == numbers).await;
    }

    /// One call is answered, and the door is shut again. From now on it has published on both ways.
    async fn warm_up(&self, client: &Client) {
        self.stage.open();
        client.call(&Work { number: 0 }).await.unwrap();
        self.stage.shut();
        self.publish_aside().await.unwrap();
    }

    /// Waits until so many requests are here or in the queue.
    async fn holds(&self, requests: usize) {
        let prefetched = 2 * u64::from(LANES);
        let waiting = requests as u64 - prefetched;
        until("the requests wait", async || {
            self.depth(QUEUE).await == waiting
        })
        .await;
    }

    /// Waits until no message of this subscriber is left.
    async fn is_through_with(&self, subscriber: &str) {
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

async fn client(host: &VirtualHost) -> Client {
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
fn call_all(
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
async fn are_answered(told: oneshot::Receiver<Vec<tidings::Result<Response<u32>>>>) {
    for answer in timeout(PATIENCE, told).await.unwrap().unwrap() {
        assert!(answer.unwrap().success);
    }
}

/// What a broker does comes with no event: it is looked at.
async fn until(what: &str, reached: impl AsyncFn() -> bool) {
    let mut looks = interval(Duration::from_millis(20));
    let waiting = async {
        while !reached().await {
            looks.tick().await;
        }
    };
    let waited = timeout(PATIENCE, waiting).await;
    assert!(waited.is_ok(), "{what}: never");
}

/// Beyond the time of confirms and of heartbeats.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_handled_while_the_broker_blocks_publishers_is_handled_once() {
    let Some(node) = Node::start("alarm").await else {
        return;
    };
    let host = node.virtual_host("alarm").await;
    let (calls, events) = (
        Service::of_calls(&host).await,
        Service::of_events(&host).await,
    );
    let client = client(&host).await;
    calls.warm_up(&client).await;
    let (_tasks, told) = call_all(&client, 1..=MANY);
    for number in 1..=MANY {
        let published = events.running.client().publish(&Moved { number });
        published.await.unwrap();
    }
    let (lanes, many) = (usize::from(LANES), MANY as usize);
    calls.begins("work", 1 + lanes).await;
    calls.holds(many).await;

    node.raise_alarm().await;
    calls.meets_the_alarm().await;
    events.meets_the_alarm().await;
    calls.stage.open();
    events.stage.open();
    // Who publishes nothing goes on, which is how an alarm ends.
    events.begins("sturdy", many).await;
    events.is_through_with("sturdy").await;
    is_refused(&client).await;
    calls.outlast(3 * HEARTBEAT).await;
    assert_eq!(calls.stage.counts("work"), (1 + lanes, 1 + lanes));
    assert_eq!(events.stage.counts("fragile"), (lanes, lanes));
    assert!(!calls.is_blocked("inbound"), "its acks would wait");

    node.clear_alarm().await;
    are_answered(told).await;
    until("the events are handled", async || {
        events.stage.counts("fragile").1 >= 2 * many
    })
    .await;
    events.is_through_with("fragile").await;
    until("it is ready again", async || {
        calls.running.health().ready && events.running.health().ready
    })
    .await;
    // Each event failed once; the call that met the alarm for its connection was let through, the next was not.
    assert_eq!(events.stage.counts("fragile"), (many, 2 * many));
    assert_eq!(calls.stage.counts("work"), (many + 2, many + 2));
    assert_eq!(calls.stage.count("work", NEVER_SENT), 0);
}

/// The way in is blocked as well, because an answer was sent on it: neither acks nor a goodbye are read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_told_to_end_while_the_broker_blocks_it_loses_nothing() {
    let Some(node) = Node::start("alarm-end").await else {
        return;
    };
    let host = node.virtual_host("alarm").await;
    let (first, client) = (Service::of_calls(&host).await, client(&host).await);
    first.warm_up(&client).await;
    let (_tasks, told) = call_all(&client, 1..=MANY);
    let many = MANY as usize;
    first.begins("work", 1 + usize::from(LANES)).await;
    first.holds(many).await;
    node.raise_alarm().await;
    first.stage.open();
    until("the way in is blocked", async || {
        first.is_blocked("inbound")
    })
    .await;
    first.meets_the_alarm().await;
    first.outlast(2 * CONFIRM).await;
    let (begun, times) = first.stage.counts("work");
    assert_eq!(begun, times, "something was handled again");

    let ending = Instant::now();
    // Whether handlers wait for the broker depends on how many answers were on their way when it stopped reading.
    let _drained = first.running.drain(GRACE).await;
    // Nobody waits for answers any more: nothing is unconfirmed.
    let deadline = Deadline::after(GRACE);
    first.transport.close(deadline).await.unwrap();
    let ended = ending.elapsed();
    assert!(ended < 2 * GRACE + PARTING, "{ended:?}");

    let second = Service::of_calls(&host).await;
    second.stage.open();
    node.clear_alarm().await;
    are_answered(told).await;
    let (begun, times) = second.stage.counts("work");
    assert_eq!(begun, times, "something was handled again");
}

/// A call that meets the alarm is let through; one that comes later is not sent, and says why.
async fn is_refused(client: &Client) {
    let impatient = client.with_timeout(CONFIRM);
    let error = impatient
        .call(&Work { number: MANY + 1 })
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(error.to_string().contains("low on memory"), "{error}");
    let error = impatient
        .call(&Work { number: NEVER_SENT })
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("low on memory"), "{error}");
}
