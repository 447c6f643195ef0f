//! Dead letters: by failure and by expiry, handled where they are, and put back.

use serde_json::json;

use crate::bed::{AUDIT, At, Bed, MAIL, QUEUE, STORE, USER_CREATED, on_each_broker};

on_each_broker![
    dead_letters_are_handled_where_they_are,
    a_failing_handler_of_dead_letters_neither_spins_nor_loses,
    a_failing_handler_of_expired_messages_neither_spins_nor_loses,
    what_nobody_takes_expires_into_the_dead_letters,
    what_expired_comes_back_when_it_is_requeued,
    requeued_messages_have_all_their_attempts_again,
    only_what_is_there_is_requeued_however_fast_it_fails_again,
    the_store_is_requeued_through_its_own_exchange,
    a_key_that_leads_nowhere_loses_nothing,
];

const QUICK: &[&str] = &["--retry-ttl", "40", "--main-ttl", "0"];
/// Soon in the dead letters, if nobody takes it.
const SHORT: &[&str] = &["--retry-ttl", "40", "--main-ttl", "30"];

/// With so many dead letters of `MAIL` that have failed once.
async fn dead(at: At, count: usize) -> Bed {
    let bed = Bed::configured(&at, QUICK).await;
    bed.publish(&vec![USER_CREATED; count]).await;
    let plan = json!({ MAIL: "F" }).to_string();
    let options = ["--only", MAIL, "--max-retries", "0", "--plan", &plan];
    bed.consume(&options, count).await.calls();
    bed
}

async fn requeue(bed: &Bed) -> crate::bed::Ran {
    let (from, key) = (format!("dead_letter.{QUEUE}"), format!("retry.{QUEUE}"));
    bed.run(&["requeue", "--queue", &from, "--retry-routing-key", &key])
        .await
}

async fn dead_letters_are_handled_where_they_are(at: At) {
    let bed = dead(at, 2).await;
    let ran = bed.consume(&["--dead-letter"], 2).await;
    assert_eq!(ran.acts(MAIL), ("SS".to_owned(), vec![Some(1), Some(1)]));
    let queues = ran.lines[0]["ready"].as_array().unwrap();
    assert!(queues.contains(&json!(format!("dead_letter.{QUEUE}"))));
    assert!(queues.contains(&json!("dead_letter.store")));
    let left = bed.waiting().await;
    assert!(
        left.iter()
            .all(|(queue, _)| !queue.starts_with("dead_letter.")),
        "{left:?}"
    );
}

async fn a_failing_handler_of_dead_letters_neither_spins_nor_loses(at: At) {
    let bed = dead(at, 1).await;
    let plan = json!({ MAIL: "F" }).to_string();
    let options = ["--dead-letter", "--plan", &plan, "--linger", "0.3"];
    let ran = bed.consume(&options, 1).await;
    assert_eq!(
        ran.acts(MAIL),
        ("F".to_owned(), vec![Some(1)]),
        "once, not in a loop"
    );
    let ran = bed.consume(&["--dead-letter"], 1).await;
    assert_eq!(ran.acts(MAIL), ("S".to_owned(), vec![Some(1)]));
}

/// It has never failed, so nothing counts how often it has.
async fn a_failing_handler_of_expired_messages_neither_spins_nor_loses(at: At) {
    let bed = Bed::configured(&at, SHORT).await;
    bed.publish(&[USER_CREATED]).await;
    let plan = json!({ MAIL: "F" }).to_string();
    let options = ["--dead-letter", "--only", MAIL, "--plan", &plan];
    let ran = bed.consume(&options, 1).await;
    assert_eq!(ran.acts(MAIL), ("F".to_owned(), vec![None]));
    let ran = bed.consume(&["--dead-letter", "--only", MAIL], 1).await;
    assert_eq!(ran.acts(MAIL), ("S".to_owned(), vec![None]));
}

