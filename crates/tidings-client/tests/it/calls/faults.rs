//! What a caller is told when something is missing or breaks, and that the next call works again.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::future::join_all;
use tidings_client::Caller;
use tidings_core::{
    Deadline, ErrorKind, Outcome,
    topology::{Exchange, Topology},
    transport::Transport,
};
use tidings_embedded::Embedded;
use tidings_rpc::Rpc;
use tokio::time::Instant;

use super::{
    bed::{SECOND, caller, embedded, greet},
    flaky::Flaky,
    responder::Responder,
};

async fn flaky() -> (Caller, Arc<Flaky>, Responder) {
    let broker = Embedded::memory();
    let flaky = Flaky::new(broker.connect().await.unwrap());
    let responder = Responder::start(Arc::new(broker)).await;
    (caller(Arc::clone(&flaky) as _), flaky, responder)
}

#[tokio::test(start_paused = true)]
async fn a_request_that_no_queue_receives_fails_at_once_and_says_who_is_missing() {
    let (caller, _responder) = embedded().await;
    let started = Instant::now();
    let nobody = caller.with_convention(Arc::new(Rpc::new("web9").unwrap()));
    let error = nobody.call(&greet("Ada")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unroutable);
    let text = error.to_string();
    assert!(text.contains("greet") && text.contains("web9"), "{text}");
    assert_eq!(started.elapsed(), Duration::ZERO);
    assert_eq!(caller.pending(), 0);

    let lenient = nobody.unroutable_is_fine().with_timeout(SECOND);
    let error = lenient.call(&greet("Ada")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
}

#[tokio::test(start_paused = true)]
async fn an_exchange_with_other_settings_is_an_error_at_once() {
    let (caller, responder) = embedded().await;
    let other = Exchange::topic("events");
    let topology = Topology::new().exchange(other);
    responder.transport.declare(&topology).await.unwrap();
    let error = caller.call_raw("events", "{}").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("events"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_exchange_that_has_vanished_is_made_again_and_the_call_repeated() {
    let (caller, flaky, responder) = flaky().await;
    caller.call(&greet("Ada")).await.unwrap();
    responder.forget_exchanges().await;
    // The consumer is not back yet: nobody would receive it.
    let error = caller.call(&greet("Ada")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unroutable);
    assert_eq!(flaky.routed.load(Ordering::SeqCst), 2);
    responder.declare().await;
    caller.call(&greet("Ada")).await.unwrap();
    assert_eq!(
        flaky.routed.load(Ordering::SeqCst),
        2,
        "it was there already"
    );
}

#[tokio::test(start_paused = true)]
async fn a_way_back_that_was_lost_unseen_is_there_again_after_the_first_timeout() {
    let (caller, responder) = embedded().await;
    caller.call(&greet("Ada")).await.unwrap();
    responder.forget_exchanges().await;
    responder.declare().await;
    let impatient = caller.with_timeout(SECOND);
    let error = impatient.call(&greet("Ada")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    impatient.call(&greet("Ada")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn many_first_calls_open_and_route_once() {
    let (caller, flaky, _responder) = flaky().await;
    for answered in join_all((0..500).map(|_| caller.call(&greet("Ada")))).await {
        answered.unwrap();
    }
    assert_eq!(flaky.opened.load(Ordering::SeqCst), 1);
    assert_eq!(flaky.routed.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn losing_the_way_back_fails_all_who_wait_at_once_and_the_next_call_works() {
    let (caller, flaky, responder) = flaky().await;
    let started = Instant::now();
    let calls = join_all((0..1_000).map(|_| caller.call_raw("echo", "silent")));
    let (ended, ()) = tokio::join!(calls, async {
        responder.seen(1_000).await;
        flaky.cut();
    });
    for ended in ended {
        let error = ended.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(
            error.to_string().contains("may have been handled"),
            "{error}"
        );
        assert_eq!(error.outcome(), Outcome::Fatal, "nobody repeats it unasked");
    }
    assert_eq!(started.elapsed(), Duration::ZERO);
    assert_eq!(caller.pending(), 0);
    caller.call(&greet("Ada")).await.unwrap();
    assert_eq!(flaky.opened.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_way_out_that_was_closed_is_replaced_and_nothing_of_it_stays() {
    let (caller, flaky, _responder) = flaky().await;
    for round in 1..=3 {
        caller.call(&greet("Ada")).await.unwrap();
        assert_eq!(flaky.opened.load(Ordering::SeqCst), round);
        tokio::task::yield_now().await;
        assert_eq!(flaky.read(), 1, "the reader of the old one has ended");
        flaky.close_publishers();
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_outlasts_ways_out_that_end_before_it_has_taken_them() {
    let (caller, flaky, responder) = flaky().await;
    flaky.stillborn.store(5, Ordering::SeqCst);
    caller.call(&greet("Ada")).await.unwrap();
    assert_eq!(flaky.opened.load(Ordering::SeqCst), 6);
    assert_eq!(responder.seen(1).await.len(), 1, "it was sent once");

    flaky.stillborn.store(usize::MAX, Ordering::SeqCst);
    flaky.close_publishers();
    let started = Instant::now();
    let impatient = caller.with_timeout(10 * SECOND);
    let error = impatient.call(&greet("Ada")).await.unwrap_err();
    assert_eq!(started.elapsed(), 10 * SECOND);
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.chain().contains("closed on purpose"), "{error}");
    let opened = flaky.opened.load(Ordering::SeqCst);
    assert!(opened < 25, "{opened} in ten seconds are a few too many");
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_for_a_broker_that_is_away_until_its_deadline() {
    let (caller, flaky, _responder) = flaky().await;
    flaky.refuse(ErrorKind::Unavailable);
    let started = Instant::now();
    let impatient = caller.with_timeout(10 * SECOND);
    let error = impatient.call(&greet("Ada")).await.unwrap_err();
    assert_eq!(started.elapsed(), 10 * SECOND);
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let text = error.chain();
    assert!(
        text.contains("was not called") && text.contains("refused on purpose"),
        "{text}"
    );

    let patient = caller.call(&greet("Ada"));
    let (answered, ()) = tokio::join!(patient, async {
        tokio::time::sleep(5 * SECOND).await;
        flaky.refuse(None);
    });
    answered.unwrap();
    assert!(started.elapsed() <= 16 * SECOND, "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_no_wait_will_mend_is_said_at_once() {
    for kind in [ErrorKind::Denied, ErrorKind::Unsupported, ErrorKind::Closed] {
        let (caller, flaky, _responder) = flaky().await;
        flaky.refuse(kind);
        let started = Instant::now();
        let error = caller.call(&greet("Ada")).await.unwrap_err();
        assert_eq!((error.kind(), started.elapsed()), (kind, Duration::ZERO));
    }
}

#[tokio::test(start_paused = true)]
async fn a_closed_transport_is_said_at_once() {
    let (caller, flaky, _responder) = flaky().await;
    caller.call(&greet("Ada")).await.unwrap();
    flaky.close(Deadline::NEVER).await.unwrap();
    let started = Instant::now();
    let error = caller.call(&greet("Ada")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn the_queue_for_answers_goes_with_the_last_caller() {
    let (caller, responder) = embedded().await;
    caller.call(&greet("Ada")).await.unwrap();
    let queue = responder.seen(1).await[0]
        .envelope
        .properties
        .reply_to()
        .cloned();
    let queue = queue.unwrap();
    let named = [queue];
    assert!(responder.transport.queues(&named).await.is_ok());
    drop(caller);
    let gone = responder.transport.queues(&named).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
}
