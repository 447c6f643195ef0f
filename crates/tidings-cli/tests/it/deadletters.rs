//! `tidings deadletters`: listed, shown, requeued, dropped; filtered, and dry.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tidings::{Headers, headers};

use crate::bed::{Bed, DEAD, MAIL, RETRY};

fn died(reason: &str, hours_ago: i64) -> Headers {
    let at = Timestamp::now() - SignedDuration::from_hours(hours_ago);
    Headers::new()
        .with(headers::REASON, reason)
        .with(headers::ERROR, "no such user")
        .with(headers::ATTEMPTS, 6)
        .with(headers::REDELIVERY_COUNT, 6)
        .with(headers::QUEUE, MAIL)
        .with(headers::LAST_FAILED_AT, at.to_string())
}

/// Three that had no attempts left, an hour ago, and two that cannot be helped, a day ago.
async fn buried(bed: &Bed) {
    bed.bury(3, died("max_retries", 1)).await;
    bed.bury(2, died("fatal", 24)).await;
}

#[tokio::test]
async fn lists_them_by_reason() {
    lists(&Bed::embedded().applied().await).await;
}

pub(crate) async fn lists(bed: &Bed) {
    bed.run(&["deadletters", "list"])
        .await
        .ok()
        .says("0 dead letters in 0 queues");
    buried(bed).await;
    let table = bed.run(&["deadletters", "list"]).await.ok();
    table
        .says(DEAD)
        .says("fatal 2, max_retries 3")
        .says("1d 0h")
        .says("5 dead letters in 1 queue");

    let list =
        |more: &[&'static str]| [&["deadletters", "list", "--output", "json"], more].concat();
    let all = bed.run(&list(&[])).await.ok().json();
    let row = &all["queues"][0];
    assert_eq!((&row["queue"], &row["messages"]), (&json!(DEAD), &json!(5)));
    assert_eq!(row["reasons"], json!({ "fatal": 2, "max_retries": 3 }));
    for (filter, selected) in [
        (&["--reason", "fatal"][..], 2),
        (&["--reason", "no-such"], 0),
        (&["--older-than", "2h"], 2),
        (&["--newer-than", "2h"], 3),
        (&["--subscriber", "mail", "--reason", "fatal"], 2),
        (&["--subscriber", "bill"], 0),
        (&["--queue", DEAD], 5),
        (&["--queue", MAIL], 0),
        (&["--look-at", "1"], 1),
    ] {
        let listed = bed.run(&list(filter)).await.ok().json();
        assert_eq!(listed["queues"][0]["selected"], selected, "{filter:?}");
    }
    let other = bed.run(&list(&["--prefix", "other."])).await.ok();
    assert_eq!(other.json()["queues"], json!([]));
    let bounded = bed
        .run(&["deadletters", "list", "--look-at", "2"])
        .await
        .ok();
    assert!(
        bounded.err.contains("3 messages not looked at"),
        "{bounded:#?}"
    );
    assert_eq!(bed.ready(DEAD).await, 5, "all were given back");
}

#[tokio::test]
async fn shows_why_and_what() {
    let bed = Bed::embedded().applied().await;
    bed.run(&["deadletters", "show"])
        .await
        .ok()
        .says("no dead letters");
    buried(&bed).await;
    let table = bed
        .run(&["deadletters", "show", "--reason", "fatal"])
        .await
        .ok();
    let table = table
        .says("1. fatal")
        .says("no such user")
        .says("{\"number\":1}")
        .says("(1d 0h ago)");
    assert!(!table.out.contains("max_retries"), "{table:#?}");
    let limited = bed.run(&["deadletters", "show", "-n", "2"]).await.ok();
    assert!(
        limited.err.contains("3 messages not looked at"),
        "{limited:#?}"
    );
    let full = ["deadletters", "show", "-n", "1", "--full"];
    bed.run(&full)
        .await
        .ok()
        .says("\"number\": 0")
        .says("tidings-attempts: 6");

    let json = ["deadletters", "show", "--output", "json"];
    let lines = bed.run(&json).await.ok().lines();
    assert_eq!(lines.len(), 5);
    assert_eq!(
        (&lines[0]["reason"], &lines[0]["attempts"]),
        (&json!("max_retries"), &json!(6))
    );
    assert_eq!(lines[0]["subscriber"], "mail");
    assert_eq!(lines[0]["message"]["payload"], json!({ "number": 0 }));
    assert_eq!(bed.ready(DEAD).await, 5);
}

#[tokio::test]
async fn requeues_as_if_they_had_never_failed() {
    requeues(&Bed::embedded().applied().await).await;
}

pub(crate) async fn requeues(bed: &Bed) {
    buried(bed).await;
    let requeue = |more: &[&'static str]| [&["deadletters", "requeue"], more].concat();
    let dry = bed
        .run(&requeue(&["--reason", "max_retries", "--dry-run"]))
        .await
        .ok();
    dry.says("would requeue 3 dead letters, kept 2");
    assert_eq!((bed.ready(DEAD).await, bed.ready(MAIL).await), (5, 0));

    let limited = bed
        .run(&requeue(&["--reason", "max_retries", "--limit", "1"]))
        .await
        .ok();
    limited.says("requeued 1 dead letter");
    let json = bed
        .run(&requeue(&["--reason", "max_retries", "--output", "json"]))
        .await
        .ok()
        .json();
    assert_eq!((&json["requeued"], &json["kept"]), (&json!(2), &json!(2)));
    assert_eq!((bed.ready(DEAD).await, bed.ready(MAIL).await), (2, 3));
    let back = bed
        .run(&["tail", MAIL, "--output", "json"])
        .await
        .ok()
        .lines();
    assert_eq!(
        back[0]["headers"],
        json!({ "queue": MAIL }),
        "nothing of the failure is left"
    );
    assert_eq!(back[0]["payload"], json!({ "number": 0 }));

    bed.run(&requeue(&["--to", "store", "--limit", "1"]))
        .await
        .ok()
        .says("requeued 1");
    assert_eq!((bed.ready(DEAD).await, bed.ready("store").await), (1, 1));
    bed.run(&requeue(&["--to", "no-such-queue"]))
        .await
        .failed(7, "no-such-queue")
        .says("requeued 0");
    assert_eq!(bed.ready(DEAD).await, 1, "what cannot be moved stays");
}

#[tokio::test]
async fn requeues_through_the_retry_exchange() {
    let bed = Bed::embedded();
    bed.topology(&["apply", "--retry-ttl", "0"]).await.ok();
    buried(&bed).await;
    bed.run(&["deadletters", "requeue", "--through-retry"])
        .await
        .ok()
        .says("requeued 5");
    assert_eq!((bed.ready(DEAD).await, bed.ready(RETRY).await), (0, 5));
    let waiting = bed
        .run(&["tail", RETRY, "--output", "json"])
        .await
        .ok()
        .lines();
    assert_eq!(waiting[0]["headers"], json!({}));
}

#[tokio::test]
async fn a_message_that_does_not_say_where_it_came_from_needs_a_queue() {
    let bed = Bed::embedded().applied().await;
    bed.run(&["publish", "", MAIL, "x"]).await.ok();
    let requeue = ["deadletters", "requeue", "--queue", MAIL];
    bed.run(&requeue).await.failed(2, "say --to QUEUE");
    bed.run(&[&requeue[..], &["--to", "store"]].concat())
        .await
        .ok()
        .says("requeued 1");
    bed.run(&["publish", "", MAIL, "x", "-H", "x-first-death-queue=store"])
        .await
        .ok();
    bed.run(&requeue).await.ok();
    assert_eq!((bed.ready(MAIL).await, bed.ready("store").await), (0, 2));
}

#[tokio::test]
async fn drops_exactly_what_was_counted() {
    drops(&Bed::embedded().applied().await).await;
}

pub(crate) async fn drops(bed: &Bed) {
    buried(bed).await;
    let drop = ["deadletters", "drop", "--reason", "fatal"];
    bed.run(&[&drop[..], &["--dry-run"]].concat())
        .await
        .ok()
        .says("would drop 2 dead letters, kept 3");
    bed.run(&drop).await.failed(2, "say --yes");
    let declined = bed.type_into(&drop, "\n").await.ended(1);
    assert!(
        declined.err.contains("Drop 2 dead letters for good?"),
        "{declined:#?}"
    );
    assert_eq!(bed.ready(DEAD).await, 5);
    bed.type_into(&drop, "y\n")
        .await
        .ok()
        .says("dropped 2 dead letters, kept 3");
    assert_eq!(bed.ready(DEAD).await, 3);
    let rest = ["deadletters", "drop", "--yes", "--output", "json"];
    assert_eq!(bed.run(&rest).await.ok().json()["dropped"], 3);
    assert_eq!(bed.ready(DEAD).await, 0);
}

#[tokio::test]
async fn a_thousand_are_no_burden() {
    thousand(&Bed::embedded().applied().await).await;
}

pub(crate) async fn thousand(bed: &Bed) {
    let reason = "tidings-reason=max_retries";
    bed.run(&["publish", "", DEAD, "{}", "--count", "1000", "-H", reason])
        .await
        .ok();
    bed.run(&["deadletters", "list"])
        .await
        .ok()
        .says("max_retries 1000");
    bed.run(&["deadletters", "requeue"])
        .await
        .ok()
        .says("requeued 1000 dead letters, kept 0");
    assert_eq!((bed.ready(DEAD).await, bed.ready(MAIL).await), (0, 1000));
}

#[tokio::test]
async fn a_crash_repeats_a_few_and_loses_none() {
    crashes(&Bed::embedded().applied().await).await;
}

pub(crate) async fn crashes(bed: &Bed) {
    const ALL: u64 = 3_000;
    bed.run(&["publish", "", DEAD, "{}", "--count", "3000"])
        .await
        .ok();
    let mut requeue = bed.start(&["deadletters", "requeue"]);
    let transport = bed.transport().await;
    while transport.queues(&[MAIL.into()]).await.unwrap()[0].ready == 0 {
        tokio::task::yield_now().await;
    }
    requeue.kill().await;
    bed.close(&*transport).await;
    // What the dead had in hand comes back a moment after it.
    bed.run(&["deadletters", "requeue"]).await.ok();
    while bed.ready(DEAD).await > 0 {
        bed.run(&["deadletters", "requeue"]).await.ok();
    }
    let back = bed.ready(MAIL).await;
    // At most what the broker may have unsettled with one consumer: where acks are not confirmed, those on their
    // way to it are lost with the process.
    assert!((ALL..=ALL + 256).contains(&back), "{back}");
}
