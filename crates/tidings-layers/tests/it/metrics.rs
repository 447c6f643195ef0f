//! Every handling is counted once, and the gauge is right however it ends.

use std::{future::pending, time::Duration};

use tidings_core::{
    Outcome, Reply,
    convention::{Fate, Plan},
};
use tidings_layers::{MetricsLayer, RedeliverLayer};
use tower_layer::Layer;

use crate::{
    fakes::{QUEUE, answers, end, failure, handler, poll, recovery, start},
    recorder::Recorder,
};

const DURATION: &str = "messaging.process.duration";
const COUNT: &str = "messaging.client.consumed.messages";

fn labelled(metric: &str, error: &str) -> String {
    let labels = "messaging.operation.name=process,messaging.destination.name";
    format!("{metric}{{{labels}={QUEUE}{error}}}")
}

fn in_flight(recorder: &Recorder) -> f64 {
    recorder.gauge(&format!("tidings_in_flight{{subscription={QUEUE}}}"))
}

#[tokio::test(start_paused = true)]
async fn a_success_is_counted_and_timed_without_an_error() {
    let recorder = Recorder::default();
    let _guard = ::metrics::set_default_local_recorder(&recorder);
    let mut service = MetricsLayer::new(QUEUE).layer(handler(async |_| {
        tokio::time::sleep(Duration::from_secs(2)).await;
        Ok(Reply::empty())
    }));

    let mut future = start(&mut service);
    assert!(poll(&mut future).is_pending());
    assert_eq!(in_flight(&recorder), 1.0);
    future.await.unwrap();

    assert_eq!(in_flight(&recorder), 0.0);
    assert_eq!(recorder.counter(&labelled(COUNT, "")), 1);
    let took = recorder.histogram(&labelled(DURATION, ""));
    assert!(took.len() == 1 && (2.0..2.1).contains(&took[0]), "{took:?}");
}

#[tokio::test]
async fn a_failure_is_counted_by_its_kind() {
    let recorder = Recorder::default();
    let _guard = ::metrics::set_default_local_recorder(&recorder);
    let mut service = MetricsLayer::new(QUEUE).layer(answers(|| Err(failure(Outcome::Retry))));
    end(start(&mut service)).unwrap_err();

    assert_eq!(recorder.counter(&labelled(COUNT, ",error.type=handler")), 1);
    assert_eq!(recorder.counter(&labelled(COUNT, "")), 0);
    let took = recorder.histogram(&labelled(DURATION, ",error.type=handler"));
    assert_eq!(took.len(), 1);
}

#[tokio::test]
async fn a_failure_that_was_redelivered_counts_as_a_failure() {
    let recorder = Recorder::default();
    let _guard = ::metrics::set_default_local_recorder(&recorder);
    let (recovery, outbox) = recovery(|failed| Plan::Forward {
        call: Box::new(failed.call.clone()),
        fate: Fate::Requeued,
    });
    let redeliver = RedeliverLayer::new(recovery).layer(answers(|| Err(failure(Outcome::Retry))));
    let mut service = MetricsLayer::new(QUEUE).layer(redeliver);
    let mut future = start(&mut service);
    assert!(poll(&mut future).is_pending());
    outbox.answer(Ok(()));

    end(future).unwrap_err();
    assert_eq!(recorder.counter(&labelled(COUNT, ",error.type=handler")), 1);
    assert_eq!(recorder.counter(&labelled(COUNT, "")), 0);
}

#[tokio::test]
async fn a_dropped_handling_leaves_the_gauge_and_counts_nothing() {
    let recorder = Recorder::default();
    let _guard = ::metrics::set_default_local_recorder(&recorder);
    let mut service = MetricsLayer::new(QUEUE).layer(handler(|_| pending()));

    let unpolled = start(&mut service);
    let mut polled = start(&mut service.clone());
    assert!(poll(&mut polled).is_pending());
    assert_eq!(in_flight(&recorder), 2.0, "clones share the gauge");
    drop((unpolled, polled));

    assert_eq!(in_flight(&recorder), 0.0);
    assert_eq!(recorder.counter(&labelled(COUNT, "")), 0);
}

#[tokio::test]
async fn a_panic_outside_the_catching_layer_leaves_the_gauge() {
    let recorder = Recorder::default();
    let _guard = ::metrics::set_default_local_recorder(&recorder);
    let mut service = MetricsLayer::new(QUEUE).layer(handler(async |_| panic!("boom")));
    let future = start(&mut service);
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| end(future)));
    assert!(caught.is_err());
    assert_eq!(in_flight(&recorder), 0.0);
}

#[tokio::test]
async fn works_without_a_recorder() {
    let mut service = MetricsLayer::new(QUEUE).layer(answers(|| Ok(Reply::empty())));
    end(start(&mut service)).unwrap();
}
