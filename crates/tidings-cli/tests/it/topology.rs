//! `tidings topology`: shown, declared, compared, deleted.

use serde_json::{Value, json};

use crate::bed::{Bed, DEAD, DOMAIN, MAIL};

#[tokio::test]
async fn shows_what_is_wanted_without_a_broker() {
    let bed = Bed::embedded();
    let table = bed.topology(&["show"]).await.ok();
    let table = table.says(MAIL).says(DEAD).says("5s");
    let mut shown = table.says("5 exchanges, 9 queues, 20 bindings").out;
    assert!(!bed.file("broker.db").exists(), "nothing was opened");
    assert!(!shown.contains('\u{1b}'), "no colour without a terminal");
    let json = bed.topology(&["show", "--output", "json"]).await.ok();
    assert_eq!(json.json()["queues"].as_array().unwrap().len(), 9);

    bed.write("definitions.json", &json.out);
    let again = ["topology", "show", "--file", "definitions.json"];
    let again = bed.run(&again).await.ok();
    assert_eq!(again.out, shown, "the export is a source");

    shown = bed.topology(&["show", "--no-store"]).await.ok().out;
    assert!(
        shown.contains("3 exchanges, 6 queues, 8 bindings"),
        "{shown}"
    );
    bed.topology(&["show", "--main-ttl", "60000"])
        .await
        .ok()
        .says("1m");
}

#[tokio::test]
async fn declares_what_is_missing_and_nothing_twice() {
    declares(&Bed::embedded()).await;
}

pub(crate) async fn declares(bed: &Bed) {
    let dry = bed
        .topology(&["apply", "--dry-run", "--output", "json"])
        .await;
    let dry = dry.ok().json();
    assert_eq!(dry["created"].as_array().unwrap().len(), 34, "{dry}");
    assert_eq!(dry["dry_run"], true);
    assert!(!bed.file("broker.db").exists(), "a dry run changes nothing");

    let differs = bed.topology(&["diff"]).await.ended(5);
    differs.says(MAIL).says("missing");
    bed.topology(&["apply"])
        .await
        .ok()
        .says("created 34 of 34 things");
    bed.topology(&["apply"])
        .await
        .ok()
        .says("created 0 of 34 things");
    bed.topology(&["diff"]).await.ok().says("no differences");
    bed.run(&["queues", MAIL])
        .await
        .ok()
        .says("1 queue, 0 messages");
}

#[tokio::test]
async fn other_settings_are_refused_as_a_whole() {
    refuses(&Bed::embedded()).await;
}

pub(crate) async fn refuses(bed: &Bed) {
    bed.topology(&["apply", "--no-store"]).await.ok();
    let other = ["--main-ttl", "1000"];
    let diff = [&["diff", "--output", "json"], &other[..]].concat();
    let diff = bed.topology(&diff).await.ended(5).json();
    let queue: Vec<_> = diff["differences"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|it| it["name"] == MAIL)
        .collect();
    let expected = json!({ "kind": "queue", "name": MAIL, "state": "differs", "setting": "message TTL", "has": "none",
        "wants": queue[0]["wants"] });
    assert_eq!(queue, [&expected]);

    let dry = [&["apply", "--dry-run"], &other[..]].concat();
    bed.topology(&dry)
        .await
        .ended(5)
        .says("message TTL is none");
    let apply = [&["apply"], &other[..]].concat();
    let refused = bed.topology(&apply).await;
    let refused = refused.failed(5, "nothing was created").says(MAIL);
    assert!(refused.err.contains(MAIL), "{refused:#?}");
    let store = bed.run(&["queues", "store"]).await;
    store.failed(6, "`store` does not exist");
}

#[tokio::test]
async fn clears_after_asking() {
    clears(&Bed::embedded()).await;
}

pub(crate) async fn clears(bed: &Bed) {
    bed.topology(&["apply"]).await.ok();
    let event = [&["publish"], &DOMAIN[..], &["--name", "user.created"]].concat();
    bed.run(&event).await.ok();
    let clear = [&["topology", "clear"], &DOMAIN[..]].concat();
    let with = |more: &[&'static str]| [&clear[..], more].concat();

    let dry = bed
        .run(&with(&["--dry-run", "--output", "json"]))
        .await
        .ok();
    assert_eq!(dry.json()["messages"], 2, "{dry:#?}");
    assert_eq!(dry.json()["queues"].as_array().unwrap().len(), 9);
    bed.run(&with(&[])).await.failed(2, "--yes");
    let declined = bed.type_into(&with(&[]), "n\n").await.ended(1);
    assert!(
        declined.err.contains("9 queues with 2 messages"),
        "{declined:#?}"
    );
    assert_eq!(bed.ready(MAIL).await, 1);

    let only = [
        "--subscribers",
        "subscribers.json",
        "--subscribers-only",
        "--yes",
    ];
    let cleared = bed.run(&with(&only)).await.ok();
    cleared.says("0 exchanges and 6 queues with 1 message");
    assert_eq!(bed.ready("store").await, 1);
    let cleared = bed.type_into(&with(&[]), "y\n").await.ok();
    cleared.says("5 exchanges and 3 queues with 1 message");
    bed.run(&with(&["--yes"])).await.ok().says("0 queues");
}

#[tokio::test]
async fn the_queues_of_the_store_go_with_the_subscribers_if_asked() {
    let bed = Bed::embedded().applied().await;
    let only = ["clear", "--subscribers-only", "--with-store", "--yes"];
    bed.topology(&only)
        .await
        .ok()
        .says("0 exchanges and 9 queues");
}

#[tokio::test]
async fn the_store_of_another_organization_stays() {
    let bed = Bed::embedded().applied().await;
    let other = ["--organization", "other", "--service", "shop", "--yes"];
    let clear = [&["topology", "clear"], &other[..]].concat();
    let cleared = bed.run(&clear).await.ok();
    assert!(
        cleared.err.contains("belongs to organization `acme`"),
        "{cleared:#?}"
    );
    bed.run(&["queues", "store"]).await.ok();
    bed.run(&[&clear[..], &["--any-store"]].concat()).await.ok();
    bed.run(&["queues", "store"]).await.ended(6);
}

#[tokio::test]
async fn a_file_of_definitions_is_declared_and_deleted() {
    let bed = Bed::embedded();
    let definitions: Value = json!({
        "exchanges": [{ "name": "e", "type": "topic" }],
        "queues": [{ "name": "q", "arguments": { "x-message-ttl": 1000 } }],
        "bindings": [{ "source": "e", "destination": "q", "destination_type": "queue", "routing_key": "a.*" }],
    });
    bed.write("d.json", &definitions.to_string());
    let run = |verb| ["topology", verb, "--file", "d.json"];
    bed.run(&run("apply")).await.ok().says("created 3 of 3");
    bed.run(&["publish", "e", "a.b", "x"]).await.ok();
    bed.run(&run("clear")).await.failed(2, "say --yes");
    let cleared = bed.type_into(&run("clear"), "yes\n").await.ok();
    cleared.says("deleted 1 exchange and 1 queue");
}
