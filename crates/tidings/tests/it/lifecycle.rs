//! Starting, pausing, breaking, draining.

use std::{sync::Arc, time::Duration};

use tidings::{
    ErrorKind, Origin, Router, Server, State, Subscriber,
    embedded::Embedded,
    server::SubscriptionState,
    topology::{Queue, Topology},
};
use tokio::sync::Semaphore;

use crate::world::{Log, UserCreated, domain, publish, queue, start};

/// Notes the start, waits for a permit, notes the end.
#[derive(Clone, Debug)]
struct Gate {
    log: Log<&'static str>,
    open: Arc<Semaphore>,
}

impl Gate {
    fn closed() -> Self {
        Self {
            log: Log::default(),
            open: Arc::new(Semaphore::new(0)),
        }
    }
}

async fn pass(State(gate): State<Gate>, _event: UserCreated) {
    gate.log.push("begin");
    gate.open.acquire().await.unwrap().forget();
    gate.log.push("end");
}

async fn until(mut reached: impl FnMut() -> bool) {
    while !reached() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_paused_subscriber_receives_nothing_and_loses_nothing() {
    async fn note(_event: UserCreated) {}
    let test = start(Router::new().on("note", note)).await;
    test.server().pause("note").await.unwrap();
    for id in 0..10 {
        publish(&test, id).await.unwrap();
    }
    assert_eq!(test.queue(&queue("note")).await.unwrap().ready, 10);
    assert!(test.handled("note").is_empty());
    assert!(
        test.server().health().ready,
        "a pause is an operator's wish, not a failure"
    );

    test.server().resume(&queue("note")).await.unwrap();
    test.rest().await.unwrap();
    assert_eq!(test.handled("note").len(), 10);
}

#[tokio::test(start_paused = true)]
async fn pausing_what_is_not_there_names_what_is() {
    async fn note(_event: UserCreated) {}
    let test = start(Router::new().on("note", note)).await;
    let error = test.server().pause("nte").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains(&queue("note")), "{error}");
}

#[tokio::test(start_paused = true)]
async fn pausing_does_not_wait_for_a_handler_and_gives_back_what_is_buffered() {
    let gate = Gate::closed();
    let subscriber = Subscriber::new("pass").on(pass).concurrency(1).prefetch(10);
    let test = start(
        Router::new()
            .subscriber(subscriber)
            .with_state(gate.clone()),
    )
    .await;
    for id in 0..5 {
        publish(&test, id).await.unwrap();
    }
    until(|| gate.log.entries() == ["begin"]).await;
    test.server().pause("pass").await.unwrap();
    let status = test.queue(&queue("pass")).await.unwrap();
    assert_eq!(
        (status.ready, status.unsettled, status.consumers),
        (4, Some(1), 0)
    );

    gate.open.add_permits(5);
    test.server().resume("pass").await.unwrap();
    test.rest().await.unwrap();
    assert_eq!(test.handled("pass").len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_drain_lets_handlers_finish_and_takes_nothing_new() {
    let gate = Gate::closed();
    let subscriber = Subscriber::new("pass").on(pass).concurrency(1);
    let test = start(
        Router::new()
            .subscriber(subscriber)
            .with_state(gate.clone()),
    )
    .await;
    publish(&test, 1).await.unwrap();
    publish(&test, 2).await.unwrap();
    until(|| gate.log.entries() == ["begin"]).await;

    gate.open.add_permits(1);
    let drained = test.server().drain(Duration::from_secs(60)).await;
    assert!(drained.complete);
    assert_eq!(gate.log.entries(), ["begin", "end"]);
    assert_eq!(
        test.queue(&queue("pass")).await.unwrap().ready,
        1,
        "the second message waits for another process"
    );
    assert!(!test.server().health().ready);
}

#[tokio::test(start_paused = true)]
async fn what_a_drain_had_to_end_comes_again_marked_as_redelivered() {
    async fn note(State(log): State<Log<bool>>, origin: Origin, _event: UserCreated) {
        log.push(origin.redelivered);
    }
    let transport = Arc::new(Embedded::memory());
    let gate = Gate::closed();
    let first = Server::builder(transport.clone(), domain())
        .start(Router::new().on("pass", pass).with_state(gate.clone()))
        .await
        .unwrap();
    first
        .client()
        .publish(&UserCreated { user_id: 1 })
        .await
        .unwrap();
    until(|| gate.log.entries() == ["begin"]).await;
    let drained = first.drain(Duration::from_secs(1)).await;
    assert!(!drained.complete);

    let log = Log::default();
    let router = Router::new().on("pass", note).with_state(log.clone());
    let second = Server::builder(transport, domain())
        .start(router)
        .await
        .unwrap();
    until(|| !log.entries().is_empty()).await;
    assert_eq!(log.entries(), [true]);
    second.drain(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_deleted_queue_is_reported_and_repaired() {
    async fn note(_event: UserCreated) {}
    let test = start(Router::new().on("note", note)).await;
    let topology = Topology::new().queue(Queue::new(queue("note")));
    test.server().transport().delete(&topology).await.unwrap();

    let broken = |state: &SubscriptionState| matches!(state, SubscriptionState::Broken(_));
    until(|| {
        test.server()
            .health()
            .subscriptions
            .iter()
            .any(|subscription| broken(&subscription.state))
    })
    .await;
    let health = test.server().health();
    assert!(!health.ready);
    assert!(
        health.reasons[0].contains(&queue("note")),
        "{:?}",
        health.reasons
    );

    until(|| test.server().health().ready).await;
    publish(&test, 1).await.unwrap();
    test.rest().await.unwrap();
    assert_eq!(test.handled("note").len(), 1);
}

#[tokio::test]
async fn two_subscribers_on_one_queue_are_a_mistake() {
    async fn note(_event: UserCreated) {}
    let transport = Arc::new(Embedded::memory());
    let router = Router::new().on("note", note).on("note", note);
    let error = Server::builder(transport, domain())
        .start(router)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misuse);
    assert!(error.to_string().contains("note"), "{error}");
}

#[tokio::test]
async fn a_conflict_with_what_exists_is_reported_at_the_start() {
    async fn note(_event: UserCreated) {}
    let transport = Arc::new(Embedded::memory());
    let builder = || Server::builder(transport.clone(), domain());
    drop(
        builder()
            .start(Router::new().on("note", note))
            .await
            .unwrap(),
    );
    let joining = tidings::Domain::builder("acme", "shop")
        .joining_existing()
        .build()
        .unwrap();
    let error = Server::builder(transport.clone(), joining)
        .start(Router::new().on("note", note))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("wants 5000 ms"), "{error}");
}
