//! The layers together, in the order of the default stack.

use std::{borrow::Cow, mem::size_of_val, time::Duration};

use tidings_core::{
    Call, Error, ErrorKind, Reply, Settlement,
    convention::{Fate, Plan},
    error::Result,
};
use tidings_layers::{
    CatchPanicLayer, ChaosLayer, ConcurrencyLayer, DeadLetterLayer, MetricsLayer, Recovery,
    RedeliverLayer, RetryConfig, RetryLayer, TimeoutLayer, TraceLayer,
};
use tidings_testkit::log::Log;
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    fakes::{QUEUE, answers, end, handler, recovery, start},
    recorder::Recorder,
};

fn stack<S>(
    recovery: &Recovery,
    retries: u32,
    handler: S,
) -> impl Service<Call, Response = Reply, Error = Error, Future: Send> + Clone + Send + 'static
where
    S: Service<Call, Response = Reply, Error = Error, Future: Send> + Clone + Send + 'static,
{
    let service = CatchPanicLayer::new(QUEUE).layer(handler);
    let service = ChaosLayer::off().layer(service);
    let service = TimeoutLayer::new(Duration::from_secs(30)).layer(service);
    let service = ConcurrencyLayer::new(4).layer(service);
    let service = RetryLayer::new(QUEUE, RetryConfig::new(retries)).layer(service);
    let service = RedeliverLayer::new(recovery.clone()).layer(service);
    let service = DeadLetterLayer::new(recovery.clone()).layer(service);
    let service = MetricsLayer::new(QUEUE).layer(service);
    TraceLayer::new().layer(service)
}

#[tokio::test]
async fn a_success_passes_all_layers_without_waiting() {
    let (recovery, outbox) = recovery(|_| panic!("a success needs no plan"));
    let mut service = stack(&recovery, 0, answers(|| Ok(Reply::empty())));
    assert_eq!(end(start(&mut service)).unwrap(), Reply::empty());
    assert_eq!(outbox.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_always_panics_ends_as_a_dead_letter() {
    let recorder = Recorder::default();
    let _guard = ::metrics::set_default_local_recorder(&recorder);
    let log = Log::start();
    let (recovery, outbox) = recovery(|failed| {
        assert_eq!(failed.error.kind(), ErrorKind::Panic);
        Plan::Forward {
            call: Box::new(failed.call.clone()),
            fate: Fate::DeadLettered {
                reason: Cow::Borrowed("max_retries"),
            },
        }
    });
    let panics = handler(async |_| -> Result<Reply> { panic!("boom") });
    let mut service = stack(&recovery, 2, panics);
    let handling = start(&mut service);
    let confirming = async {
        while outbox.len() == 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        outbox.answer(Ok(()))
    };
    let (result, _) = tokio::join!(handling, confirming);

    assert_eq!(result.unwrap_err().settlement(), Some(&Settlement::Ack));
    let labels = format!("subscription={QUEUE}");
    assert_eq!(
        recorder.counter(&format!("tidings_handler_panics{{{labels}}}")),
        3
    );
    assert_eq!(recorder.counter(&format!("tidings_retries{{{labels}}}")), 2);
    assert_eq!(
        recorder.counter(&format!("tidings_redeliveries{{{labels}}}")),
        0
    );
    let dead = format!("tidings_dead_letters{{{labels},reason=max_retries}}");
    assert_eq!(recorder.counter(&dead), 1);
    assert_eq!(
        log.lines_with("ERROR").len(),
        2,
        "the dead letter and the span: {}",
        log.text()
    );
}

#[tokio::test]
async fn the_future_of_the_whole_stack_stays_small() {
    let (recovery, _) = recovery(|_| panic!("a success needs no plan"));
    let mut service = stack(&recovery, 0, answers(|| Ok(Reply::empty())));
    let future = start(&mut service);
    let size = size_of_val(&*future);
    // It is moved into a task for every message: a layer that keeps its inner future twice would double it.
    assert!(size <= 1_280, "{size} bytes");
}
