//! What comes again over a transport that keeps nothing back by itself: every wait is a queue.

use std::{sync::Arc, time::Duration};

use tidings::{
    Address, Call, Envelope, HandlerError, Headers, Outcome, RetryPolicy, Router, Running, Server,
    State, Subscriber, clock::Clock, headers, transport::Transport,
};
use tokio::time::{Instant, sleep};

use crate::{
    impatient::Impatient,
    world::{Log, UserCreated, domain, queue},
};

/// When it was called, and with which count of redeliveries.
type Calls = Log<(Instant, Option<i64>)>;

async fn fail(
    State(calls): State<Calls>,
    headers: Headers,
    _event: UserCreated,
) -> Result<(), HandlerError> {
    calls.push((Instant::now(), headers.int(headers::REDELIVERY_COUNT)));
    Err(HandlerError::from(std::io::Error::other("not yet")))
}

async fn defer(State(calls): State<Calls>, _event: UserCreated) -> Result<(), HandlerError> {
    if calls.push((Instant::now(), None)) == 1 {
        return Err(HandlerError::defer(Duration::from_secs(12), "not now"));
    }
    Ok(())
}

async fn never(_event: UserCreated) {
    unreachable!("nothing is published to the main queue");
}

fn waits(calls: &Calls) -> Vec<u64> {
    let calls = calls.entries();
    let pairs = calls.windows(2);
    pairs
        .map(|pair| (pair[1].0 - pair[0].0).as_secs())
        .collect()
}

async fn start(subscriber: Subscriber<Calls>, calls: &Calls) -> (Arc<dyn Transport>, Running) {
    let broker = Impatient::memory();
    let router = Router::new()
        .subscriber(subscriber)
        .with_state(calls.clone());
    // Held back until a time: that of the test's runtime.
    let server = Server::builder(Arc::clone(&broker), domain()).clock(Clock::of_runtime());
    let running = server.start(router).await.unwrap();
    (broker, running)
}

async fn depth(broker: &dyn Transport, queue: String) -> u64 {
    broker.queues(&[queue.into()]).await.unwrap()[0].depth()
}

/// A dead letter of `subscriber`, as another system has left it.
async fn bury(broker: &dyn Transport, subscriber: &str, headers: Headers) {
    let key = format!("dead_letter.{}", queue(subscriber));
    let body = r#"{"data": {"type": "user.created", "attributes": {"user_id": 1}}}"#;
    let dead = Call::new(
        Address::new("dead_letter.acme.shop", key),
        Envelope::new(body).with_headers(headers),
    );
    broker
        .publisher()
        .await
        .unwrap()
        .publish(dead)
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_whose_handler_fails_waits_and_stays_one() {
    let counted = Headers::new()
        .with(headers::QUEUE, queue("mail"))
        .with(headers::REDELIVERY_COUNT, 6);
    for (headers, count) in [(counted, Some(6)), (Headers::new(), None)] {
        for outcome in [Outcome::Retry, Outcome::Fatal, Outcome::Requeue] {
            let calls = Calls::default();
            let policy = RetryPolicy::new(1).classify_with(move |_| Some(outcome));
            let subscriber = Subscriber::new("mail")
                .on(never)
                .on_dead_letters(fail)
                .retry(policy);
            let (broker, running) = start(subscriber, &calls).await;
            bury(&*broker, "mail", headers.clone()).await;
            sleep(Duration::from_secs(28)).await;
            assert_eq!(waits(&calls), [5; 5], "{outcome:?}");
            assert!(
                calls.entries().iter().all(|call| call.1 == count),
                "{outcome:?}"
            );
            running.drain(Duration::ZERO).await;
            let dead = depth(&*broker, format!("dead_letter.{}", queue("mail"))).await;
            let waiting = depth(&*broker, format!("retry.dead_letter.{}", queue("mail"))).await;
            assert_eq!(dead + waiting, 1, "{outcome:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_deferred_message_makes_detours_until_it_is_time() {
    let calls = Calls::default();
    let (_broker, running) = start(Subscriber::new("mail").on(defer), &calls).await;
    let event = UserCreated { user_id: 1 };
    running.client().publish(&event).await.unwrap();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(waits(&calls), [12]);
}

/// A rule that fits every error must not judge a message that has only come too early.
#[tokio::test(start_paused = true)]
async fn a_rule_defers_a_message_once_and_not_its_detours() {
    let calls = Calls::default();
    let later = Outcome::Defer(Duration::from_secs(12));
    let policy = RetryPolicy::new(1).classify_with(move |_| Some(later));
    let (_broker, running) = start(Subscriber::new("mail").on(fail).retry(policy), &calls).await;
    let event = UserCreated { user_id: 1 };
    running.client().publish(&event).await.unwrap();
    sleep(Duration::from_secs(40)).await;
    assert_eq!(waits(&calls), [12; 3]);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_given_back_is_not_asked_again_at_once() {
    let calls = Calls::default();
    let policy = RetryPolicy::new(1).classify_with(|_| Some(Outcome::Requeue));
    let (broker, running) = start(Subscriber::new("mail").on(fail).retry(policy), &calls).await;
    let event = UserCreated { user_id: 1 };
    running.client().publish(&event).await.unwrap();
    sleep(Duration::from_secs(10)).await;
    let count = calls.entries().len();
    assert!((10..=40).contains(&count), "{count} times in ten seconds");
    assert_eq!(depth(&*broker, queue("mail")).await, 1);
}
