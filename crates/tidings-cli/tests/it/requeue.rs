//! `tidings requeue`: the options of existing scripts, and what they get.

use serde_json::json;

use crate::bed::{Bed, DEAD, MAIL, RETRY};

const SCRIPT: [&str; 10] = [
    "requeue", "-rq", "-o", "acme", "-s", "shop", "-cq", DEAD, "-rrk", RETRY,
];

/// A broker whose retry queue keeps what it gets.
async fn bed() -> Bed {
    let bed = Bed::embedded();
    prepare(&bed).await;
    bed
}

async fn prepare(bed: &Bed) {
    bed.topology(&["apply", "--retry-ttl", "0"]).await.ok();
    let dead = [
        "publish",
        "",
        DEAD,
        "{ \"a\" : 1 }",
        "-H",
        "redelivery_count:=6",
        "-n",
        "3",
    ];
    bed.run(&dead).await.ok();
}

fn with(more: &[&'static str]) -> Vec<&'static str> {
    [&SCRIPT[..], more].concat()
}

#[tokio::test]
async fn empties_the_queue_and_ends() {
    empties(&Bed::embedded()).await;
}

pub(crate) async fn empties(bed: &Bed) {
    prepare(bed).await;
    let dry = bed.run(&with(&["--until-empty", "--dry-run"])).await.ok();
    dry.says("would requeue 3 messages");
    let limited = bed.run(&with(&["--limit", "1"])).await.ok();
    limited.says("requeued 1 message");
    assert_eq!((bed.ready(DEAD).await, bed.ready(RETRY).await), (2, 1));
    let json = bed
        .run(&with(&[
            "--until-empty",
            "--output",
            "json",
            "-wtr",
            "0.01",
        ]))
        .await;
    let expected = json!({ "dry_run": false, "requeued": 2, "queue": DEAD, "exchange": "retry.acme.shop", "key": RETRY });
    assert_eq!(json.ok().json(), expected);
    assert_eq!((bed.ready(DEAD).await, bed.ready(RETRY).await), (0, 3));
    let lines = bed
        .run(&["tail", RETRY, "--output", "json"])
        .await
        .ok()
        .lines();
    assert_eq!(
        (&lines[0]["headers"], &lines[0]["size"]),
        (&json!({}), &json!(11))
    );
}

#[tokio::test]
async fn what_had_expired_comes_back() {
    comes_back(&Bed::embedded()).await;
}

/// The broker drops a message that dies again for the same reason, unless its history was taken off.
pub(crate) async fn comes_back(bed: &Bed) {
    bed.topology(&["apply", "--retry-ttl", "50"]).await.ok();
    bed.run(&["publish", "", MAIL, "{}", "--expiration", "20"])
        .await
        .ok();
    bed.until_ready(DEAD, 1).await;
    bed.run(&["deadletters", "list"])
        .await
        .ok()
        .says("expired 1");
    bed.run(&with(&["--until-empty"]))
        .await
        .ok()
        .says("requeued 1 message");
    bed.until_ready(MAIL, 1).await;
    assert_eq!(bed.ready(DEAD).await, 0);
}

#[tokio::test]
async fn runs_until_it_is_interrupted() {
    let bed = bed().await;
    let mut requeue = bed.start(&with(&["--output", "json"]));
    bed.until_ready(RETRY, 3).await;
    assert_eq!(requeue.interrupt().await, Some(0));
}

#[tokio::test]
async fn waits_before_each_message() {
    let bed = bed().await;
    // Longer than the test may take: none is moved before the interrupt, and all are there after it.
    let mut requeue = bed.start(&with(&["-wtr", "3600", "--output", "json"]));
    let transport = bed.transport().await;
    while transport.queues(&[DEAD.into()]).await.unwrap()[0].ready == 3 {
        tokio::task::yield_now().await;
    }
    bed.close(&*transport).await;
    assert_eq!(requeue.interrupt().await, Some(0));
    assert_eq!((bed.ready(DEAD).await, bed.ready(RETRY).await), (3, 0));
}

#[tokio::test]
async fn what_cannot_be_moved_stays_and_the_exit_code_says_so() {
    stays(&Bed::embedded()).await;
}

pub(crate) async fn stays(bed: &Bed) {
    prepare(bed).await;
    let mut wrong = with(&["--until-empty"]);
    wrong[9] = "no.such.key";
    let unroutable = bed.run(&wrong).await.failed(7, "no.such.key");
    unroutable.says("requeued 0 messages");
    let elsewhere = with(&["--until-empty", "-ren", "no-such-exchange"]);
    bed.run(&elsewhere).await.failed(6, "no-such-exchange");
    assert_eq!(bed.ready(DEAD).await, 3);
}

#[tokio::test]
async fn a_missing_option_is_wrong_usage() {
    let bed = bed().await;
    for (missing, name) in [
        (4, "--service"),
        (6, "--consuming-queue"),
        (8, "--retry-routing-key"),
    ] {
        let mut script = SCRIPT.to_vec();
        script.drain(missing..missing + 2);
        let ran = bed.run(&script).await.ended(2);
        assert!(ran.err.contains(name), "{ran:#?}");
    }
    bed.run(&with(&["-mr", "x"])).await.ended(2);
    let absent = [
        "requeue",
        "-s",
        "shop",
        "-cq",
        "no-such-queue",
        "-rrk",
        MAIL,
    ];
    bed.run(&absent).await.failed(6, "no-such-queue");
}
