//! Processes that are asked to end, and processes that are killed.

use std::collections::HashSet;

use serde_json::json;

use crate::bed::{At, Bed, MAIL, QUEUE, STORE, USER_CREATED, on_each_broker};

on_each_broker![
    sigterm_drains_a_consumer,
    sigterm_ends_a_publisher_that_waits_for_input,
    a_message_comes_again_if_its_consumer_dies_while_handling_it,
    a_retry_survives_the_death_of_every_process,
    nothing_confirmed_is_lost_when_the_owner_of_the_file_is_killed,
];

const QUICK: &[&str] = &["--retry-ttl", "40", "--main-ttl", "0"];

async fn sigterm_drains_a_consumer(at: At) {
    let bed = Bed::configured(&at, QUICK).await;
    let consumer = bed.consumer(&["--expect", "5"]).await;
    consumer.terminate().await;
    let ran = consumer.end().await;
    assert_eq!(ran.code, Some(0));
    assert_eq!(ran.lines, [json!({"summary": {}, "total": 0, "ok": false})]);
}

async fn sigterm_ends_a_publisher_that_waits_for_input(at: At) {
    let bed = Bed::configured(&at, QUICK).await;
    let mut publisher = bed.start(&["publish"]);
    publisher.say(USER_CREATED).await;
    let line = publisher.line().await.unwrap();
    assert_eq!(
        line["format"]["data"]["type"], "user.created",
        "confirmed before the input ends"
    );
    publisher.terminate().await;
    let ran = publisher.end().await;
    assert_eq!((ran.code, ran.lines), (Some(0), vec![]));
}

async fn a_message_comes_again_if_its_consumer_dies_while_handling_it(at: At) {
    let bed = Bed::configured(&at, QUICK).await;
    // The handler prints the message. More than a pipe holds keeps it at work until somebody reads.
    let long = "x".repeat(300_000);
    let line =
        json!({"type": "domain_event", "name": "user.created", "attributes": {"long": long}});
    let published = bed.publish(&[&line.to_string()]).await;
    let mut consumer = bed.consumer(&["--only", MAIL]).await;
    consumer.begins_a_line().await;
    consumer.kill_9().await;
    let ran = bed.consume(&["--only", MAIL], 1).await;
    assert_eq!(ran.calls()[0]["format"], published.lines[0]["format"]);
    let waiting = bed.waiting().await;
    assert!(
        waiting.iter().all(|(queue, _)| queue != QUEUE),
        "{waiting:?}"
    );
}

async fn a_retry_survives_the_death_of_every_process(at: At) {
    let bed = Bed::configured(&at, QUICK).await;
    bed.publish(&[USER_CREATED]).await;
    let plan = json!({ MAIL: "F" }).to_string();
    let mut consumer = bed.consumer(&["--only", MAIL, "--plan", &plan]).await;
    for call in 1..=2 {
        assert_eq!(consumer.line().await.unwrap()["call"], call);
    }
    consumer.kill_9().await;
    let ran = bed.consume(&["--only", MAIL], 1).await;
    // The second failure may or may not have been counted before the end.
    let count = ran.calls()[0]["redelivery_count"].as_i64();
    assert!(matches!(count, Some(1 | 2)), "{count:?}");
}

async fn nothing_confirmed_is_lost_when_the_owner_of_the_file_is_killed(at: At) {
    let bed = Bed::configured(&at, QUICK).await;
    let mut confirmed = HashSet::new();
    let mut seen = HashSet::new();
    let mut publisher = None;
    for round in 0..3 {
        // The first to come owns the file; later it may be the publisher, which is not killed.
        let mut owner = bed.consumer(&["--only", STORE]).await;
        let publisher = publisher.get_or_insert_with(|| bed.start(&["publish"]));
        for number in 0..60 {
            publisher.say(USER_CREATED).await;
            if number == 30 + round {
                owner.kill_9().await;
            }
        }
        for _ in 0..60 {
            let line = publisher
                .line()
                .await
                .expect("it goes on without the owner");
            confirmed.insert(id(&line));
        }
        for line in owner.rest().await {
            seen.insert(id(&line));
        }
    }
    publisher.unwrap().terminate().await;
    assert_eq!(confirmed.len(), 180);
    // A subscriber that nobody consumed while others died has them all.
    let ran = bed.consume(&["--only", MAIL, "--linger", "0.2"], 180).await;
    let handled: HashSet<_> = ran.calls().iter().map(id).collect();
    assert_eq!(handled, confirmed);
    let mut last = bed.consumer(&["--only", STORE]).await;
    while !confirmed.is_subset(&seen) {
        seen.insert(id(&last.line().await.expect("the rest was handled before")));
    }
}

fn id(line: &serde_json::Value) -> String {
    line["format"]["data"]["id"].as_str().unwrap().to_owned()
}
