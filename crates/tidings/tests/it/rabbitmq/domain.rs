//! Domain messages on a real RabbitMQ: retries, dead letters, the traps of the wire, several organizations.
//!
//! Each test has a virtual host of its own. Waits are real here, so they are short, and nothing is waited for that
//! cannot be seen: a call of a handler, or the depth of a queue.

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

#[tokio::test]
async fn a_failing_message_is_retried_dies_and_is_redriven() {
    let Some(mut bed) = Bed::new().await else {
        return;
    };
    let subscriber = Subscriber::new("mail")
        .on(bed.failing(3))
        .retry(RetryPolicy::new(2));
    let server = bed.start(domain(), subscriber).await;
    let event = UserCreated { user_id: 1 };
    server.client().publish(&event).await.unwrap();
    let mut last = None;
    for count in [None, Some(1), Some(2)] {
        let call = bed.call().await;
        assert_eq!(call.count(), count);
        if let Some(before) = last {
            assert!(call.at - before >= RETRY, "{:?}", call.at - before);
        }
        last = Some(call.at);
    }
    let dead = domain::names::dead_letter(Q);
    bed.holds(&dead, 1).await;
    let letter = bed.peek(&dead).await.envelope.headers.clone();
    assert_eq!(letter.text(headers::REASON), Some("max_retries"));
    assert_eq!(letter.int(headers::REDELIVERY_COUNT), Some(3));
    assert_eq!(letter.text(headers::QUEUE), Some(Q));
    let again = |dead: &Call| domain::redrive(dead).ok();
    let redriven = redrive(&*bed.transport, dead.as_str(), again)
        .await
        .unwrap();
    assert_eq!((redriven.moved, redriven.kept), (1, 0));
    let call = bed.call().await;
    assert_eq!(
        (call.count(), call.headers.get(headers::X_DEATH)),
        (None, None)
    );
    bed.holds(&dead, 0).await;
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

/// T1: what others publish with headers is claimed at its first failure.
#[tokio::test]
async fn a_message_with_foreign_headers_survives_its_failures() {
    let Some(mut bed) = Bed::new().await else {
        return;
    };
    let subscriber = Subscriber::new("mail").on(bed.failing(1));
    let _server = bed.start(domain(), subscriber).await;
    let foreign = Headers::new().with("traceparent", "00-ab-cd-01");
    bed.publish(X, RK, foreign).await;
    bed.call().await;
    let again = bed.call().await;
    assert_eq!(again.count(), Some(1));
    assert_eq!(again.headers.text("traceparent"), Some("00-ab-cd-01"));
    assert_eq!(again.headers.text(headers::QUEUE), Some(Q));
}

/// T2: a subscriber of the store without retries.
#[tokio::test]
async fn a_failure_in_the_store_without_retries_is_kept() {
    let Some(mut bed) = Bed::new().await else {
        return;
    };
    let fail = bed.failing(1);
    let all = move |headers: Headers, _message: tidings::AnyMessage| {
        fail(headers, UserCreated { user_id: 0 })
    };
    let subscriber = Subscriber::new("audit")
        .on_interest(Interest::All, all)
        .retry(RetryPolicy::new(0));
    let server = bed.start(domain(), subscriber).await;
    let event = UserCreated { user_id: 1 };
    server.client().publish(&event).await.unwrap();
    bed.call().await;
    bed.holds("dead_letter.store", 1).await;
    assert_eq!(bed.depth("store").await, 0);
}

/// T3: the broker drops a message that expired where its detour leads.
#[tokio::test]
async fn a_message_that_expired_comes_back_by_every_way() {
    let Some(mut bed) = Bed::new().await else {
        return;
    };
    let expiring = domain().main_ttl(Duration::from_millis(100));
    let built = expiring.clone().build().unwrap();
    let configurer = Configurer::new(&built, &*bed.transport);
    configurer
        .configure(&[attachment(&built)], ClearBefore::NOTHING)
        .await
        .unwrap();
    for _ in 0..3 {
        bed.publish(X, RK, Headers::new()).await;
    }
    let dead = domain::names::dead_letter(Q);
    bed.holds(&dead, 3).await;
    assert!(
        bed.peek(&dead)
            .await
            .envelope
            .headers
            .get(headers::X_DEATH)
            .is_some()
    );
    let subscriber = Subscriber::new("mail").on(bed.failing(1));
    let _server = bed.start(expiring, subscriber).await;
    // As the command of existing systems moves them, as ours do, and as somebody moves them who keeps all headers.
    let mut ways = 0;
    let moves = |dead: &Call| {
        ways += 1;
        match ways {
            1 => Some(domain::requeue(
                dead,
                "retry.acme.shop",
                &domain::names::retry(Q),
            )),
            2 => domain::redrive(dead).ok(),
            _ => Some(Call::new(Address::queue(Q), dead.envelope.clone())),
        }
    };
    let moved = redrive(&*bed.transport, dead.as_str(), moves)
        .await
        .unwrap();
    assert_eq!(moved.moved, 3);
    for _ in 0..4 {
        bed.call().await; // Three messages, and one of them twice.
    }
    bed.holds(Q, 0).await;
    assert_eq!(bed.depth(&dead).await, 0);
}

/// The same, if the one that kept its history is the one that fails.
#[tokio::test]
async fn a_message_with_a_history_survives_its_failure() {
    let Some(mut bed) = Bed::new().await else {
        return;
    };
    let subscriber = Subscriber::new("mail").on(bed.failing(1));
    let _server = bed.start(domain(), subscriber).await;
    let death = Headers::new()
        .with("queue", Q)
        .with("reason", "expired")
        .with("exchange", X)
        .with("count", 1);
    let history = headers_list(death);
    bed.publish("", Q, Headers::new().with(headers::X_DEATH, history))
        .await;
    bed.call().await;
    assert_eq!(bed.call().await.count(), Some(1));
}

fn headers_list(death: Headers) -> HeaderValue {
    HeaderValue::List(vec![HeaderValue::Table(death)])
}

/// T4: existing systems loop as fast as they can, or lose the message.
#[tokio::test]
async fn a_dead_letter_whose_handler_fails_waits_and_is_kept() {
    let counted = Headers::new()
        .with(headers::QUEUE, Q)
        .with(headers::REDELIVERY_COUNT, 6);
    for (headers, count) in [(counted, Some(6)), (Headers::new(), None)] {
        for outcome in [Outcome::Retry, Outcome::Requeue] {
            let Some(mut bed) = Bed::new().await else {
                return;
            };
            let policy = RetryPolicy::new(1).classify_with(move |_| Some(outcome));
            let failing = bed.failing(3);
            let subscriber = Subscriber::new("mail")
                .on(never)
                .on_dead_letters(failing)
                .retry(policy);
            let _server = bed.start(domain(), subscriber).await;
            bed.publish(
                "dead_letter.acme.shop",
                &domain::names::dead_letter(Q),
                headers.clone(),
            )
            .await;
            let mut last = bed.call().await;
            for _ in 0..3 {
                let call = bed.call().await;
                assert!(call.at - last.at >= RETRY, "{:?}", call.at - last.at);
                assert_eq!(call.count(), count, "nothing is counted");
                last = call;
            }
            bed.holds(&domain::names::dead_letter(Q), 0).await;
        }
    }
}

/// T5: a queue by name, and a message without any header.
#[tokio::test]
async fn a_message_of_any_queue_is_retried_there() {
    let Some(mut bed) = Bed::new().await else {
        return;
    };
    let queue = Topology::new().queue(Queue::new("legacy"));
    bed.transport.declare(&queue).await.unwrap();
    let subscriber = Subscriber::new("helper").on_queue("legacy", None, bed.failing(1));
    let _server = bed.start(domain(), subscriber).await;
    bed.publish("", "legacy", Headers::new()).await;
    assert_eq!(bed.call().await.count(), None);
    let again = bed.call().await;
    assert_eq!(again.count(), Some(1));
    assert_eq!(again.headers.text(headers::QUEUE), Some("legacy"));
}

#[tokio::test]
async fn a_deferred_message_makes_detours_until_it_is_time() {
    let Some(mut bed) = Bed::new().await else {
        return;
    };
    let wait = Duration::from_secs(1);
    let later = RetryPolicy::new(0).classify_with(move |_| Some(Outcome::Defer(wait)));
    let subscriber = Subscriber::new("mail").on(bed.failing(1)).retry(later);
    let server = bed.start(domain(), subscriber).await;
    let event = UserCreated { user_id: 1 };
    server.client().publish(&event).await.unwrap();
    let first = bed.call().await;
    let second = bed.call().await;
    assert!(second.at - first.at >= wait, "{:?}", second.at - first.at);
    assert_eq!(second.count(), None, "nothing is counted");
}

#[tokio::test]
async fn steps_of_a_policy_are_waited_for() {
    let Some(mut bed) = Bed::new().await else {
        return;
    };
    let steps = [50, 400].map(Duration::from_millis);
    let policy = RetryPolicy::new(2).with_steps(steps);
    let subscriber = Subscriber::new("mail").on(bed.failing(2)).retry(policy);
    let server = bed.start(domain(), subscriber).await;
    let event = UserCreated { user_id: 1 };
    server.client().publish(&event).await.unwrap();
    let calls = [bed.call().await, bed.call().await, bed.call().await];
    assert!(calls[1].at - calls[0].at >= steps[0]);
    assert!(calls[2].at - calls[1].at >= steps[1]);
}

#[tokio::test]
async fn one_store_for_a_virtual_host_and_a_way_out() {
    let Some(bed) = Bed::new().await else { return };
    let ours = domain().build().unwrap();
    let theirs = Domain::builder("other", "shop").retry_ttl(RETRY);
    let without = theirs.clone().without_store().build().unwrap();
    let theirs = theirs.build().unwrap();
    let nothing = ClearBefore::NOTHING;
    let configurer = Configurer::new(&ours, &*bed.transport);
    configurer.configure(&[], nothing).await.unwrap();
    let refused = Configurer::new(&theirs, &*bed.transport);
    let error = refused.configure(&[], nothing).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("organization `acme`"), "{error}");
    Configurer::new(&without, &*bed.transport)
        .configure(&[attachment(&without)], nothing)
        .await
        .unwrap();
    let cleared = Configurer::new(&theirs, &*bed.transport)
        .clear(&[])
        .await
        .unwrap();
    assert_eq!(cleared.kept_store_of.as_deref(), Some("acme"));
    assert_eq!(
        bed.queues().await.len(),
        3,
        "the store alone: {:?}",
        bed.queues().await
    );
    for _ in 0..2 {
        let cleared = configurer.clear(&[]).await.unwrap();
        assert_eq!(cleared.kept_store_of, None);
    }
    assert_eq!(bed.queues().await, [""; 0]);
}

