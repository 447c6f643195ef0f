//! A failed message comes again, and the original is never acked before its copy is confirmed.

use std::{borrow::Cow, time::Duration};

use tidings_core::{
    Error, ErrorKind, Outcome, Reply, Settlement,
    convention::{Failed, Fate, Plan},
};
use tidings_layers::{Recovery, RedeliverLayer};
use tidings_testkit::log::Log;
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    fakes::{QUEUE, answers, end, failure, poll, recovery, start},
    recorder::Recorder,
};

fn forward(failed: &Failed<'_>) -> Plan {
    let mut copy = failed.call.clone();
    copy.address.key = "retry.user_created".into();
    Plan::Forward {
        call: Box::new(copy),
        fate: retried(),
    }
}

fn retried() -> Fate {
    Fate::Retried {
        attempts: 1,
        delay: Some(Duration::from_secs(5)),
    }
}

fn failing(
    recovery: Recovery,
) -> impl Service<tidings_core::Call, Response = Reply, Error = Error> {
    RedeliverLayer::new(recovery).layer(answers(|| Err(failure(Outcome::Retry))))
}

#[test]
fn waits_for_the_confirm_of_the_copy_before_it_answers() {
    let (recovery, outbox) = recovery(forward);
    let mut service = failing(recovery);
    let mut future = start(&mut service);

    assert!(poll(&mut future).is_pending(), "not before the confirm");
    assert_eq!(outbox.len(), 1, "published once");
    assert!(poll(&mut future).is_pending(), "still not");
    assert_eq!(outbox.len(), 1, "and not once more");

    let copy = outbox.answer(Ok(()));
    assert_eq!(&*copy.address.key, "retry.user_created");
    assert_eq!(
        end(future).unwrap_err().settlement(),
        Some(&Settlement::Ack)
    );
}

#[test]
fn gives_the_original_back_if_the_copy_is_not_confirmed() {
    let (recovery, outbox) = recovery(forward);
    let mut service = failing(recovery);
    let mut future = start(&mut service);
    assert!(poll(&mut future).is_pending());

    outbox.answer(Err(Error::new(ErrorKind::Full, "the disk is full")));
    let error = end(future).unwrap_err();
    assert_eq!(error.outcome(), Outcome::Requeue);
    assert_eq!(error.kind(), ErrorKind::Full);
    assert_eq!(error.settlement(), None, "the runtime pauses and nacks");
    assert!(error.chain().contains(QUEUE) && error.chain().contains("the disk is full"));
}

#[test]
fn gives_the_original_back_if_the_publisher_goes_away() {
    let (recovery, outbox) = recovery(forward);
    let mut service = failing(recovery);
    let mut future = start(&mut service);
    assert!(poll(&mut future).is_pending());

    drop(service);
    drop(outbox.answer_never());
    assert_eq!(end(future).unwrap_err().outcome(), Outcome::Requeue);
}

#[test]
fn a_dropped_handling_settles_nothing() {
    let (recovery, outbox) = recovery(forward);
    let recorder = Recorder::default();
    let _guard = ::metrics::set_default_local_recorder(&recorder);
    let mut service = failing(recovery);
    let mut future = start(&mut service);
    assert!(poll(&mut future).is_pending());

    drop(future);
    outbox.answer(Ok(()));
    let key = format!("tidings_redeliveries{{subscription={QUEUE}}}");
    assert_eq!(
        recorder.counter(&key),
        0,
        "nobody knows that it was confirmed"
    );
}

#[test]
fn a_success_passes_untouched_and_asks_nobody() {
    let (recovery, outbox) = recovery(|_| panic!("a success needs no plan"));
    let reply = || Ok(Reply::payload(tidings_core::Payload::json("1")));
    let mut service = RedeliverLayer::new(recovery).layer(answers(reply));
    assert_eq!(end(start(&mut service)).unwrap(), reply().unwrap());
    assert_eq!(outbox.len(), 0);
}

