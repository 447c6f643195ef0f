//! Who waits for a key waits in line, holds no lane, and not for ever.

use serde_json::json;
use tokio::time::{Instant, advance};

use crate::rig::{Rig, SECOND};

const LATE: &str = "the request waited too long";

#[tokio::test(start_paused = true)]
async fn requests_with_one_key_are_first_come_first_served_beside_others() {
    let mut rig = Rig::new().await;
    let _running = rig.server().start(rig.router()).await.unwrap();
    for number in 0..10 {
        rig.work("a", number).await;
    }
    assert_eq!(rig.begun().await, "work a0");
    // Nine wait, and one of the two lanes is free.
    rig.work("b", 10).await;
    assert_eq!(rig.begun().await, "work b10");
    rig.go(11);
    for number in 1..10 {
        assert_eq!(rig.begun().await, format!("work a{number}"));
    }
    rig.depth(0).await;
}

#[tokio::test(start_paused = true)]
async fn a_contract_without_a_lock_member_is_one_key_and_not_that_of_others() {
    let mut rig = Rig::new().await;
    let _running = rig.server().start(rig.router()).await.unwrap();
    rig.ask("count", json!({"number": 1})).await;
    rig.ask("count", json!({"number": 2})).await;
    rig.work("1", 3).await;
    assert_eq!(rig.begun().await, "count 1");
    assert_eq!(rig.begun().await, "work 13");
    assert_eq!(rig.begun_already(), None, "the second count waits");
    rig.go(3);
    assert_eq!(rig.begun().await, "count 2");
    rig.depth(0).await;
}

#[tokio::test(start_paused = true)]
async fn who_has_waited_longer_than_the_servers_patience_is_answered_though_all_lanes_are_busy() {
    let mut rig = Rig::new().await;
    let server = rig.server().concurrency(1).lock_wait(5 * SECOND);
    let _running = server.start(rig.router()).await.unwrap();
    let start = Instant::now();
    rig.work("a", 1).await;
    assert_eq!(rig.begun().await, "work a1");
    rig.work("a", 2).await;
    let (id, message) = rig.told().await;
    assert_eq!(id, "2");
    assert!(message.starts_with(LATE), "{message}");
    assert_eq!(start.elapsed().as_secs(), 5);
    rig.go(1);
    assert_eq!(rig.told().await.1, "Worked");
    rig.depth(0).await;
    assert_eq!(rig.begun_already(), None, "what was refused is not handled");
}

#[tokio::test(start_paused = true)]
async fn what_nobody_handles_is_answered_though_all_lanes_are_busy() {
    let mut rig = Rig::new().await;
    let server = rig.server().concurrency(1);
    let server = server.serving_only(["work"], |name| format!("Nobody handles {name}"));
    let _running = server.start(rig.router()).await.unwrap();
    rig.work("a", 1).await;
    assert_eq!(rig.begun().await, "work a1");
    rig.ask("other", json!({"number": 2})).await;
    assert_eq!(
        rig.told().await,
        ("2".to_owned(), "Nobody handles other".to_owned())
    );
    rig.go(1);
    assert_eq!(rig.told().await.1, "Worked");
    rig.depth(0).await;
}

#[tokio::test(start_paused = true)]
async fn a_callers_time_counts_from_arrival_also_while_no_lane_is_free() {
    let mut rig = Rig::new().await;
    let server = rig.server().concurrency(1);
    let _running = server.start(rig.router()).await.unwrap();
    rig.work("a", 1).await;
    assert_eq!(rig.begun().await, "work a1");
    let start = Instant::now();
    let body = |number| json!({"key": "b", "number": number});
    rig.ask_for("work", body(2), Some(3 * SECOND)).await;
    rig.ask_for("work", body(3), Some(60 * SECOND)).await;
    let (id, message) = rig.told().await;
    assert_eq!(id, "2");
    assert!(message.starts_with(LATE), "{message}");
    assert_eq!(start.elapsed().as_secs(), 3);
    rig.go(2);
    assert_eq!(rig.told().await, ("1".to_owned(), "Worked".to_owned()));
    assert_eq!(rig.told().await, ("3".to_owned(), "Worked".to_owned()));
    rig.depth(0).await;
}

#[tokio::test(start_paused = true)]
async fn who_finds_no_room_is_answered_at_once() {
    let mut rig = Rig::new().await;
    let server = rig.server().waiting(2);
    let _running = server.start(rig.router()).await.unwrap();
    let start = Instant::now();
    for number in 1..=4 {
        rig.work("a", number).await;
    }
    let (id, message) = rig.told().await;
    assert_eq!(id, "4");
    assert!(message.starts_with("too many requests wait"), "{message}");
    assert_eq!(start.elapsed().as_secs(), 0);
    rig.go(3);
    for expected in ["1", "2", "3"] {
        assert_eq!(rig.told().await.0, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_does_not_fit_is_refused_without_waiting() {
    let mut rig = Rig::new().await;
    let _running = rig.server().start(rig.router()).await.unwrap();
    rig.work("a", 1).await;
    assert_eq!(rig.begun().await, "work a1");
    rig.ask("work", json!({"key": "a", "number": "two"})).await;
    assert_eq!(rig.told().await.1, "Request validation failed");
}

#[tokio::test(start_paused = true)]
async fn who_leaves_the_line_lets_the_others_pass() {
    let mut rig = Rig::new().await;
    let server = rig.server().concurrency(1);
    let _running = server.start(rig.router()).await.unwrap();
    let body = |number| json!({"key": "a", "number": number});
    for (number, seconds) in [(1, 100), (2, 10), (3, 100), (4, 20)] {
        rig.ask_for("work", body(number), Some(seconds * SECOND))
            .await;
    }
    assert_eq!(rig.begun().await, "work a1");
    assert_eq!(rig.told().await.0, "2");
    assert_eq!(rig.told().await.0, "4");
    advance(SECOND).await;
    rig.go(2);
    assert_eq!(rig.told().await, ("1".to_owned(), "Worked".to_owned()));
    assert_eq!(rig.told().await, ("3".to_owned(), "Worked".to_owned()));
}
