//! Another attempt is made only while it is worth it.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tidings_core::{Call, Deadline, Error, ErrorKind, Outcome, Reply};
use tidings_layers::{Retry, RetryConfig, RetryLayer};
use tidings_testkit::log::Log;
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    fakes::{QUEUE, call, failure, handler, poll, start, start_with},
    recorder::Recorder,
};

/// A service that fails so often before it succeeds, and how often it was called.
fn flaky(
    config: RetryConfig,
    failures: u32,
    outcome: Outcome,
) -> (
    Retry<impl Service<Call, Response = Reply, Error = Error, Future: Sized> + Clone>,
    Arc<AtomicU32>,
) {
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let handler = handler(move |_| {
        let before = counted.fetch_add(1, Ordering::Relaxed);
        std::future::ready(if before < failures {
            Err(failure(outcome))
        } else {
            Ok(Reply::empty())
        })
    });
    (RetryLayer::new(QUEUE, config).layer(handler), calls)
}

#[tokio::test(start_paused = true)]
async fn tries_again_as_often_as_configured_and_only_for_retryable_failures() {
    async fn check(retries: u32, failures: u32, outcome: Outcome, calls: u32, succeeds: bool) {
        let (mut service, called) = flaky(RetryConfig::new(retries), failures, outcome);
        let result = start(&mut service).await;
        let case = format!("{retries} retries, {failures} failures, {outcome:?}");
        assert_eq!(called.load(Ordering::Relaxed), calls, "{case}");
        assert_eq!(result.is_ok(), succeeds, "{case}");
    }
    check(0, 1, Outcome::Retry, 1, false).await;
    check(0, 0, Outcome::Retry, 1, true).await;
    check(2, 0, Outcome::Retry, 1, true).await;
    check(2, 2, Outcome::Retry, 3, true).await;
    check(2, 3, Outcome::Retry, 3, false).await;
    check(2, 1, Outcome::Fatal, 1, false).await;
    check(2, 1, Outcome::Requeue, 1, false).await;
    check(2, 1, Outcome::Defer(Duration::ZERO), 1, false).await;
}

#[tokio::test(start_paused = true)]
async fn waits_a_random_share_of_a_doubling_time() {
    let second = Duration::from_secs(1);
    let config = RetryConfig::new(1)
        .with_backoff(second, second)
        .with_seed(7);
    let (mut service, _) = flaky(config.clone(), u32::MAX, Outcome::Retry);
    let mut waits = Vec::new();
    for _ in 0..200 {
        let started = Instant::now();
        start(&mut service.clone()).await.unwrap_err();
        waits.push(started.elapsed());
    }
    assert!(
        waits
            .iter()
            .all(|wait| *wait <= second + Duration::from_millis(1))
    );
    let short = waits.iter().filter(|wait| **wait < second / 2).count();
    assert!(
        (60..140).contains(&short),
        "spread over the whole: {short} of 200"
    );

    let (mut same, _) = flaky(config, u32::MAX, Outcome::Retry);
    let started = Instant::now();
    start(&mut same).await.unwrap_err();
    assert_eq!(started.elapsed(), waits[0], "the seed decides");
    drop(start(&mut service));
}

#[tokio::test(start_paused = true)]
async fn stops_when_the_deadline_would_pass_during_the_wait() {
    let hour = Duration::from_secs(3600);
    let config = RetryConfig::new(9).with_backoff(hour, hour).with_seed(1);
    let (mut service, calls) = flaky(config, u32::MAX, Outcome::Retry);
    let started = Instant::now();
    let mut call = call();
    call.deadline = Deadline::after(Duration::from_secs(1));
    let error = start_with(&mut service, call).await.unwrap_err();

    assert_eq!(
        error.kind(),
        ErrorKind::Handler,
        "the failure, not the deadline"
    );
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    assert_eq!(
        started.elapsed(),
        Duration::ZERO,
        "it does not wait in vain"
    );
}

#[tokio::test(start_paused = true)]
async fn counts_and_logs_each_further_attempt() {
    let recorder = Recorder::default();
    let _guard = ::metrics::set_default_local_recorder(&recorder);
    let log = Log::start();
    let (mut service, _) = flaky(RetryConfig::new(5), 2, Outcome::Retry);
    start(&mut service).await.unwrap();

    let key = format!("tidings_retries{{subscription={QUEUE}}}");
    assert_eq!(recorder.counter(&key), 2);
    assert_eq!(log.lines_with("no mail today").len(), 2, "{}", log.text());
}

#[tokio::test(start_paused = true)]
async fn the_failed_attempt_is_dropped_before_the_wait() {
    let alive = Arc::new(());
    let kept = Arc::clone(&alive);
    let handler = handler(move |_| {
        let mut held = Some(Arc::clone(&kept));
        std::future::poll_fn(move |_| {
            assert!(held.as_mut().is_some());
            std::task::Poll::Ready(Err(failure(Outcome::Retry)))
        })
    });
    let minute = Duration::from_secs(60);
    let config = RetryConfig::new(1)
        .with_backoff(minute, minute)
        .with_seed(3);
    let mut service = RetryLayer::new(QUEUE, config).layer(handler);
    let before = Arc::strong_count(&alive);
    let mut future = start(&mut service);
    assert!(poll(&mut future).is_pending(), "it waits");
    // The service was cloned for the next call, and that is all that was added.
    assert_eq!(Arc::strong_count(&alive), before + 1);
}

#[tokio::test]
async fn dropping_it_drops_the_attempt() {
    let alive = Arc::new(());
    let kept = Arc::clone(&alive);
    let handler = handler(move |_| {
        let held = Arc::clone(&kept);
        async move {
            let _held = held;
            pending().await
        }
    });
    let mut service = RetryLayer::new(QUEUE, RetryConfig::new(1)).layer(handler);
    let mut future = start(&mut service);
    assert!(poll(&mut future).is_pending());
    drop((future, service));
    assert_eq!(Arc::strong_count(&alive), 1);
}

#[test]
fn is_off_unless_configured() {
    let layer = RetryLayer::new(QUEUE, RetryConfig::default());
    assert_eq!(layer.describe(), "retry: off");
}
