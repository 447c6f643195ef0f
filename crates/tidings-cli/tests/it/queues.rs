//! `tidings queues`: depth, consumers, rates; once or again and again.

use serde_json::json;

use crate::bed::{Bed, KEY, MAIL};

#[tokio::test]
async fn shows_how_full_queues_are() {
    let bed = Bed::embedded().applied().await;
    bed.run(&["publish", "acme.shop", KEY, "x", "-n", "2"])
        .await
        .ok();
    let table = bed.run(&["queues"]).await.ok();
    let table = table.says("9 queues, 4 messages").says("–");
    assert!(table.out.starts_with("queue"), "{table:#?}");

    let backlog = [
        "queues",
        "--only-backlog",
        "--sort",
        "depth",
        "--output",
        "json",
    ];
    let backlog = bed.run(&backlog).await.ok().json();
    let queues = backlog["queues"].as_array().unwrap();
    let names: Vec<_> = queues.iter().map(|queue| &queue["name"]).collect();
    assert_eq!(names, [MAIL, "store"]);
    let expected = json!({ "name": MAIL, "depth": 2, "ready": 2, "unacknowledged": 0, "consumers": 0,
        "rate_in": null, "rate_out": null, "rate_net": null });
    assert_eq!(queues[0], expected);
}

#[tokio::test]
async fn a_queue_that_does_not_exist_is_an_error() {
    missing(&Bed::embedded().applied().await).await;
}

pub(crate) async fn missing(bed: &Bed) {
    bed.run(&["queues", MAIL, "store"])
        .await
        .ok()
        .says("2 queues");
    bed.run(&["queues", MAIL, "no-such-queue"])
        .await
        .failed(6, "no-such-queue");
}

#[tokio::test]
async fn watching_measures_what_the_broker_does_not_tell() {
    let bed = Bed::embedded().applied().await;
    let mut watch = bed.start(&["queues", MAIL, "--watch", "1", "--output", "json"]);
    assert_eq!(watch.line().await["queues"][0]["rate_net"], json!(null));
    let second = watch.line().await;
    assert!(second["queues"][0]["rate_net"].is_number(), "{second}");
    bed.run(&["publish", "acme.shop", KEY, "x"]).await.ok();
    loop {
        let picture = watch.line().await;
        if picture["queues"][0]["rate_net"].as_f64().unwrap() > 0.0 {
            assert_eq!(picture["queues"][0]["depth"], 1);
            break;
        }
    }
    assert_eq!(watch.interrupt().await, Some(0));
}
