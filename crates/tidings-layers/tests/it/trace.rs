//! The span says what OpenTelemetry wants to know, and every failure is logged once.

use tidings_core::{
    Outcome, Reply, Settlement,
    convention::{Fate, Plan},
};
use tidings_layers::{RedeliverLayer, TraceLayer};
use tidings_testkit::log::Log;
use tower_layer::Layer;

use crate::fakes::{
    QUEUE, answers, call, end, failure, handler, poll, recovery, start, start_with,
};

#[test]
fn the_span_has_the_current_names_and_no_payload() {
    let log = Log::start();
    let mut service = TraceLayer::new().layer(answers(|| Ok(Reply::empty())));
    let mut call = call();
    call.envelope.properties.fields_mut().message_id = Some("m-1".into());
    end(start_with(&mut service, call)).unwrap();

    let lines = log.lines_with("close");
    assert_eq!(lines.len(), 1, "{lines:?}");
    for part in [
        "otel.kind=\"consumer\"",
        &format!("otel.name=process {QUEUE}"),
        "messaging.operation.type=\"process\"",
        "messaging.operation.name=\"process\"",
        &format!("messaging.destination.name=\"{QUEUE}\""),
        "messaging.message.id=\"m-1\"",
        "messaging.message.body.size=6",
    ] {
        assert!(lines[0].contains(part), "`{part}` in {lines:?}");
    }
    assert!(!lines[0].contains("error.type"), "{lines:?}");
    assert!(!log.text().contains("secret"));
}

#[test]
fn an_unknown_message_id_is_left_out() {
    let log = Log::start();
    let mut service = TraceLayer::new().layer(answers(|| Ok(Reply::empty())));
    end(start(&mut service)).unwrap();
    assert!(
        !log.text().contains("messaging.message.id"),
        "{}",
        log.text()
    );
}

#[test]
fn a_failure_is_logged_once_with_its_whole_chain_by_its_weight() {
    fn check(outcome: Outcome, level: &str) {
        let log = Log::start();
        let mut service = TraceLayer::new().layer(answers(move || Err(failure(outcome))));
        end(start(&mut service)).unwrap_err();

        let lines = log.lines_with("the handler failed: no mail today");
        assert_eq!(lines.len(), 1, "{}", log.text());
        assert!(lines[0].contains(level), "{level} in {lines:?}");
        let closed = log.lines_with("close");
        for part in ["error.type=\"handler\"", "otel.status_code=\"ERROR\""] {
            assert!(closed[0].contains(part), "`{part}` in {closed:?}");
        }
    }
    check(Outcome::Retry, "WARN");
    check(Outcome::Requeue, "WARN");
    check(Outcome::Fatal, "ERROR");
}

#[test]
fn what_was_decided_inside_was_logged_there() {
    let log = Log::start();
    let decided = || Err(failure(Outcome::Retry).with_settlement(Settlement::Reject));
    let mut service = TraceLayer::new().layer(answers(decided));
    end(start(&mut service)).unwrap_err();
    assert_eq!(log.lines_with("no mail today").len(), 0);
    assert_eq!(
        log.lines_with("error.type=\"handler\"").len(),
        1,
        "the span"
    );
}

#[test]
fn a_failure_that_was_redelivered_marks_the_span() {
    let log = Log::start();
    let (recovery, outbox) = recovery(|failed| Plan::Forward {
        call: Box::new(failed.call.clone()),
        fate: Fate::Requeued,
    });
    let redeliver = RedeliverLayer::new(recovery).layer(answers(|| Err(failure(Outcome::Retry))));
    let mut service = TraceLayer::new().layer(redeliver);
    let mut future = start(&mut service);
    assert!(poll(&mut future).is_pending());
    outbox.answer(Ok(()));
    end(future).unwrap_err();

    let closed = log.lines_with("close");
    assert!(
        closed[0].contains("otel.status_code=\"ERROR\""),
        "{closed:?}"
    );
    let logged = log.lines_with("no mail today");
    assert_eq!(logged.len(), 1, "{logged:?}");
    assert!(
        logged[0].contains("process{"),
        "inside the span: {logged:?}"
    );
}

#[test]
fn the_handler_runs_inside_the_span_in_call_and_in_poll() {
    let log = Log::start();
    let mut service = TraceLayer::new().layer(handler(|_| {
        tracing::info!("called");
        async {
            tracing::info!("polled");
            Ok(Reply::empty())
        }
    }));
    end(start(&mut service)).unwrap();
    for event in ["called", "polled"] {
        let lines = log.lines_with(event);
        assert!(lines[0].contains("process{"), "{lines:?}");
    }
}
