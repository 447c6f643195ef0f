//! Publishes while the broker does not read: the time of those that others depend on stands still.

use tidings_core::{Completion, Deadline, ErrorKind};
use tokio::time::advance;

use super::{SECOND, open, stage};
use crate::publishing::{
    Times,
    fake::{FakeLine, Stage, kind, refused, settle},
    line::{Loss, Verdict},
};

const GONE: &str = "NOT_FOUND - no exchange 'none' in vhost '/'";

/// Lets an hour pass, in steps in which the clock is looked at.
async fn pass_an_hour() {
    for _ in 0..60 {
        advance(60 * SECOND).await;
        settle().await;
    }
}

/// An exchange that was refused is asked for once more, and somebody else waits for what comes of that.
async fn probing() -> (Stage, FakeLine, Completion, Completion) {
    let (stage, line) = open().await;
    let first = stage.publish("none/key");
    settle().await;
    line.refuse(404, GONE);
    assert_eq!(kind(first).await, Err(ErrorKind::NotFound));
    let line = stage.open(0);
    let probed = stage.publish("none/key");
    settle().await;
    let parked = stage.publish_patiently("none/key");
    settle().await;
    (stage, line, probed, parked)
}

/// Nothing happens until time passes.
async fn is_at_rest(line: &FakeLine) {
    settle().await;
    let looks = line.looks();
    settle().await;
    assert_eq!(line.looks(), looks);
}

#[tokio::test(start_paused = true)]
async fn a_patient_publish_waits_and_the_others_are_told_why_they_failed() {
    let (stage, line) = open().await;
    line.block(Some("low on memory"));
    let first = stage.publish_patiently("a");
    let other = stage.publish("b");
    let second = stage.publish_patiently("c");
    advance(30 * SECOND).await;
    let error = other.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("low on memory"), "{error}");
    pass_an_hour().await;
    assert!(line.sent().is_empty() && !line.is_over());

    line.block(None);
    settle().await;
    assert_eq!(line.sent(), ["a", "c"]);
    line.confirm(0);
    line.confirm(1);
    assert_eq!(kind(first).await, Ok(()));
    assert_eq!(kind(second).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn what_was_on_its_way_when_the_broker_stopped_reading_is_waited_for() {
    let (stage, line) = open().await;
    let patient = stage.publish_patiently("a");
    let other = stage.publish("b");
    settle().await;
    line.block(Some("low on memory"));
    advance(30 * SECOND).await;
    let error = other.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unconfirmed);
    assert!(error.to_string().contains("low on memory"), "{error}");
    pass_an_hour().await;
    assert!(!line.is_over(), "the watchdog knows");
    line.block(None);
    settle().await;
    line.confirm(0);
    assert_eq!(kind(patient).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_patient_publish_has_all_its_time_once_the_broker_reads() {
    let mut times = Times::new(30 * SECOND);
    times.watchdog = 1_000 * SECOND;
    let stage = Stage::new(times, 8, 1_000);
    let line = stage.open(0);
    settle().await;
    line.block(Some("low on memory"));
    let mut answer = stage.publish_patiently("a");
    settle().await;
    pass_an_hour().await;
    line.block(None);
    settle().await;
    for _ in 0..29 {
        advance(SECOND).await;
        settle().await;
    }
    assert!(futures_util::poll!(&mut answer).is_pending());
    advance(2 * SECOND).await;
    settle().await;
    assert_eq!(kind(answer).await, Err(ErrorKind::Unconfirmed));
}

#[tokio::test(start_paused = true)]
async fn a_patient_publish_is_like_others_where_nothing_blocks() {
    let stage = stage();
    let answer = stage.publish_patiently("a");
    settle().await;
    advance(30 * SECOND).await;
    assert_eq!(kind(answer).await, Err(ErrorKind::Unavailable));
}

#[tokio::test(start_paused = true)]
async fn a_patient_publish_outlasts_the_connection_that_was_blocked() {
    let (stage, first) = open().await;
    first.block(Some("low on memory"));
    let answer = stage.publish_patiently("a");
    pass_an_hour().await;
    first.end();
    settle().await;
    let second = stage.open(1);
    settle().await;
    assert_eq!(second.sent(), ["a"]);
    second.confirm(0);
    assert_eq!(kind(answer).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_patient_publish_outlasts_a_channel_that_cannot_be_opened_again_before_the_end() {
    let (stage, first) = open().await;
    let answer = stage.publish_patiently("a");
    settle().await;
    first.lose(&Loss::Gone("closed".to_owned()));
    stage.block(true);
    pass_an_hour().await;
    stage.block(false);
    let second = stage.open(0);
    settle().await;
    assert_eq!(second.sent(), ["a"]);
    second.confirm(0);
    assert_eq!(kind(answer).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn publishes_of_others_keep_no_patient_one_out() {
    let stage = Stage::new(Times::new(30 * SECOND), 8, 2);
    let line = stage.open(0);
    settle().await;
    line.block(Some("low on memory"));
    let _others = stage.publish_all(&["a", "b"]);
    assert_eq!(kind(stage.publish("c")).await, Err(ErrorKind::Full));
    let answer = stage.publish_patiently("d");
    pass_an_hour().await;
    line.block(None);
    settle().await;
    assert_eq!(line.sent(), ["d"]);
    line.confirm(0);
    assert_eq!(kind(answer).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_patient_publish_that_nobody_waits_for_is_forgotten() {
    let (stage, line) = open().await;
    line.block(Some("low on memory"));
    let forsaken = stage.publish_patiently("a");
    let kept = stage.publish_patiently("b");
    settle().await;
    drop(forsaken);
    line.block(None);
    settle().await;
    assert_eq!(line.sent(), ["b"]);
    line.confirm(0);
    assert_eq!(kind(kept).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_drain_does_not_wait_for_what_nobody_waits_for() {
    let (stage, line) = open().await;
    let sent = stage.publish_patiently("a");
    settle().await;
    line.block(Some("low on memory"));
    let waiting = stage.publish_patiently("b");
    settle().await;
    advance(5 * SECOND).await;
    settle().await;
    drop((sent, waiting));
    let drained = stage.publishing.drain(Deadline::after(SECOND)).await;
    assert!(drained.is_ok(), "{drained:?}");
    assert_eq!(line.sent(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn no_probe_is_sent_while_the_broker_blocks() {
    let (_stage, line, probed, parked) = probing().await;
    line.answer_probe(0, Verdict::Lost(refused(404, GONE)));
    assert_eq!(kind(probed).await, Err(ErrorKind::NotFound));
    line.block(Some("low on memory"));
    pass_an_hour().await;
    assert_eq!(line.probed().len(), 1);
    is_at_rest(&line).await;

    line.block(None);
    advance(SECOND).await;
    settle().await;
    assert_eq!(line.probed().len(), 2);
    line.answer_probe(1, Verdict::Confirmed(None));
    assert_eq!(kind(parked).await, Ok(()));
}

/// A step that finds nothing to do and wants to be woken at once would keep a processor busy.
#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_probe_is_at_rest() {
    let (stage, line, first, _second) = probing().await;
    line.answer_probe(0, Verdict::Lost(refused(404, GONE)));
    assert_eq!(kind(first).await, Err(ErrorKind::NotFound));
    advance(SECOND).await;
    settle().await;
    assert_eq!(line.probed().len(), 2, "it has rested");
    let _third = stage.publish_patiently("none/key");
    is_at_rest(&line).await;
}
