//! `tidings tail`: shows without taking, unless told to.

use serde_json::json;

use crate::bed::{Bed, DOMAIN, KEY, MAIL};

async fn publish(bed: &Bed, number: &str) {
    bed.run(&["publish", "acme.shop", KEY, "{\"a\":1}", "--count", number])
        .await
        .ok();
}

#[tokio::test]
async fn looks_into_a_queue_and_gives_everything_back() {
    looks(&Bed::embedded().applied().await).await;
}

pub(crate) async fn looks(bed: &Bed) {
    publish(bed, "3").await;
    let table = bed.run(&["tail", MAIL]).await.ok();
    let table = table.says("acme.shop/acme.shop.1.event.user_created");
    assert_eq!(table.out.matches("\n  \"a\": 1\n").count(), 3, "{table:#?}");
    assert_eq!(bed.ready(MAIL).await, 3);

    let limited = ["tail", MAIL, "--limit", "2", "--output", "json"];
    let lines = bed.run(&limited).await.ok().lines();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["queue"], MAIL);
    assert_eq!(lines[0]["payload"], json!({ "a": 1 }));
    assert_eq!(lines[0]["redelivered"], true, "it was shown before");
    assert_eq!(bed.ready(MAIL).await, 3);

    bed.run(&["tail", MAIL, "--take", "-n", "2"]).await.ok();
    assert_eq!(bed.ready(MAIL).await, 1);
    bed.run(&["tail", "no-such-queue"])
        .await
        .failed(6, "no-such-queue");
}

#[tokio::test]
async fn follows_an_exchange_without_taking_from_anybody() {
    follows(&Bed::embedded().applied().await).await;
}

pub(crate) async fn follows(bed: &Bed) {
    let mut tail = bed.start(&[
        "tail",
        "--exchange",
        "acme.shop",
        "--key",
        "#.user_created",
        "--output",
        "json",
    ]);
    // With JSON it says nothing before the first message: its queue tells that it listens.
    let transport = bed.transport().await;
    loop {
        let queues = transport.queues(&[]).await.unwrap();
        if queues
            .iter()
            .any(|queue| queue.name.starts_with("tidings.tail.") && queue.consumers == 1)
        {
            break;
        }
        tokio::task::yield_now().await;
    }
    // It stays open until the end: if this process owns the file, the queue of the other lives here, and a change of owner
    // while something is published would be a gap in what a queue that is not durable receives.
    publish(bed, "1").await;
    let command = [&["dispatch"], &DOMAIN[..], &["--name", "bill.order"]].concat();
    bed.run(&command).await.ok();
    publish(bed, "1").await;
    for _ in 0..2 {
        let line = tail.line().await;
        assert_eq!(
            (&line["exchange"], &line["key"]),
            (&json!("acme.shop"), &json!(KEY))
        );
    }
    assert_eq!(tail.interrupt().await, Some(0));
    bed.close(&*transport).await;
    assert_eq!(bed.ready(MAIL).await, 2);
}

#[tokio::test]
async fn an_interrupt_gives_back_what_was_shown() {
    interrupts(&Bed::embedded().applied().await).await;
}

pub(crate) async fn interrupts(bed: &Bed) {
    publish(bed, "2").await;
    let mut tail = bed.start(&["tail", MAIL, "--follow", "--output", "json"]);
    tail.line().await;
    tail.line().await;
    publish(bed, "1").await;
    tail.line().await;
    assert_eq!(tail.interrupt().await, Some(0));
    assert_eq!(bed.ready(MAIL).await, 3);
}

#[tokio::test]
async fn says_that_it_listens() {
    let bed = Bed::embedded().applied().await;
    let mut tail = bed.start(&["tail", "--exchange", "acme.shop"]);
    assert!(tail.note().await.contains("listening to `acme.shop` for #"));
    assert_eq!(tail.interrupt().await, Some(0));
    let nowhere = bed.run(&["tail", "--exchange", "no-such-exchange"]).await;
    assert!(nowhere.err.contains("no-such-exchange"), "{nowhere:#?}");
    bed.run(&["tail"]).await.ended(2);
}
