//! Domain messages on a real RabbitMQ: retries, dead letters, the traps of the wire, several organizations.
//!
//! Each test has a virtual host of its own. Waits are real here, so they are short, and nothing is waited for that
//! cannot be seen: a call of a handler, or the depth of a queue.

mod dead_letters;
mod failing;
mod others;

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tidings::{
    Address, Call, Deadline, Domain, Envelope, ErrorKind, HandlerError, Headers, Kind, Outcome,
    RetryPolicy, Router, Running, Server, Subscriber,
    convention::{Attachment, Convention, Interest},
    domain::{self, ClearBefore, Configurer, DomainBuilder},
    headers::{self, HeaderValue},
    redrive,
    topology::{Queue, Topology},
    transport::{Subscription, Transport},
};
use tidings_testkit::rabbitmq::{self, VirtualHost};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};

use crate::world::UserCreated;

const X: &str = "acme.shop";
const RK: &str = "acme.shop.1.event.user_created";
const Q: &str = "acme.shop.1.event.user_created.mail";
const BODY: &str = r#"{"data": {"type": "user.created", "attributes": {"user_id": 1}}}"#;
const RETRY: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(10);

/// One call of a handler.
#[derive(Debug)]
struct Handled {
    at: Instant,
    headers: Headers,
}

impl Handled {
    fn count(&self) -> Option<i64> {
        self.headers.int(headers::REDELIVERY_COUNT)
    }
}

/// A virtual host, a connection to it, and what handlers were called with.
struct Bed {
    host: VirtualHost,
    transport: Arc<dyn Transport>,
    calls: mpsc::UnboundedReceiver<Handled>,
    called: mpsc::UnboundedSender<Handled>,
}

impl Bed {
    async fn new() -> Option<Self> {
        let host = rabbitmq::shared().await?;
        let transport = tidings::open(&host.url()).await.unwrap();
        let (called, calls) = mpsc::unbounded_channel();
        Some(Self {
            host,
            transport,
            calls,
            called,
        })
    }

    /// A handler that fails the first `failures` calls and sends word of each.
    fn failing(&self, failures: usize) -> impl Fn(Headers, UserCreated) -> Answer + Clone + use<> {
        let (called, left) = (
            self.called.clone(),
            Arc::new(std::sync::Mutex::new(failures)),
        );
        move |headers, _event| {
            let mut left = left.lock().unwrap();
            let fails = *left > 0;
            *left = left.saturating_sub(1);
            let at = Instant::now();
            called.send(Handled { at, headers }).unwrap();
            std::future::ready(if fails {
                Err(std::io::Error::other("not yet").into())
            } else {
                Ok(())
            })
        }
    }

    async fn start(&self, domain: DomainBuilder, subscriber: Subscriber) -> Running {
        Server::builder(Arc::clone(&self.transport), domain.build().unwrap())
            .start(Router::new().subscriber(subscriber))
            .await
            .unwrap()
    }

    async fn call(&mut self) -> Handled {
        let call = timeout(PATIENCE, self.calls.recv()).await;
        call.expect("the handler is called").unwrap()
    }

    /// Publishes as anybody could.
    async fn publish(&self, exchange: &str, key: &str, headers: Headers) {
        let envelope = Envelope::new(BODY).with_headers(headers);
        let call = Call::new(Address::new(exchange, key), envelope);
        let publisher = self.transport.publisher().await.unwrap();
        publisher.publish(call).await.unwrap();
    }

    async fn depth(&self, queue: &str) -> u64 {
        self.transport.queues(&[queue.into()]).await.unwrap()[0].ready
    }

    /// Waits until a queue holds this many messages.
    async fn holds(&self, queue: &str, count: u64) {
        let held = async { while self.depth(queue).await != count {} };
        let held = timeout(PATIENCE, held).await;
        assert!(held.is_ok(), "`{queue}` never held {count} messages");
    }

    /// The first message of a queue, which is back there afterwards.
    async fn peek(&self, queue: &str) -> Call {
        let held = self.depth(queue).await;
        let to = Subscription::to(queue);
        let mut subscriber = self.transport.subscribe(to).await.unwrap();
        let delivery = timeout(PATIENCE, subscriber.next()).await;
        let delivery = delivery.expect("a message is there").unwrap().unwrap();
        let call = delivery.call().clone();
        drop((delivery, subscriber));
        self.holds(queue, held).await;
        call
    }

    async fn queues(&self) -> Vec<String> {
        let queues = self.transport.queues(&[]).await.unwrap();
        queues.iter().map(|queue| queue.name.to_string()).collect()
    }
}

type Answer = std::future::Ready<Result<(), HandlerError>>;

fn domain() -> DomainBuilder {
    Domain::builder("acme", "shop").retry_ttl(RETRY)
}

async fn never(_event: UserCreated) {
    unreachable!("nothing is published to the main queue");
}

fn attachment(domain: &Domain) -> Attachment {
    let interest = Interest::Named {
        name: "user.created".into(),
        version: 1,
        kind: Kind::Event,
    };
    let retry = RetryPolicy::default();
    domain.attach("mail", &interest, &retry).unwrap()
}

/// T1: with any header a petisco subscriber loses the message at its first failure.
#[tokio::test]
async fn what_is_published_has_no_headers_and_is_persistent() {
    let Some(bed) = Bed::new().await else { return };
    let built = domain().build().unwrap();
    let attachments = [attachment(&built)];
    let configurer = Configurer::new(&built, &*bed.transport);
    let nothing = ClearBefore::NOTHING;
    configurer.configure(&attachments, nothing).await.unwrap();
    let server = Server::builder(Arc::clone(&bed.transport), built.clone());
    let server = server.start(Router::new()).await.unwrap();
    let event = UserCreated { user_id: 1 };
    server.client().publish(&event).await.unwrap();
    let ask = json!({"count": 1, "ackmode": "ack_requeue_true", "encoding": "auto"});
    let path = format!("/api/queues/{{}}/{Q}/get");
    let got = bed.host.post(&path, &ask.to_string()).await;
    let properties: &Value = &got[0]["properties"];
    assert_eq!(properties["delivery_mode"], 2, "{got}");
    let headers = properties["headers"].as_object();
    assert!(headers.is_none_or(serde_json::Map::is_empty), "{got}");
    assert_eq!(got[0]["routing_key"], RK);
}
