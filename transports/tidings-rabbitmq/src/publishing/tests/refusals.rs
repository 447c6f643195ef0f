//! What happens to the others when the broker objects to one.

use tidings_core::{Error, ErrorKind};
use tokio::time::advance;

use super::{SECOND, open, stage};
use crate::publishing::{
    fake::{call, kind, refused, settle},
    line::{Loss, Verdict},
};

const MISSING: &str = "NOT_FOUND - no exchange 'gone' in vhost '/'";
const CRASH: &str = "INTERNAL_ERROR";
const SUSPICIOUS: &str = "PRECONDITION_FAILED - something about a publish";

#[tokio::test(start_paused = true)]
async fn a_missing_exchange_harms_only_those_who_publish_to_it() {
    let (stage, first) = open().await;
    let mut answers = stage.publish_all(&["a", "gone/1", "b", "gone/2"]);
    settle().await;
    first.refuse(404, MISSING);
    settle().await;
    let second = stage.open(0);
    settle().await;
    assert_eq!(second.sent(), ["a", "b"]);
    assert_eq!(second.probed(), ["gone/1"], "one stands for all");
    second.answer_probe(0, Verdict::Lost(refused(404, MISSING)));
    for index in [3, 1] {
        let answer = answers.remove(index);
        assert_eq!(kind(answer).await, Err(ErrorKind::NotFound));
    }

    answers.extend(stage.publish_all(&["gone/3", "c"]));
    settle().await;
    assert_eq!(second.sent(), ["a", "b", "c"]);
    assert_eq!(second.probed().len(), 1, "there is a pause between probes");
    advance(SECOND / 20).await;
    settle().await;
    assert_eq!(second.probed(), ["gone/1", "gone/3"]);
    second.answer_probe(1, Verdict::Lost(refused(404, MISSING)));
    settle().await;
    let _last = stage.publish("gone/4");
    advance(SECOND / 20).await;
    settle().await;
    assert_eq!(second.probed().len(), 2, "which grows");
    advance(SECOND / 20).await;
    settle().await;
    assert_eq!(second.probed().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_exchange_that_exists_again_is_published_to_in_order() {
    let (stage, first) = open().await;
    let mut answers = stage.publish_all(&["gone/1", "gone/2", "gone/3"]);
    settle().await;
    first.refuse(404, MISSING);
    settle().await;
    let second = stage.open(0);
    settle().await;
    second.answer_probe(0, Verdict::Confirmed(None));
    assert_eq!(kind(answers.remove(0)).await, Ok(()));
    settle().await;
    let _last = stage.publish("gone/4");
    settle().await;
    assert_eq!(second.sent(), ["gone/2", "gone/3", "gone/4"]);
}

#[tokio::test(start_paused = true)]
async fn a_new_connection_frees_the_exchanges() {
    let (stage, first) = open().await;
    let answers = stage.publish_all(&["a", "gone/1", "gone/2"]);
    settle().await;
    first.refuse(404, MISSING);
    settle().await;
    let second = stage.open(0);
    settle().await;
    second.end();
    settle().await;
    let third = stage.open(1);
    settle().await;
    assert_eq!(third.sent(), ["a", "gone/1", "gone/2"]);
    drop(answers);
}

#[tokio::test(start_paused = true)]
async fn a_publish_that_was_alone_gets_the_refusal() {
    for (code, text, expected) in [
        (404, MISSING, ErrorKind::NotFound),
        (403, SUSPICIOUS, ErrorKind::Denied),
        (406, SUSPICIOUS, ErrorKind::Misuse),
        (
            406,
            "message size 9 is larger than max size 1",
            ErrorKind::Misuse,
        ),
    ] {
        let (stage, line) = open().await;
        let answer = stage.publish("gone/1#123456789");
        settle().await;
        line.refuse(code, text);
        assert_eq!(kind(answer).await, Err(expected));
    }
}

#[tokio::test(start_paused = true)]
async fn suspects_are_sent_one_at_a_time_until_the_culprit_is_found() {
    let (stage, first) = open().await;
    let mut answers = stage.publish_all(&["a", "bad", "b"]);
    settle().await;
    first.refuse(406, SUSPICIOUS);
    settle().await;
    answers.push(stage.publish("c"));
    let second = stage.open(0);
    settle().await;
    assert_eq!(second.sent(), ["a"]);
    second.confirm(0);
    settle().await;
    assert_eq!(second.sent(), ["a", "bad"]);
    second.refuse(406, SUSPICIOUS);
    assert_eq!(kind(answers.remove(1)).await, Err(ErrorKind::Misuse));

    let third = stage.open(0);
    settle().await;
    assert_eq!(third.sent(), ["b"]);
    third.confirm(0);
    settle().await;
    assert_eq!(third.sent(), ["b", "c"]);
    third.confirm(1);
    for answer in answers {
        assert_eq!(kind(answer).await, Ok(()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_payload_beyond_the_limit_is_refused_and_the_limit_remembered() {
    let (stage, first) = open().await;
    let mut answers = stage.publish_all(&["a#12", "large#1234", "b#123"]);
    settle().await;
    first.refuse(406, "message size 4 is larger than max size 3");
    assert_eq!(kind(answers.remove(1)).await, Err(ErrorKind::Misuse));
    let second = stage.open(0);
    let large = stage.publish("large#1234");
    assert_eq!(kind(large).await, Err(ErrorKind::Misuse));
    assert_eq!(second.sent(), ["a", "b"]);
    // Another connection may lead to a broker that takes more.
    second.end();
    let third = stage.open(1);
    let _large = stage.publish("large#1234");
    settle().await;
    assert_eq!(third.sent(), ["a", "b", "large"]);
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_was_closed_by_an_operator_is_nobodys_fault() {
    let (stage, first) = open().await;
    let _answers = stage.publish_all(&["a", "b"]);
    settle().await;
    first.refuse(320, "CONNECTION_FORCED - goodbye");
    let second = stage.open(1);
    settle().await;
    assert_eq!(second.sent(), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn a_channel_of_which_one_publish_knows_that_it_is_dead_is_left_after_a_while() {
    let (stage, first) = open().await;
    let _answers = stage.publish_all(&["a", "b"]);
    settle().await;
    first.answer(1, Verdict::Lost(Loss::Gone("closing".to_owned())));
    let second = stage.open(0);
    settle().await;
    assert!(second.sent().is_empty(), "the other may still be answered");
    advance(SECOND).await;
    settle().await;
    assert_eq!(second.sent(), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn on_a_precious_channel_an_exchange_is_probed_before_its_first_publish() {
    let stage = stage();
    let line = stage.open_as(0, true);
    let mut answers = stage.publish_all(&["gone/1", "queue", "there/1", "there/2"]);
    settle().await;
    assert_eq!(line.sent(), ["queue"]);
    assert_eq!(line.probed(), ["gone/1", "there/1"]);
    line.answer_probe(0, Verdict::Lost(refused(404, MISSING)));
    line.answer_probe(1, Verdict::Welcome);
    assert_eq!(kind(answers.remove(0)).await, Err(ErrorKind::NotFound));
    settle().await;
    answers.push(stage.publish("there/3"));
    settle().await;
    assert_eq!(line.sent(), ["queue", "there/1", "there/2", "there/3"]);
    // The return of the first comes with the confirm of another.
    line.confirm_returning(0, 1);
    line.confirm(1);
    let kinds = [kind(answers.remove(0)).await, kind(answers.remove(0)).await];
    assert_eq!(kinds, [Ok(()), Err(ErrorKind::Unroutable)]);
}

#[tokio::test(start_paused = true)]
async fn what_was_only_asked_about_on_a_precious_channel_was_not_sent() {
    let mut stage = stage();
    let line = stage.open_as(0, true);
    let answer = stage.publish("there/1");
    settle().await;
    assert_eq!(line.probed(), ["there/1"]);
    stage.close();
    line.end();
    assert_eq!(kind(answer).await, Err(ErrorKind::Closed));
}

#[tokio::test(start_paused = true)]
async fn a_crash_of_the_broker_is_nobodys_fault() {
    let (stage, first) = open().await;
    let answer = stage.publish("a");
    settle().await;
    first.refuse(541, CRASH);
    let second = stage.open(1);
    settle().await;
    assert_eq!(second.sent(), ["a"]);
    second.confirm(0);
    assert_eq!(kind(answer).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_publish_that_makes_the_broker_crash_again_and_again_is_found_and_given_up() {
    let (stage, mut line) = open().await;
    let mut answers = stage.publish_all(&["good", "bad"]);
    settle().await;
    for generation in 1..3 {
        line.refuse(541, CRASH);
        line = stage.open(generation);
        settle().await;
    }
    assert_eq!(line.sent(), ["good"], "they are sent alone by now");
    line.confirm(0);
    assert_eq!(kind(answers.remove(0)).await, Ok(()));
    settle().await;
    line.refuse(541, CRASH);
    assert_eq!(kind(answers.remove(0)).await, Err(ErrorKind::Unconfirmed));
    let last = stage.open(3);
    settle().await;
    assert!(last.sent().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_direct_reply_under_which_the_broker_crashes_flies_alone_and_once() {
    let (stage, first) = open().await;
    let mut answers = stage.publish_all(&["good", "amq.rabbitmq.reply-to.bad"]);
    settle().await;
    first.refuse(541, CRASH);
    let second = stage.open(1);
    settle().await;
    assert_eq!(second.sent(), ["good"]);
    second.confirm(0);
    assert_eq!(kind(answers.remove(0)).await, Ok(()));
    settle().await;
    assert_eq!(second.sent(), ["good", "amq.rabbitmq.reply-to.bad"]);
    second.refuse(541, CRASH);
    assert_eq!(kind(answers.remove(0)).await, Err(ErrorKind::NotFound));
    let third = stage.open(2);
    settle().await;
    assert!(third.sent().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_crash_under_a_probe_is_not_the_fault_of_the_probe() {
    let (stage, first) = open().await;
    let answer = stage.publish("gone/0");
    settle().await;
    first.refuse(404, MISSING);
    assert_eq!(kind(answer).await, Err(ErrorKind::NotFound));
    let second = stage.open(0);
    let answer = stage.publish("gone/1");
    settle().await;
    for index in 0..3 {
        assert_eq!(second.probed().len(), index + 1);
        second.answer_probe(index, Verdict::Lost(refused(541, CRASH)));
        settle().await;
        advance(SECOND).await;
        settle().await;
    }
    assert_eq!(kind(answer).await, Err(ErrorKind::Unconfirmed));
    assert_eq!(second.probed().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_written_is_refused_without_being_sent() {
    let (stage, line) = open().await;
    let long = format!("x/{}", "k".repeat(256));
    assert_eq!(kind(stage.publish(&long)).await, Err(ErrorKind::Misuse));
    assert!(line.sent().is_empty());
    let answer = stage.publishing.publish(call("a"));
    settle().await;
    let unwritable = Error::new(ErrorKind::Misuse, "a header");
    line.answer(0, Verdict::Unwritable(unwritable));
    assert_eq!(kind(answer).await, Err(ErrorKind::Misuse));
}
