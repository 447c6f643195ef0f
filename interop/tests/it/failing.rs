//! Handlers that fail as planned: how often they are called, and what the messages say about it.

use serde_json::{Value, json};
use tidings::{Address, Call, Deadline, Envelope, Headers};

use crate::bed::{AUDIT, At, Bed, KEY, MAIL, PATIENCE, QUEUE, STORE, USER_CREATED, on_each_broker};

on_each_broker![
    recovers_after_two_failures,
    becomes_a_dead_letter_after_the_last_attempt,
    without_retries_the_first_failure_is_the_last,
    subscribers_fail_independently,
    the_store_fails_by_itself,
    a_store_without_retries_keeps_what_failed,
    commands_reach_their_handler_and_the_store_once,
    foreign_headers_cost_no_message,
    poison_becomes_a_dead_letter_with_its_reason,
    consumers_share_the_work,
];

const QUICK: &[&str] = &["--retry-ttl", "40", "--main-ttl", "0"];

async fn bed(at: At) -> Bed {
    let bed = Bed::configured(&at, QUICK).await;
    let published = bed.publish(&[USER_CREATED]).await;
    assert_eq!(published.code, Some(0), "{published:?}");
    assert_eq!(published.lines[0]["routing_key"], KEY);
    bed
}

/// One message, a plan for one subscriber, and what becomes of it.
async fn check(
    at: At,
    subscriber: &str,
    max: &str,
    plan: &str,
    acts: &str,
    counts: &[Option<i64>],
) -> Bed {
    let bed = bed(at).await;
    let plan = json!({ subscriber: plan }).to_string();
    let options = ["--only", subscriber, "--max-retries", max, "--plan", &plan];
    let ran = bed.consume(&options, acts.len()).await;
    assert_eq!(ran.acts(subscriber), (acts.to_owned(), counts.to_vec()));
    bed
}

async fn recovers_after_two_failures(at: At) {
    let bed = check(at, MAIL, "5", "FFS", "FFS", &[None, Some(1), Some(2)]).await;
    let others = [(format!("{KEY}.{AUDIT}"), 1), ("store".to_owned(), 1)];
    assert_eq!(bed.waiting().await, others, "nothing is left behind");
}

async fn becomes_a_dead_letter_after_the_last_attempt(at: At) {
    let bed = check(at, MAIL, "2", "F", "FFF", &[None, Some(1), Some(2)]).await;
    let dead = bed.take(&format!("dead_letter.{QUEUE}"), 1).await;
    let headers = &dead[0].headers;
    assert_eq!(headers.text("queue"), Some(QUEUE));
    assert_eq!(headers.int("redelivery_count"), Some(3));
    assert_eq!(headers.text("tidings-reason"), Some("max_retries"));
    assert_eq!(headers.text("tidings-subscriber"), Some(MAIL));
    assert!(
        headers.get("x-death").is_some(),
        "it has waited for its retries"
    );
    let stored = bed.take("store", 1).await;
    assert_eq!(dead[0].payload.bytes, stored[0].payload.bytes, "same bytes");
    assert!(
        stored[0].headers.is_empty(),
        "a fresh message has no headers"
    );
}

async fn without_retries_the_first_failure_is_the_last(at: At) {
    let bed = check(at, MAIL, "0", "F", "F", &[None]).await;
    let dead = bed.take(&format!("dead_letter.{QUEUE}"), 1).await;
    assert_eq!(dead[0].headers.int("redelivery_count"), Some(1));
    assert_eq!(dead[0].headers.text("queue"), Some(QUEUE));
}

async fn subscribers_fail_independently(at: At) {
    let bed = bed(at).await;
    let plan = json!({ MAIL: "FFFS", AUDIT: "FS" }).to_string();
    let ran = bed.consume(&["--plan", &plan], 7).await;
    assert_eq!(ran.acts(MAIL).0, "FFFS");
    assert_eq!(ran.acts(AUDIT).0, "FS");
    assert_eq!(ran.acts(STORE).0, "S");
    assert_eq!(bed.waiting().await, []);
}

async fn the_store_fails_by_itself(at: At) {
    let bed = bed(at).await;
    let plan = json!({ STORE: "F" }).to_string();
    let ran = bed
        .consume(&["--plan", &plan, "--max-retries", "1"], 4)
        .await;
    assert_eq!(ran.acts(STORE), ("FF".to_owned(), vec![None, Some(1)]));
    assert_eq!(ran.acts(MAIL).0, "S");
    assert_eq!(ran.acts(AUDIT).0, "S");
    let dead = bed.take("dead_letter.store", 1).await;
    assert_eq!(dead[0].headers.int("redelivery_count"), Some(2));
    let queue = format!("{KEY}.{STORE}");
    assert_eq!(dead[0].headers.text("queue"), Some(&*queue));
}

