//! What ends is kept with its reason, or given back if it cannot be kept.

use std::borrow::Cow;

use tidings_core::{
    Call, Error, ErrorKind, Outcome, Reply, Settlement,
    convention::{Failed, Fate, Plan},
};
use tidings_layers::{DeadLetterLayer, Recovery, RedeliverLayer};
use tidings_testkit::log::Log;
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    fakes::{QUEUE, answers, end, failure, poll, recovery, start},
    recorder::Recorder,
};

fn bury(failed: &Failed<'_>) -> Plan {
    let mut copy = failed.call.clone();
    copy.address.key = "dead_letter.user_created".into();
    Plan::Forward {
        call: Box::new(copy),
        fate: dead(),
    }
}

fn dead() -> Fate {
    Fate::DeadLettered {
        reason: Cow::Borrowed("fatal"),
    }
}

/// Both layers, as in the default stack, around a handler that fails for good.
fn failing(recovery: Recovery) -> impl Service<Call, Response = Reply, Error = Error> {
    let handler = answers(|| Err(failure(Outcome::Fatal)));
    let redeliver = RedeliverLayer::new(recovery.clone()).layer(handler);
    DeadLetterLayer::new(recovery).layer(redeliver)
}

#[test]
fn waits_for_the_confirm_of_the_dead_letter_before_it_answers() {
    let (recovery, outbox) = recovery(bury);
    let mut service = failing(recovery);
    let mut future = start(&mut service);
    assert!(poll(&mut future).is_pending(), "not before the confirm");
    assert_eq!(outbox.len(), 1, "published once, by one of the two");

    let copy = outbox.answer(Ok(()));
    assert_eq!(&*copy.address.key, "dead_letter.user_created");
    assert_eq!(
        end(future).unwrap_err().settlement(),
        Some(&Settlement::Ack)
    );
}

#[test]
fn a_poison_message_whose_dead_letter_is_refused_is_not_acked() {
    let (recovery, outbox) = recovery(bury);
    let mut service = failing(recovery);
    let mut future = start(&mut service);
    assert!(poll(&mut future).is_pending());

    outbox.answer(Err(Error::new(ErrorKind::Unroutable, "no such queue")));
    let error = end(future).unwrap_err();
    assert_eq!(error.outcome(), Outcome::Requeue);
    assert_eq!(error.settlement(), None);
    assert_eq!(outbox.len(), 0, "no second copy");
}

#[test]
fn a_refused_redelivery_never_buries_the_message() {
    // The plan ends whatever failed because the broker is unavailable, which a retry policy's classes may well do.
    let (recovery, outbox) = recovery(|failed| match failed.error.kind() {
        ErrorKind::Unavailable => bury(failed),
        _ => Plan::Forward {
            call: Box::new(failed.call.clone()),
            fate: Fate::Retried {
                attempts: 1,
                delay: None,
            },
        },
    });
    let mut service = failing(recovery);
    let mut future = start(&mut service);
    assert!(poll(&mut future).is_pending());
    outbox.answer(Err(Error::new(ErrorKind::Unavailable, "connection lost")));

    let error = end(future).unwrap_err();
    assert_eq!(error.outcome(), Outcome::Requeue);
    assert_eq!(outbox.len(), 0, "nothing was buried");
}

#[test]
fn a_wanted_settlement_travels_in_the_error() {
    fn check(fate: Fate) {
        let (recovery, _) = recovery(move |_| Plan::Settle {
            settlement: Settlement::Reject,
            fate: fate.clone(),
        });
        let error = end(start(&mut failing(recovery))).unwrap_err();
        assert_eq!(error.settlement(), Some(&Settlement::Reject));
    }
    check(dead());
    check(Fate::Dropped);
}

#[test]
fn what_comes_again_is_none_of_its_business() {
    let (recovery, outbox) = recovery(|failed| Plan::Forward {
        call: Box::new(failed.call.clone()),
        fate: Fate::Requeued,
    });
    let handler = answers(|| Err(failure(Outcome::Retry)));
    let mut service = DeadLetterLayer::new(recovery).layer(handler);
    let error = end(start(&mut service)).unwrap_err();
    assert_eq!((error.outcome(), outbox.len()), (Outcome::Retry, 0));
    assert_eq!(error.settlement(), None);
}

#[test]
fn counts_and_logs_the_failure_once_with_its_reason() {
    let recorder = Recorder::default();
    let _guard = ::metrics::set_default_local_recorder(&recorder);
    let log = Log::start();
    let (recovery, outbox) = recovery(bury);
    let mut service = failing(recovery);
    let mut future = start(&mut service);
    assert!(poll(&mut future).is_pending());
    outbox.answer(Ok(()));
    end(future).unwrap_err();

    let key = format!("tidings_dead_letters{{subscription={QUEUE},reason=fatal}}");
    assert_eq!(recorder.counter(&key), 1);
    let lines = log.lines_with("no mail today");
    assert_eq!(lines.len(), 1, "{lines:?}");
    for part in ["ERROR", QUEUE, "send_mail", "reason=\"fatal\""] {
        assert!(lines[0].contains(part), "`{part}` in {lines:?}");
    }
}