/// What petisco has declared is joined, and only what it does not know is added.
#[tokio::test]
async fn joining_declares_only_what_is_ours_alone() {
    let Some(mut bed) = Bed::new().await else {
        return;
    };
    let built = domain().joining_existing().build().unwrap();
    let configurer = Configurer::new(&built, &*bed.transport);
    let attachments = [attachment(&built)];
    configurer
        .configure(&attachments, ClearBefore::NOTHING)
        .await
        .unwrap();
    let before = bed.queues().await;
    let fail = bed.failing(1);
    let subscriber = Subscriber::new("mail").on(never).on_dead_letters(fail);
    let server = Server::builder(Arc::clone(&bed.transport), built)
        .without_declaring()
        .start(Router::new().subscriber(subscriber))
        .await
        .unwrap();
    assert!(server.health().ready, "{:?}", server.health());
    let mut added = bed.queues().await;
    added.retain(|name| !before.contains(name));
    assert_eq!(added, [format!("retry.dead_letter.{Q}")]);
    bed.publish(
        "dead_letter.acme.shop",
        &domain::names::dead_letter(Q),
        Headers::new(),
    )
    .await;
    bed.call().await;
    bed.call().await;
    server.drain(Duration::from_secs(5)).await;
    bed.transport
        .close(Deadline::after(PATIENCE))
        .await
        .unwrap();
}
