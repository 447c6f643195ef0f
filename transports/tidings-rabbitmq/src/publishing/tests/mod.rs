//! The publish task against a broker that the test plays, on a clock that the test moves.

mod blocked;
mod refusals;

use std::time::Duration;

use tidings_core::{Deadline, ErrorKind};
use tokio::time::advance;

use super::{
    Times,
    fake::{FakeLine, Stage, kind, settle},
    line::Verdict,
};

const SECOND: Duration = Duration::from_secs(1);

fn stage() -> Stage {
    Stage::new(Times::new(30 * SECOND), 8, 1_000)
}

/// A stage with a channel.
async fn open() -> (Stage, FakeLine) {
    let stage = stage();
    let line = stage.open(0);
    settle().await;
    (stage, line)
}

#[tokio::test(start_paused = true)]
async fn sends_in_the_order_of_the_calls_and_answers_each() {
    let (stage, line) = open().await;
    let mut answers = stage.publish_all(&["a", "b", "c"]).into_iter();
    settle().await;
    assert_eq!(line.sent(), ["a", "b", "c"]);
    line.confirm(1);
    line.answer(0, Verdict::Nacked(None));
    line.confirm(2);
    for expected in [Err(ErrorKind::Full), Ok(()), Ok(())] {
        assert_eq!(kind(answers.next().unwrap()).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_than_the_window_is_on_its_way() {
    let (stage, line) = open().await;
    let keys: Vec<_> = (0..20).map(|number| number.to_string()).collect();
    let keys: Vec<_> = keys.iter().map(String::as_str).collect();
    let _answers = stage.publish_all(&keys);
    settle().await;
    assert_eq!(line.sent(), keys[..8]);
    line.confirm(5);
    settle().await;
    assert_eq!(line.sent(), keys[..9]);
}

#[tokio::test(start_paused = true)]
async fn what_is_unconfirmed_is_sent_again_in_order_before_what_is_new() {
    let (stage, first) = open().await;
    let mut answers = stage.publish_all(&["a", "b", "c", "d"]);
    settle().await;
    first.confirm(1);
    first.end();
    settle().await;
    assert_eq!(kind(answers.remove(1)).await, Ok(()));

    answers.extend(stage.publish_all(&["e", "f"]));
    let second = stage.open(1);
    settle().await;
    assert_eq!(second.sent(), ["a", "c", "d", "e", "f"]);
    for index in 0..5 {
        second.confirm(index);
    }
    for answer in answers {
        assert_eq!(kind(answer).await, Ok(()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_confirm_that_came_before_the_end_counts() {
    let (stage, first) = open().await;
    let answer = stage.publish("a");
    settle().await;
    first.confirm(0);
    first.end();
    assert_eq!(kind(answer).await, Ok(()));
    let second = stage.open(1);
    settle().await;
    assert!(second.sent().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_came_while_there_was_no_channel_is_sent_when_there_is() {
    let stage = stage();
    let _answers = stage.publish_all(&["a", "b"]);
    settle().await;
    let line = stage.open(0);
    settle().await;
    assert_eq!(line.sent(), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn a_returned_message_is_unroutable_whichever_confirm_brings_it() {
    let (stage, line) = open().await;
    let answers = stage.publish_all(&["ok", "nobody#1", "nobody#2", "ok"]);
    settle().await;
    // The confirm of the first brings back the third, that of the second itself, and the third comes clean.
    line.confirm(2);
    line.confirm_returning(0, 2);
    line.confirm_returning(1, 1);
    line.confirm(3);
    let mut kinds = Vec::new();
    for answer in answers {
        kinds.push(kind(answer).await);
    }
    let unroutable = Err(ErrorKind::Unroutable);
    assert_eq!(kinds, [Ok(()), unroutable, unroutable, Ok(())]);
}

#[tokio::test(start_paused = true)]
async fn the_same_message_returned_twice_is_unroutable_twice() {
    let (stage, line) = open().await;
    let answers = stage.publish_all(&["ok", "nobody#1", "nobody#1"]);
    settle().await;
    line.confirm_returning(0, 1);
    line.confirm_returning(2, 1);
    line.confirm(1);
    let mut kinds = Vec::new();
    for answer in answers {
        kinds.push(kind(answer).await);
    }
    let unroutable = Err(ErrorKind::Unroutable);
    assert_eq!(kinds, [Ok(()), unroutable, unroutable]);
}

#[tokio::test(start_paused = true)]
async fn what_was_never_sent_in_time_is_unavailable_and_never_sent() {
    let stage = stage();
    let first = stage.publish("a");
    settle().await;
    advance(29 * SECOND).await;
    let second = stage.publish("b");
    settle().await;
    advance(SECOND).await;
    let error = first.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("nobody is there"), "{error}");

    let line = stage.open(0);
    settle().await;
    assert_eq!(line.sent(), ["b"]);
    assert!(!second.is_ready());
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_and_not_confirmed_in_time_is_unconfirmed_and_not_sent_again() {
    let mut times = Times::new(30 * SECOND);
    times.watchdog = 100 * SECOND;
    let stage = Stage::new(times, 8, 1_000);
    let first = stage.open(0);
    let late = stage.publish("a");
    settle().await;
    advance(10 * SECOND).await;
    let answer = stage.publish("b");
    settle().await;
    advance(20 * SECOND).await;
    assert_eq!(kind(late).await, Err(ErrorKind::Unconfirmed));
    first.end();
    let second = stage.open(1);
    settle().await;
    assert_eq!(second.sent(), ["b"]);
    second.confirm(0);
    assert_eq!(kind(answer).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn the_confirm_of_a_late_publish_may_still_bring_back_another() {
    let mut times = Times::new(30 * SECOND);
    times.watchdog = 100 * SECOND;
    let stage = Stage::new(times, 8, 1_000);
    let line = stage.open(0);
    let late = stage.publish("a");
    settle().await;
    advance(20 * SECOND).await;
    let answer = stage.publish("nobody");
    settle().await;
    advance(10 * SECOND).await;
    assert_eq!(kind(late).await, Err(ErrorKind::Unconfirmed));
    line.confirm_returning(0, 1);
    line.confirm(1);
    assert_eq!(kind(answer).await, Err(ErrorKind::Unroutable));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_while_the_broker_blocks() {
    let (stage, line) = open().await;
    line.block(Some("low on memory"));
    let _answers = stage.publish_all(&["a", "b"]);
    settle().await;
    advance(20 * SECOND).await;
    settle().await;
    assert!(line.sent().is_empty());
    assert!(!line.is_over(), "the watchdog knows");
    line.block(None);
    settle().await;
    assert_eq!(line.sent(), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn a_publish_that_was_blocked_for_too_long_says_why() {
    let (stage, line) = open().await;
    line.block(Some("low on memory"));
    let error = stage.publish("a").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("low on memory"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_confirms_is_condemned() {
    let (stage, line) = open().await;
    let _answers = stage.publish_all(&["a", "b"]);
    settle().await;
    advance(9 * SECOND).await;
    line.confirm(0);
    settle().await;
    assert_eq!(stage.publishing.impairment(), None);
    advance(9 * SECOND).await;
    settle().await;
    assert!(!line.is_over(), "it has confirmed something meanwhile");
    assert!(stage.publishing.impairment().is_some());
    advance(SECOND).await;
    settle().await;
    assert!(line.is_over());
}

#[tokio::test(start_paused = true)]
async fn large_messages_are_given_more_time() {
    let (stage, line) = open().await;
    let _answer = stage.publish(&format!("a#{}", "x".repeat(5 << 20)));
    settle().await;
    advance(14 * SECOND).await;
    settle().await;
    assert!(!line.is_over());
    advance(SECOND).await;
    settle().await;
    assert!(line.is_over());
}

#[tokio::test(start_paused = true)]
async fn more_than_the_limit_is_refused_at_once() {
    let stage = Stage::new(Times::new(30 * SECOND), 8, 3);
    let answers = stage.publish_all(&["a", "b", "c"]);
    assert_eq!(kind(stage.publish("d")).await, Err(ErrorKind::Full));
    let line = stage.open(0);
    settle().await;
    line.confirm(0);
    settle().await;
    assert!(!stage.publish("d").is_ready(), "there is room again");
    settle().await;
    assert_eq!(line.sent(), ["a", "b", "c", "d"]);
    drop(answers);
}

#[tokio::test(start_paused = true)]
async fn draining_waits_for_what_is_under_way_and_takes_no_more() {
    let (stage, line) = open().await;
    let answer = stage.publish("a");
    settle().await;
    let error = stage.publishing.drain(Deadline::after(SECOND)).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(kind(stage.publish("b")).await, Err(ErrorKind::Closed));
    line.confirm(0);
    let drained = stage.publishing.drain(Deadline::after(SECOND)).await;
    assert!(drained.is_ok());
    assert_eq!(kind(answer).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn the_task_ends_when_nobody_is_left_and_everything_is_answered() {
    let (stage, line) = open().await;
    let answer = stage.publish("a");
    let tasks = stage.tasks.clone();
    drop(stage);
    settle().await;
    assert_eq!(tasks.len(), 1);
    line.confirm(0);
    assert_eq!(kind(answer).await, Ok(()));
    settle().await;
    assert!(tasks.is_empty());
}

#[tokio::test(start_paused = true)]
async fn everything_is_answered_when_there_will_never_be_a_channel_again() {
    let (mut stage, line) = open().await;
    let sent = stage.publish("a");
    settle().await;
    line.end();
    settle().await;
    let unsent = stage.publish("b");
    stage.close();
    assert_eq!(kind(sent).await, Err(ErrorKind::Unconfirmed));
    assert_eq!(kind(unsent).await, Err(ErrorKind::Closed));
    assert_eq!(kind(stage.publish("c")).await, Err(ErrorKind::Closed));
    assert!(
        stage
            .publishing
            .drain(Deadline::after(SECOND))
            .await
            .is_ok()
    );
}

#[tokio::test(start_paused = true)]
async fn a_task_that_panics_is_an_impairment_and_leaves_nobody_waiting() {
    let (stage, line) = open().await;
    let flying = stage.publish("a");
    settle().await;
    line.break_down();
    let broken = stage.publish("b");
    assert!(kind(flying).await.is_err());
    assert!(kind(broken).await.is_err());
    let ended = "the publishing task has ended unexpectedly: restart the process";
    assert_eq!(stage.publishing.impairment().as_deref(), Some(ended));
    let error = stage.publish("c").await.expect_err("nobody sends it");
    assert_eq!(error.to_string(), ended);
    let deadline = Deadline::after(SECOND);
    assert!(stage.publishing.drain(deadline).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_task_whose_connection_ended_although_nobody_closed_it_is_an_impairment() {
    let (mut stage, line) = open().await;
    assert_eq!(stage.publishing.impairment(), None);
    stage.close();
    line.end();
    settle().await;
    assert!(stage.publishing.impairment().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_task_that_ended_after_it_was_closed_is_no_impairment() {
    let (mut stage, line) = open().await;
    let deadline = Deadline::after(SECOND);
    assert!(stage.publishing.drain(deadline).await.is_ok());
    stage.close();
    line.end();
    settle().await;
    assert_eq!(stage.publishing.impairment(), None);
}