async fn a_store_without_retries_keeps_what_failed(at: At) {
    let bed = check(at, STORE, "0", "F", "F", &[None]).await;
    let dead = bed.take("dead_letter.store", 1).await;
    assert_eq!(dead[0].headers.int("redelivery_count"), Some(1));
}

async fn commands_reach_their_handler_and_the_store_once(at: At) {
    let bed = Bed::configured(&at, QUICK).await;
    let line = r#"{"type": "command", "name": "persist.user", "attributes": {"name": "Ñandú"}}"#;
    let sent = bed.publish(&[line]).await;
    let key = "petacc.registration.1.command.persist_user";
    assert_eq!(sent.lines[0]["routing_key"], key);
    let plan = r#"{"persist_user_handler": "FS"}"#;
    let ran = bed.consume(&["--plan", plan], 3).await;
    assert_eq!(ran.acts("persist_user_handler").0, "FS");
    assert_eq!(ran.acts(STORE).0, "S");
    for call in ran.calls() {
        assert_eq!(call["format"], sent.lines[0]["format"]);
        assert_eq!(call["format"]["data"]["type_message"], "command");
    }
    assert_eq!(bed.waiting().await, []);
}

async fn foreign_headers_cost_no_message(at: At) {
    let bed = bed(at).await;
    let body = bed.take("store", 1).await.remove(0);
    let foreign = Headers::new().with("traceparent", "00-1-2-03");
    let call = Call::new(
        Address::new("petacc.registration", KEY),
        body.with_headers(foreign),
    );
    bed.inject([call]).await;
    let plan = json!({ MAIL: "FFSS" }).to_string();
    let ran = bed.consume(&["--only", MAIL, "--plan", &plan], 4).await;
    assert_eq!(ran.acts(MAIL).0, "FFSS");
    let ran = bed
        .consume(&["--only", AUDIT, "--max-retries", "0"], 2)
        .await;
    assert_eq!(ran.acts(AUDIT).0, "SS");
    assert_eq!(bed.waiting().await, [("store".to_owned(), 1)]);
}

async fn poison_becomes_a_dead_letter_with_its_reason(at: At) {
    let bed = Bed::configured(&at, QUICK).await;
    let poison = |body: &str| Call::new(Address::queue(QUEUE), Envelope::new(body.to_owned()));
    bed.inject([
        poison("{"),
        poison("{}"),
        poison(r#"{"data": {"attributes": {"ok": 1}}}"#),
    ])
    .await;
    let ran = bed.consume(&["--only", MAIL], 1).await;
    let format: &Value = &ran.calls()[0]["format"]["data"];
    assert_eq!(format["attributes"], json!({"ok": 1}));
    assert_eq!(format["type"], "None");
    let dead = bed.take(&format!("dead_letter.{QUEUE}"), 2).await;
    for letter in dead {
        assert_eq!(letter.headers.text("tidings-reason"), Some("undecodable"));
        assert!(
            letter
                .headers
                .text("tidings-error")
                .unwrap()
                .contains("expected")
        );
    }
}

async fn consumers_share_the_work(at: At) {
    let bed = Bed::configured(&at, QUICK).await;
    // This process owns the file throughout: a change of owner repeats what others have under way.
    let owner = bed.open().await;
    let options = ["--only", MAIL];
    let [one, two] = [bed.consumer(&options).await, bed.consumer(&options).await];
    let published = bed.publish(&[USER_CREATED; 60]).await;
    assert_eq!(published.lines.len(), 60);
    let mut seen = Vec::new();
    for mut role in [one, two] {
        // Each gets its turn, so each has at least one call to show.
        seen.push(role.line().await.unwrap()["format"]["data"]["id"].clone());
        role.terminate().await;
        let ran = role.end().await;
        assert_eq!(ran.code, Some(0));
        let (summary, calls) = ran.lines.split_last().unwrap();
        assert_eq!(summary["total"], calls.len() + 1);
        seen.extend(
            calls
                .iter()
                .map(|call| call["format"]["data"]["id"].clone()),
        );
    }
    let rest = 60 - seen.len();
    let ran = bed.consume(&["--only", MAIL], rest).await;
    seen.extend(
        ran.calls()
            .iter()
            .map(|call| call["format"]["data"]["id"].clone()),
    );
    let published: Vec<_> = published
        .lines
        .iter()
        .map(|line| line["format"]["data"]["id"].clone())
        .collect();
    assert!(published.iter().all(|id| seen.contains(id)), "none is lost");
    assert_eq!(seen.len(), 60, "and none is handled twice");
    owner.close(Deadline::after(PATIENCE)).await.unwrap();
}