async fn what_nobody_takes_expires_into_the_dead_letters(at: At) {
    let bed = Bed::configured(&at, SHORT).await;
    bed.publish(&[USER_CREATED]).await;
    let ran = bed.consume(&["--dead-letter"], 3).await;
    for subscriber in [MAIL, AUDIT, STORE] {
        assert_eq!(ran.acts(subscriber), ("S".to_owned(), vec![None]));
    }
}

async fn what_expired_comes_back_when_it_is_requeued(at: At) {
    let bed = Bed::configured(&at, SHORT).await;
    bed.publish(&[USER_CREATED]).await;
    let dead = format!("dead_letter.{QUEUE}");
    let letter = bed.take(&dead, 1).await.remove(0);
    assert!(letter.headers.get("x-death").is_some());
    bed.inject([tidings::Call::new(tidings::Address::queue(dead), letter)])
        .await;
    let mut consumer = bed.consumer(&["--only", MAIL]).await;
    requeue(&bed).await.printed(json!({"requeued": 1}));
    let call = consumer.line().await.unwrap();
    assert_eq!(call["redelivery_count"], json!(null));
    consumer.terminate().await;
    assert_eq!(consumer.end().await.code, Some(0));
}

async fn requeued_messages_have_all_their_attempts_again(at: At) {
    let bed = dead(at, 1).await;
    requeue(&bed).await.printed(json!({"requeued": 1}));
    requeue(&bed).await.printed(json!({"requeued": 0}));
    let plan = json!({ MAIL: "F" }).to_string();
    let options = ["--only", MAIL, "--max-retries", "2", "--plan", &plan];
    let ran = bed.consume(&options, 3).await;
    let counts = vec![None, Some(1), Some(2)];
    assert_eq!(ran.acts(MAIL), ("FFF".to_owned(), counts));
    let letter = bed.take(&format!("dead_letter.{QUEUE}"), 1).await;
    assert_eq!(letter[0].headers.int("redelivery_count"), Some(3));
}

async fn only_what_is_there_is_requeued_however_fast_it_fails_again(at: At) {
    let bed = dead(at, 3).await;
    let plan = json!({ MAIL: "F" }).to_string();
    let options = ["--only", MAIL, "--max-retries", "0", "--plan", &plan];
    let mut consumer = bed.consumer(&options).await;
    requeue(&bed).await.printed(json!({"requeued": 3}));
    for _ in 0..3 {
        assert_eq!(consumer.line().await.unwrap()["act"], "F");
    }
    consumer.terminate().await;
    let ran = consumer.end().await;
    assert_eq!((ran.code, &ran.lines[0]["total"]), (Some(0), &json!(3)));
    requeue(&bed).await.printed(json!({"requeued": 3}));
}

async fn the_store_is_requeued_through_its_own_exchange(at: At) {
    let bed = Bed::configured(&at, QUICK).await;
    bed.publish(&[USER_CREATED]).await;
    let plan = json!({ STORE: "F" }).to_string();
    let options = ["--only", STORE, "--max-retries", "0", "--plan", &plan];
    bed.consume(&options, 1).await.calls();
    let arguments = [
        "--queue",
        "dead_letter.store",
        "--retry-routing-key",
        "retry.store",
    ];
    let arguments = [
        &["requeue"],
        &arguments[..],
        &["--retry-exchange", "retry.petacc.store"],
    ];
    bed.run(&arguments.concat())
        .await
        .printed(json!({"requeued": 1}));
    let ran = bed.consume(&["--only", STORE], 1).await;
    assert_eq!(ran.acts(STORE), ("S".to_owned(), vec![None]));
    assert!(
        bed.waiting()
            .await
            .iter()
            .all(|(queue, _)| !queue.contains("store"))
    );
}

async fn a_key_that_leads_nowhere_loses_nothing(at: At) {
    let bed = dead(at, 2).await;
    let from = format!("dead_letter.{QUEUE}");
    let nowhere = [
        "requeue",
        "--queue",
        &from,
        "--retry-routing-key",
        "retry.nowhere",
    ];
    bed.run(&nowhere)
        .await
        .refused("no queue would receive `retry.petacc.registration/retry.nowhere`");
    requeue(&bed).await.printed(json!({"requeued": 2}));
}
