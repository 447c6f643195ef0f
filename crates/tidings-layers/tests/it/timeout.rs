//! An attempt ends at the earlier of two bounds, and the handler knows it.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tidings_core::{Call, Deadline, ErrorKind, Reply};
use tidings_layers::TimeoutLayer;
use tokio::time::{Instant, advance};
use tower_layer::Layer;

use crate::fakes::{call, end, handler, poll, start_with};

const SECOND: Duration = Duration::from_secs(1);

fn with_deadline(seconds: u32) -> Call {
    let mut call = call();
    call.deadline = Deadline::after(SECOND * seconds);
    call
}

/// Runs a handler that never ends and returns after how many seconds it failed, and with what text.
async fn run(layer: TimeoutLayer, call: Call) -> (u64, String) {
    let started = Instant::now();
    let mut service = layer.layer(handler(|_| pending()));
    let error = start_with(&mut service, call).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    (started.elapsed().as_secs(), error.to_string())
}

#[tokio::test(start_paused = true)]
async fn the_earlier_bound_ends_the_attempt_and_is_named() {
    async fn check(limit: Option<u64>, call: Call, seconds: u64, named: &str) {
        let layer = limit.map_or_else(TimeoutLayer::deadline_only, |limit| {
            TimeoutLayer::new(Duration::from_secs(limit))
        });
        let (after, text) = run(layer, call).await;
        assert_eq!(after, seconds, "{text}");
        assert!(text.contains(named), "`{named}` in `{text}`");
    }
    check(Some(3), call(), 3, "longer than 3s").await;
    check(Some(3), with_deadline(5), 3, "longer than 3s").await;
    check(Some(3), with_deadline(2), 2, "deadline").await;
    check(None, with_deadline(2), 2, "deadline").await;
}

#[tokio::test(start_paused = true)]
async fn the_handler_reads_the_earlier_bound_of_two_seconds() {
    async fn check(limit: u32, call: Call) {
        let layer = TimeoutLayer::new(SECOND * limit);
        let mut service = layer.layer(handler(async |call: Call| {
            assert_eq!(call.deadline.remaining(), Some(SECOND * 2));
            Ok(Reply::empty())
        }));
        start_with(&mut service, call).await.unwrap();
    }
    check(2, call()).await;
    check(2, with_deadline(9)).await;
    check(9, with_deadline(2)).await;
}

#[tokio::test(start_paused = true)]
async fn without_any_bound_nothing_ends_it() {
    let mut service = TimeoutLayer::deadline_only().layer(handler(|_| pending()));
    let mut future = start_with(&mut service, call());
    assert!(poll(&mut future).is_pending());
    advance(SECOND * 1_000_000).await;
    assert!(poll(&mut future).is_pending());
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_deadline_has_passed_does_not_reach_the_handler() {
    let late = with_deadline(1);
    advance(SECOND).await;
    let mut service = TimeoutLayer::new(SECOND).layer(handler(async |_| panic!("was called")));
    let error = end(start_with(&mut service, late)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
}

#[tokio::test(start_paused = true)]
async fn the_handling_is_dropped_before_the_error_is_returned() {
    struct Dropped(Arc<AtomicU32>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let drops = Arc::new(AtomicU32::new(0));
    let guard = || Dropped(Arc::clone(&drops));
    let mut service = TimeoutLayer::new(SECOND).layer(handler(|_| {
        let guard = guard();
        async move {
            let _guard = guard;
            pending().await
        }
    }));
    let mut future = start_with(&mut service, call());
    assert!(poll(&mut future).is_pending());
    advance(SECOND * 2).await;
    assert!(poll(&mut future).is_ready());
    assert_eq!(
        drops.load(Ordering::Relaxed),
        1,
        "while the future still lives"
    );
    drop(future);
}
