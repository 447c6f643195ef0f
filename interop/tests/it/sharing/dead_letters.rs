//! Dead letters of both: handled where they are, and sent back.

use serde_json::json;

use super::{DEAD_LETTER_EXCHANGE, QUICK, RETRY_EXCHANGE, STORE_RETRY_EXCHANGE, Shared};
use crate::bed::{AUDIT, KEY, MAIL, QUEUE, STORE, USER_CREATED};

/// Soon in the dead letters, if nobody takes it.
const SHORT: &[&str] = &["--retry-ttl", "60", "--main-ttl", "40"];

pub(super) async fn all(shared: &mut Shared) {
    what_expired_comes_back_to_petisco(shared).await;
    what_failed_comes_back_to_petisco(shared).await;
    the_store_comes_back_to_petisco(shared).await;
    petisco_handles_our_dead_letters(shared).await;
    failing_handlers_of_dead_letters_neither_spin_nor_lose(shared).await;
}

async fn requeue(shared: &Shared, count: usize) {
    let (from, key) = (format!("dead_letter.{QUEUE}"), format!("retry.{QUEUE}"));
    let arguments = ["requeue", "--queue", &from, "--retry-routing-key", &key];
    let ran = shared.ours.run(&arguments).await;
    assert_eq!(ran.printed(json!({"requeued": count})).code, Some(0));
}

/// With the headers of its expiry the broker would drop it at the end of the retry's TTL (trap T3).
async fn what_expired_comes_back_to_petisco(shared: &mut Shared) {
    shared
        .begin_configured("what expired comes back to petisco", SHORT)
        .await;
    shared.desk.publish(&[USER_CREATED]).await;
    let dead = format!("dead_letter.{QUEUE}");
    let others = format!("dead_letter.{KEY}.{AUDIT}");
    let expired = [(&*dead, 1), (&*others, 1), ("dead_letter.store", 1)];
    shared.desk.sees_waiting(&expired).await;
    comes_back(shared).await;
}

async fn what_failed_comes_back_to_petisco(shared: &mut Shared) {
    shared
        .begin_configured("what failed comes back to petisco", QUICK)
        .await;
    shared.desk.publish(&[USER_CREATED]).await;
    fail(shared, MAIL, &["--max-retries", "0"], 1).await;
    comes_back(shared).await;
}

/// Requeues the only dead letter: petisco gets it, with all its attempts.
async fn comes_back(shared: &mut Shared) {
    shared.desk.tap(&[RETRY_EXCHANGE]).await;
    let options = json!({"only": [MAIL], "plan": {MAIL: "FS"}});
    let mut theirs = shared.theirs(options).await;
    requeue(shared, 1).await;
    for act in ["F", "S"] {
        assert_eq!(theirs.line().await.unwrap()["act"], act);
    }
    let copies = shared.desk.tapped(2).await;
    let bare = json!({"delivery_mode": 2});
    assert_eq!(copies[0]["properties"], bare, "nothing of its past is left");
    assert_eq!(copies[1]["properties"]["headers"]["redelivery_count"], 1);
    requeue(shared, 0).await;
}

async fn the_store_comes_back_to_petisco(shared: &mut Shared) {
    shared
        .begin_configured("the store comes back to petisco", QUICK)
        .await;
    shared.desk.publish(&[USER_CREATED]).await;
    fail(shared, STORE, &["--max-retries", "0"], 1).await;
    let queues = [
        "--queue",
        "dead_letter.store",
        "--retry-routing-key",
        "retry.store",
    ];
    let exchange = ["--retry-exchange", STORE_RETRY_EXCHANGE];
    let ran = shared
        .ours
        .run(&[&["requeue"], &queues[..], &exchange].concat())
        .await;
    assert_eq!(ran.printed(json!({"requeued": 1})).code, Some(0));
    let mut theirs = shared.theirs(json!({"only": [STORE]})).await;
    assert_eq!(theirs.line().await.unwrap()["act"], "S");
}

async fn petisco_handles_our_dead_letters(shared: &mut Shared) {
    shared
        .begin_configured("petisco handles our dead letters", QUICK)
        .await;
    let sent = shared.desk.publish(&[USER_CREATED]).await;
    fail(shared, MAIL, &["--max-retries", "0"], 1).await;
    let mut theirs = shared
        .theirs(json!({"only": [MAIL], "dead_letter": true}))
        .await;
    assert_eq!(theirs.line().await.unwrap()["format"], sent[0]);
    let audit = format!("{KEY}.{AUDIT}");
    shared
        .desk
        .sees_waiting(&[(&*audit, 1), ("store", 1)])
        .await;
}

/// Whatever a dead letter says about its past: counted (trap T4), expired (T3) or nothing at all (T5).
async fn failing_handlers_of_dead_letters_neither_spin_nor_lose(shared: &mut Shared) {
    shared
        .begin_configured(
            "failing handlers of dead letters neither spin nor lose",
            SHORT,
        )
        .await;
    let (dead, pause) = (
        format!("dead_letter.{QUEUE}"),
        format!("retry.dead_letter.{QUEUE}"),
    );
    let mut theirs = shared
        .theirs(json!({"only": [MAIL], "max_retries": 0, "plan": {MAIL: "F"}}))
        .await;
    shared.desk.publish(&[USER_CREATED]).await;
    assert_eq!(theirs.line().await.unwrap()["act"], "F");
    let others = format!("dead_letter.{KEY}.{AUDIT}");
    let letters = [(&*dead, 1), (&*others, 1), ("dead_letter.store", 1)];
    shared.desk.sees_waiting(&letters).await;
    drop(theirs);
    shared.desk.publish(&[USER_CREATED]).await;
    let body =
        r#"{"data": {"id": "5cbf63c8-8ff7-44d0-a3a5-8c4e0ec3cf86", "type": "user.created"}}"#;
    let bare = json!({"exchange": DEAD_LETTER_EXCHANGE, "routing_key": dead, "body": body});
    shared.desk.ask("put", bare).await;
    let letters = [(&*dead, 3), (&*others, 2), ("dead_letter.store", 2)];
    shared.desk.sees_waiting(&letters).await;
    fail(shared, MAIL, &["--dead-letter", "--linger", "0.5"], 3).await;
    let letters = [(&*pause, 3), (&*others, 2), ("dead_letter.store", 2)];
    shared.desk.sees_waiting(&letters).await;
}

/// Has a handler of ours fail exactly so many times.
async fn fail(shared: &Shared, subscriber: &str, options: &[&str], times: usize) {
    let plan = json!({ subscriber: "F" }).to_string();
    let fixed = ["--only", subscriber, "--plan", &plan];
    let ran = shared
        .ours
        .consume(&[&fixed, options].concat(), times)
        .await;
    assert_eq!(ran.acts(subscriber).0, "F".repeat(times));
}
