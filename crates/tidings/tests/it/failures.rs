//! What becomes of a message whose handler fails.

use std::{io, num::ParseIntError, time::Duration};

use tidings::{
    HandlerError, Outcome, ResultExt, RetryPolicy, Router, State, Subscriber, testing::TestServer,
};
use tokio::time::Instant;

use crate::world::{Log, UserCreated, domain, publish, queue, start};

/// Writes down when it was called, and fails as often as the event's id says.
async fn fail_at_first(
    State(calls): State<Log<Instant>>,
    event: UserCreated,
) -> Result<(), HandlerError> {
    let call = calls.push(Instant::now());
    if call <= event.user_id as usize {
        return Err(io::Error::other("not yet").into());
    }
    Ok(())
}

/// The seconds between the calls.
fn waits(calls: &Log<Instant>) -> Vec<u64> {
    let calls = calls.entries();
    calls
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).as_secs())
        .collect()
}

async fn with_policy(policy: RetryPolicy, failures: u32) -> (TestServer, Log<Instant>) {
    let calls = Log::default();
    let subscriber = Subscriber::new("flaky").on(fail_at_first).retry(policy);
    let test = start(
        Router::new()
            .subscriber(subscriber)
            .with_state(calls.clone()),
    )
    .await;
    publish(&test, failures).await.unwrap();
    test.rest().await.unwrap();
    (test, calls)
}

#[tokio::test(start_paused = true)]
async fn fails_and_then_succeeds_within_its_retries() {
    for failures in 0..=5 {
        let (test, calls) = with_policy(RetryPolicy::new(5), failures).await;
        assert_eq!(calls.entries().len(), failures as usize + 1);
        assert!(test.dead_letters("flaky").is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn retries_come_after_the_delay_of_the_wire() {
    let (_test, calls) = with_policy(RetryPolicy::new(5), 3).await;
    assert_eq!(waits(&calls), [5, 5, 5]);
}

#[tokio::test(start_paused = true)]
async fn becomes_a_dead_letter_after_its_last_retry_with_the_reason() {
    let (test, calls) = with_policy(RetryPolicy::new(2), 99).await;
    assert_eq!(calls.entries().len(), 3);
    let letters = test.dead_letters("flaky");
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].reason, "max_retries");
    assert_eq!(letters[0].attempts, 3);
    assert!(letters[0].error.contains("not yet"), "{}", letters[0].error);
    let dead = test
        .queue(&format!("dead_letter.{}", queue("flaky")))
        .await
        .unwrap();
    assert_eq!(dead.ready, 1);
}

#[tokio::test(start_paused = true)]
async fn without_retries_the_first_failure_is_the_last() {
    let (test, calls) = with_policy(RetryPolicy::new(0), 99).await;
    assert_eq!(calls.entries().len(), 1);
    assert_eq!(test.dead_letters("flaky").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn waits_grow_in_steps_and_the_last_step_repeats() {
    let steps = [1, 10, 60].map(Duration::from_secs);
    let (_test, calls) = with_policy(RetryPolicy::new(5).with_steps(steps), 4).await;
    assert_eq!(waits(&calls), [1, 10, 60, 60]);
}

#[tokio::test(start_paused = true)]
async fn jitter_shortens_waits_and_never_lengthens_them() {
    let policy = RetryPolicy::new(5)
        .with_steps([Duration::from_secs(100)])
        .with_jitter(0.5);
    let (_test, calls) = with_policy(policy, 5).await;
    let waits = waits(&calls);
    assert!(
        waits.iter().all(|wait| (50..=100).contains(wait)),
        "{waits:?}"
    );
    assert!(waits.iter().any(|wait| *wait != waits[0]), "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn a_fatal_failure_becomes_a_dead_letter_at_once() {
    async fn refuse(_event: UserCreated) -> Result<(), HandlerError> {
        "x".parse::<u32>().map(drop).or_fatal()
    }
    let test = start(Router::new().on("refuse", refuse)).await;
    publish(&test, 1).await.unwrap();
    test.rest().await.unwrap();
    assert_eq!(test.handled("refuse").len(), 1);
    assert_eq!(test.dead_letters("refuse")[0].reason, "fatal");
    assert!(
        test.dead_letters("refuse")[0]
            .error
            .contains("invalid digit")
    );
}

#[tokio::test(start_paused = true)]
async fn a_policy_overrides_what_an_error_asks_for() {
    async fn parse(_event: UserCreated) -> Result<(), HandlerError> {
        "x".parse::<u32>()?; // `?` asks for a retry.
        Ok(())
    }
    let policy = RetryPolicy::new(5).classify::<ParseIntError>(Outcome::Fatal);
    let test =
        start(Router::new().subscriber(Subscriber::new("parse").on(parse).retry(policy))).await;
    publish(&test, 1).await.unwrap();
    test.rest().await.unwrap();
    assert_eq!(test.handled("parse").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn deferring_counts_no_attempt_and_waits_as_long_as_asked() {
    async fn later(
        State(calls): State<Log<Instant>>,
        _event: UserCreated,
    ) -> Result<(), HandlerError> {
        match calls.push(Instant::now()) {
            call if call <= 3 => Err(HandlerError::defer(Duration::from_secs(3600), "closed")),
            _ => Ok(()),
        }
    }
    let calls = Log::default();
    let subscriber = Subscriber::new("later")
        .on(later)
        .retry(RetryPolicy::new(0));
    let test = start(
        Router::new()
            .subscriber(subscriber)
            .with_state(calls.clone()),
    )
    .await;
    publish(&test, 1).await.unwrap();
    test.rest().await.unwrap();
    assert_eq!(waits(&calls), [3600, 3600, 3600]);
    assert!(test.dead_letters("later").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_panic_counts_as_a_failure() {
    async fn explode(event: UserCreated) {
        panic!("no user {}", event.user_id);
    }
    let subscriber = Subscriber::new("explode")
        .on(explode)
        .retry(RetryPolicy::new(1));
    let test = start(Router::new().subscriber(subscriber)).await;
    publish(&test, 7).await.unwrap();
    test.rest().await.unwrap();
    assert_eq!(test.handled("explode").len(), 2);
    assert!(test.dead_letters("explode")[0].error.contains("no user 7"));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_takes_too_long_counts_as_a_failure() {
    async fn hang(_event: UserCreated) {
        std::future::pending::<()>().await;
    }
    let subscriber = Subscriber::new("hang")
        .on(hang)
        .retry(RetryPolicy::new(1))
        .timeout(Duration::from_secs(3));
    let test = start(Router::new().subscriber(subscriber)).await;
    publish(&test, 1).await.unwrap();
    test.rest().await.unwrap();
    let letters = test.dead_letters("hang");
    assert_eq!(letters[0].attempts, 2);
    assert!(letters[0].error.contains("3s"), "{}", letters[0].error);
}

#[tokio::test(start_paused = true)]
async fn one_subscribers_failure_is_nobody_elses() {
    async fn fine(_event: UserCreated) {}
    async fn broken(_event: UserCreated) -> Result<(), HandlerError> {
        Err(HandlerError::retry("always"))
    }
    async fn store(_message: tidings::AnyMessage) {}
    let router = Router::new()
        .on("fine", fine)
        .on("broken", broken)
        .on("store", store);
    let test = TestServer::start(domain(), router).await.unwrap();
    publish(&test, 1).await.unwrap();
    test.rest().await.unwrap();
    assert_eq!(test.handled("fine").len(), 1);
    assert_eq!(test.handled("store").len(), 1);
    assert_eq!(test.handled("broken").len(), 6);
}
