//! All clones share the places; a place comes back however the handling ends.

use std::{future::pending, time::Duration};

use tidings_core::{Deadline, ErrorKind, Reply, error::Result};
use tidings_layers::{Concurrency, ConcurrencyLayer};
use tokio::{sync::oneshot, time::Instant};
use tower_layer::Layer;
use tower_service::Service;

use crate::fakes::{answers, call, end, handler, poll, start, start_with};

fn blocking(
    layer: &ConcurrencyLayer,
) -> Concurrency<
    impl Service<tidings_core::Call, Response = Reply, Error = tidings_core::Error, Future: Sized>
    + Clone,
> {
    layer.layer(handler(|_| pending::<Result<Reply>>()))
}

#[tokio::test]
async fn clones_and_services_of_one_layer_share_the_places() {
    let layer = ConcurrencyLayer::new(2);
    let mut first = blocking(&layer);
    let mut clone = first.clone();
    let mut other = layer.layer(answers(|| Ok(Reply::empty())));

    let mut one = start(&mut first);
    let mut two = start(&mut clone);
    assert!(poll(&mut one).is_pending());
    assert!(poll(&mut two).is_pending());
    let mut three = start(&mut other);
    assert!(poll(&mut three).is_pending(), "no place is free");

    drop(one);
    end(three).unwrap();
}

#[tokio::test]
async fn dropping_a_running_or_a_waiting_call_frees_its_place() {
    let layer = ConcurrencyLayer::new(1);
    let mut service = blocking(&layer);
    let mut answering = layer.layer(answers(|| Ok(Reply::empty())));

    let mut running = start(&mut service);
    assert!(poll(&mut running).is_pending());
    let mut leaves = start(&mut answering);
    let mut waits = start(&mut answering);
    assert!(poll(&mut leaves).is_pending());
    assert!(poll(&mut waits).is_pending());

    drop(leaves);
    drop(running);
    end(waits).unwrap();
    end(start(&mut answering)).unwrap();
}

#[tokio::test]
async fn the_place_is_free_as_soon_as_the_answer_is_there() {
    let layer = ConcurrencyLayer::new(1);
    let mut service = layer.layer(answers(|| Ok(Reply::empty())));
    let mut done = start(&mut service);
    assert!(poll(&mut done).is_ready());
    end(start(&mut service)).unwrap();
    drop(done);
}

#[tokio::test]
async fn who_waits_longest_is_next_and_nobody_jumps_the_line() {
    let layer = ConcurrencyLayer::new(1);
    let (finish, finished) = oneshot::channel::<()>();
    let finished = std::sync::Arc::new(std::sync::Mutex::new(Some(finished)));
    let mut holder = layer.layer(handler(move |_| {
        let finished = finished.lock().unwrap().take().unwrap();
        async move {
            finished.await.unwrap();
            Ok(Reply::empty())
        }
    }));
    let mut service = blocking(&layer);

    let mut held = start(&mut holder);
    assert!(poll(&mut held).is_pending());
    let mut first = start(&mut service);
    let mut second = start(&mut service);
    assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending());
    finish.send(()).unwrap();
    assert!(poll(&mut held).is_ready());

    let mut late = layer.layer(answers(|| Ok(Reply::empty())));
    let mut late = start(&mut late);
    assert!(
        poll(&mut late).is_pending(),
        "the place belongs to the first"
    );
    assert!(poll(&mut first).is_pending(), "which runs now");
    drop(first);
    assert!(poll(&mut late).is_pending(), "the second is next");
    drop(second);
    end(late).unwrap();
}

#[tokio::test(start_paused = true)]
async fn waiting_ends_at_the_deadline() {
    let layer = ConcurrencyLayer::new(1);
    let mut service = blocking(&layer);
    let mut running = start(&mut service);
    assert!(poll(&mut running).is_pending());

    let started = Instant::now();
    let mut call = call();
    call.deadline = Deadline::after(Duration::from_secs(3));
    let error = start_with(&mut service, call).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.to_string().starts_with("too many others"), "{error}");
    assert_eq!(started.elapsed().as_secs(), 3);

    drop(running);
    let mut answering = layer.layer(answers(|| Ok(Reply::empty())));
    end(start(&mut answering)).unwrap();
}

#[tokio::test]
async fn without_a_limit_nobody_waits() {
    let layer = ConcurrencyLayer::unlimited();
    let mut service = blocking(&layer);
    let mut running: Vec<_> = (0..100).map(|_| start(&mut service)).collect();
    assert!(running.iter_mut().all(|call| poll(call).is_pending()));
    let mut answering = layer.layer(answers(|| Ok(Reply::empty())));
    end(start(&mut answering)).unwrap();
}

#[test]
fn no_place_at_all_counts_as_one() {
    let layer = ConcurrencyLayer::new(0);
    assert_eq!(layer.describe(), "concurrency: at most 1 at a time");
}