#[test]
fn a_wanted_settlement_travels_in_the_error() {
    fn check(fate: &Fate, wanted: Option<&Settlement>) {
        let nack = Settlement::Nack {
            delay: Some(Duration::from_secs(5)),
        };
        let fate_of = fate.clone();
        let (recovery, _) = recovery(move |_| Plan::Settle {
            settlement: nack.clone(),
            fate: fate_of.clone(),
        });
        let error = end(start(&mut failing(recovery))).unwrap_err();
        assert_eq!(error.settlement(), wanted, "{fate:?}");
        assert_eq!(
            error.kind(),
            ErrorKind::Handler,
            "the failure itself is kept"
        );
    }
    let nack = Settlement::Nack {
        delay: Some(Duration::from_secs(5)),
    };
    check(&retried(), Some(&nack));
    check(&Fate::Deferred { delay: None }, Some(&nack));
    check(&Fate::Requeued, Some(&nack));
    check(&Fate::Dropped, None);
    let reason = Cow::Borrowed("fatal");
    check(&Fate::DeadLettered { reason }, None);
}

#[test]
fn a_dead_letter_is_left_to_the_layer_outside() {
    let (recovery, outbox) = recovery(|failed| Plan::Forward {
        call: Box::new(failed.call.clone()),
        fate: Fate::DeadLettered {
            reason: Cow::Borrowed("max_retries"),
        },
    });
    let error = end(start(&mut failing(recovery))).unwrap_err();
    assert_eq!(
        error.outcome(),
        Outcome::Retry,
        "as the handler returned it"
    );
    assert_eq!(outbox.len(), 0);
}

#[test]
fn a_settlement_that_was_decided_inside_is_not_decided_again() {
    let (recovery, outbox) = recovery(forward);
    let decided = || Err(failure(Outcome::Retry).with_settlement(Settlement::Reject));
    let mut service = RedeliverLayer::new(recovery).layer(answers(decided));
    let error = end(start(&mut service)).unwrap_err();
    assert_eq!(error.settlement(), Some(&Settlement::Reject));
    assert_eq!(outbox.len(), 0);
}

#[test]
fn counts_and_logs_the_failure_once() {
    let recorder = Recorder::default();
    let _guard = ::metrics::set_default_local_recorder(&recorder);
    let log = Log::start();
    let (recovery, outbox) = recovery(forward);
    let mut service = failing(recovery);
    let mut future = start(&mut service);
    assert!(poll(&mut future).is_pending());
    assert_eq!(log.text(), "", "nothing has come to pass yet");
    outbox.answer(Ok(()));
    assert!(poll(&mut future).is_ready());

    let key = format!("tidings_redeliveries{{subscription={QUEUE}}}");
    assert_eq!(recorder.counter(&key), 1);
    let lines = log.lines_with("no mail today");
    assert_eq!(lines.len(), 1, "{lines:?}");
    for part in ["WARN", QUEUE, "send_mail", "attempts=1", "delay_seconds=5"] {
        assert!(lines[0].contains(part), "`{part}` in {lines:?}");
    }
    assert!(!log.text().contains("secret"), "payloads are not logged");
}

#[test]
fn the_convention_sees_the_original_the_error_and_what_the_transport_can() {
    let (recovery, _) = recovery(|failed| {
        assert_eq!(failed.call.queue(), QUEUE);
        assert_eq!(&failed.call.envelope.payload.bytes[..], b"secret");
        assert!(failed.error.chain().contains("no mail today"));
        assert!(failed.delayed_nack);
        Plan::Settle {
            settlement: Settlement::Ack,
            fate: Fate::Requeued,
        }
    });
    let error = end(start(&mut failing(recovery.with_delayed_nack(true)))).unwrap_err();
    assert_eq!(
        error.settlement(),
        Some(&Settlement::Ack),
        "the plan was asked for"
    );
}
