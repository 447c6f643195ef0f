//! What users get wrong does not stop a service, and what operators do at a bad moment does not hang.

use std::{
    future::{self, Ready},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tidings::{
    Address, Call, Envelope, Error, ErrorKind, HandlerError, OrderKey, Outcome, Reply, RetryPolicy,
    Router, Server, State, Subscriber, embedded::Embedded, redrive, testing::TestServer,
};
use tokio::{sync::Semaphore, time::Instant};
use tower_layer::layer_fn;
use tower_service::Service;

use crate::world::{Log, UserCreated, domain, publish, queue, start};

async fn note(State(log): State<Log<u32>>, event: UserCreated) {
    log.push(event.user_id);
}

#[tokio::test(start_paused = true)]
async fn a_panicking_order_function_orders_nothing_and_stops_nothing() {
    let log = Log::default();
    let key = OrderKey::by(|_: &Call| -> Option<u32> { panic!("no key") });
    let subscriber = Subscriber::new("note")
        .on(note)
        .concurrency(2)
        .ordered_by(key);
    let test = start(Router::new().subscriber(subscriber).with_state(log.clone())).await;
    for id in 0..10 {
        publish(&test, id).await.unwrap();
    }
    test.rest().await.unwrap();
    assert_eq!(log.entries().len(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_panicking_rule_of_a_policy_knows_nothing() {
    async fn fail(_event: UserCreated) -> Result<(), HandlerError> {
        Err(HandlerError::retry("no"))
    }
    let policy = RetryPolicy::new(1)
        .classify_with(|_| panic!("cannot tell"))
        .classify_with(|_| Some(Outcome::Fatal));
    let subscriber = Subscriber::new("fail")
        .on(fail)
        .concurrency(1)
        .retry(policy);
    let test = start(Router::new().subscriber(subscriber)).await;
    publish(&test, 1).await.unwrap();
    test.rest().await.unwrap();
    assert_eq!(test.dead_letters("fail")[0].reason, "fatal");
}

#[tokio::test(start_paused = true)]
async fn a_value_that_panics_when_its_handler_is_ended_fails_the_message_only() {
    struct Grumpy;
    impl Drop for Grumpy {
        fn drop(&mut self) {
            panic!("not like this");
        }
    }
    async fn hang(_event: UserCreated) {
        let _grumpy = Grumpy;
        future::pending::<()>().await;
    }
    let limit = Duration::from_secs(1);
    let subscriber = Subscriber::new("hang")
        .on(hang)
        .concurrency(1)
        .timeout(limit)
        .retry(RetryPolicy::new(1));
    let test = start(Router::new().subscriber(subscriber)).await;
    for id in 0..3 {
        publish(&test, id).await.unwrap();
    }
    test.rest().await.unwrap();
    assert_eq!(test.dead_letters("hang").len(), 3);
    assert!(test.dead_letters("hang")[0].error.contains("not like this"));
}

/// A layer of the user's that is never ready.
#[derive(Clone)]
struct NeverReady;

impl Service<Call> for NeverReady {
    type Response = Reply;
    type Error = Error;
    type Future = Ready<Result<Reply, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Err(Error::new(ErrorKind::Misuse, "out of order")))
    }

    fn call(&mut self, _: Call) -> Self::Future {
        future::ready(Ok(Reply::empty()))
    }
}

#[tokio::test(start_paused = true)]
async fn a_layer_that_is_never_ready_loses_no_message() {
    async fn fine(_event: UserCreated) {}
    let transport = Arc::new(Embedded::memory());
    let server = Server::builder(transport.clone(), domain())
        .layer(layer_fn(|_| NeverReady))
        .start(Router::new().on("fine", fine))
        .await
        .unwrap();
    server
        .client()
        .publish(&UserCreated { user_id: 1 })
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    server.drain(Duration::from_secs(1)).await;

    let log = Log::default();
    let router = Router::new().on("fine", note).with_state(log.clone());
    let next = Server::builder(transport, domain())
        .start(router)
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(log.entries(), [1]);
    next.drain(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_pause_holds_back_what_waits_for_its_key() {
    async fn gated(State((log, gate)): State<(Log<u32>, Arc<Semaphore>)>, event: UserCreated) {
        gate.acquire().await.unwrap().forget();
        log.push(event.user_id);
    }
    let (log, gate) = (Log::default(), Arc::new(Semaphore::new(0)));
    let subscriber = Subscriber::new("gated")
        .on(gated)
        .concurrency(4)
        .ordered_by(OrderKey::all());
    let router = Router::new()
        .subscriber(subscriber)
        .with_state((log.clone(), gate.clone()));
    let test = start(router).await;
    for id in 0..20 {
        publish(&test, id).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    test.server().pause("gated").await.unwrap();
    gate.add_permits(20);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(log.entries(), [0], "only what had begun");
    test.server().resume("gated").await.unwrap();
    test.rest().await.unwrap();
    assert_eq!(log.entries(), (0..20).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn pausing_and_resuming_at_once_hangs_neither() {
    let test = start(Router::new().on("note", note).with_state(Log::default())).await;
    let both = async { tokio::join!(test.server().pause("note"), test.server().resume("note")) };
    let (paused, resumed) = tokio::time::timeout(Duration::from_secs(60), both)
        .await
        .unwrap();
    paused.and(resumed).unwrap();
    publish(&test, 1).await.unwrap();
    test.rest().await.unwrap();
    assert_eq!(test.handled("note").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn deferring_by_nothing_does_not_spin() {
    async fn spin(State(log): State<Log<u32>>, event: UserCreated) -> Result<(), HandlerError> {
        log.push(event.user_id);
        Err(HandlerError::defer(Duration::ZERO, "now"))
    }
    let log = Log::default();
    let test = start(Router::new().on("spin", spin).with_state(log.clone())).await;
    publish(&test, 1).await.unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(
        (2..=41).contains(&log.entries().len()),
        "{}",
        log.entries().len()
    );
}

#[tokio::test]
async fn a_subscriber_without_a_handler_is_a_mistake() {
    let router = Router::new().subscriber(Subscriber::new("nothing"));
    let error = TestServer::start(domain(), router).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misuse);
    assert!(error.to_string().contains("nothing"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_redrive_does_not_wait_for_what_is_held_back() {
    async fn later(_event: UserCreated) -> Result<(), HandlerError> {
        Err(HandlerError::defer(
            Duration::from_secs(7 * 24 * 3600),
            "next week",
        ))
    }
    let test = start(Router::new().on("later", later)).await;
    let call = Call::new(
        Address::queue(queue("later")),
        Envelope::new(r#"{"data": {"attributes": {"user_id": 1}}}"#),
    );
    test.client().publish_call(call).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let began = Instant::now();
    let redriven = redrive(&**test.server().transport(), queue("later"), |_| None)
        .await
        .unwrap();
    assert_eq!((redriven.moved, redriven.missed), (0, 1));
    assert!(began.elapsed() < Duration::from_secs(10));
}
