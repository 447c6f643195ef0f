//! `tidings publish` and `tidings dispatch`: what arrives, and what is refused.

use serde_json::{Value, json};

use crate::bed::{Bed, DEAD, DOMAIN, KEY, MAIL, Ran};

#[tokio::test]
async fn raw_messages_arrive_as_they_were_typed() {
    raw(&Bed::embedded().applied().await).await;
}

pub(crate) async fn raw(bed: &Bed) {
    let typed = [
        "publish",
        "acme.shop",
        KEY,
        "{ \"a\": 1180591620717411303424 }",
        "--header",
        "text=7",
        "-H",
        "int:=7",
        "--message-id",
        "m",
        "--priority",
        "3",
        "--content-type",
        "application/json",
    ];
    let printed = bed.run(&typed).await.ok();
    printed.says(&format!(
        "published 1 message to exchange `acme.shop` with key `{KEY}`"
    ));
    let tail = ["tail", MAIL, "--take", "--output", "json"];
    let shown = bed.run(&tail).await.ok();
    let [line] = &shown.lines()[..] else {
        panic!("one line: {shown:#?}");
    };
    assert_eq!(line["headers"], json!({ "text": "7", "int": 7 }));
    assert_eq!(
        line["properties"],
        json!({ "content_type": "application/json", "message_id": "m", "priority": 3 })
    );
    assert!(
        shown
            .out
            .contains(r#""payload":{"a":1180591620717411303424}"#),
        "{shown:#?}"
    );

    let many = ["publish", "", MAIL, "-", "--count", "3", "--output", "json"];
    let many = bed.type_into(&many, "hello").await.ok();
    assert_eq!(
        many.lines(),
        vec![json!({ "exchange": "", "key": MAIL, "size": 5 }); 3]
    );
    assert_eq!(bed.ready(MAIL).await, 3);
}

#[tokio::test]
async fn domain_messages_are_written_as_a_service_writes_them() {
    domain(&Bed::embedded().applied().await).await;
}

pub(crate) async fn domain(bed: &Bed) {
    let typed = [
        &["publish"],
        &DOMAIN[..],
        &[
            "--name",
            "user.created",
            "{\"id\": 1180591620717411303424}",
            "--meta",
            "{\"a\": 1}",
        ],
        &["--output", "json"],
    ];
    let sent = bed.run(&typed.concat()).await.ok().lines();
    assert_eq!(
        (&sent[0]["exchange"], &sent[0]["key"]),
        (&json!("acme.shop"), &json!(KEY))
    );
    let shown = bed.run(&["tail", MAIL, "--output", "json"]).await.ok();
    assert!(shown.out.contains("1180591620717411303424"), "{shown:#?}");
    let line = &shown.lines()[0];
    let data = &line["payload"]["data"];
    assert_eq!(data["id"], sent[0]["id"]);
    assert_eq!(
        (&data["type"], &data["meta"]),
        (&json!("user.created"), &json!({ "a": 1 }))
    );
    assert_eq!(
        (&line["headers"], &line["properties"]),
        (&json!({}), &json!({}))
    );

    let command = [&["dispatch"], &DOMAIN[..], &["--name", "bill.order", "{}"]].concat();
    let printed = bed.run(&command).await.ok();
    printed.says("with key `acme.shop.1.command.bill_order`");
    assert_eq!(bed.ready("store").await, 2, "the store has them all");
}

#[tokio::test]
async fn a_file_has_a_message_per_line() {
    let bed = Bed::embedded().applied().await;
    let lines = "{\"name\": \"user.created\", \"attributes\": {\"n\": 1}}\n\n{\"attributes\": {\"n\": 2}}\n";
    bed.write("events.jsonl", lines);
    let publish = [
        &["publish"],
        &DOMAIN[..],
        &["--name", "user.created", "--file", "events.jsonl"],
    ];
    bed.run(&publish.concat())
        .await
        .ok()
        .says("published 2 messages");

    let tailed = bed.run(&["tail", MAIL, "--output", "json"]).await.ok().out;
    let again = ["publish", "", DEAD, "--file", "-"];
    let copied: Ran = bed.type_into(&again, &tailed).await.ok();
    copied.says(&format!("published 2 messages to queue `{DEAD}`"));
    let of = |lines: Vec<Value>| -> Vec<Value> {
        lines.iter().map(|it| it["payload"].clone()).collect()
    };
    let there = bed.run(&["tail", DEAD, "--output", "json"]).await.ok();
    let here = bed.run(&["tail", MAIL, "--output", "json"]).await.ok();
    assert_eq!(
        of(there.lines()),
        of(here.lines()),
        "what tail prints can be published"
    );

    bed.write("bad.jsonl", "{\"attributes\": {}}\n{\"atributes\": {}}\n");
    let bad = [
        &["publish"],
        &DOMAIN[..],
        &["--name", "user.created", "--file", "bad.jsonl"],
    ];
    let bad = bed
        .run(&bad.concat())
        .await
        .failed(9, "line 2: unknown field `atributes`");
    bad.says("published 1 message");
}

#[tokio::test]
async fn what_no_queue_would_receive_is_an_error() {
    unroutable(&Bed::embedded().applied().await).await;
}

pub(crate) async fn unroutable(bed: &Bed) {
    let nowhere = ["publish", "acme.shop", "no.such.key", "x"];
    bed.run(&nowhere).await.failed(7, "no.such.key");
    let fine = [&nowhere[..], &["--unroutable-is-fine"]].concat();
    bed.run(&fine).await.ok();
    bed.run(&["publish", "", "no-such-queue", "x"])
        .await
        .failed(7, "no-such-queue");
    bed.run(&["publish", "no-such-exchange", "k", "x"])
        .await
        .failed(6, "no-such-exchange");
}

#[tokio::test]
async fn a_command_line_that_makes_no_sense_is_refused() {
    let bed = Bed::embedded().applied().await;
    let event = [&["publish"], &DOMAIN[..]].concat();
    let check = async |arguments: &[&str], code, text: &str| {
        bed.run(arguments).await.failed(code, text);
    };
    check(&["publish"], 2, "EXCHANGE KEY").await;
    check(&["publish", "e"], 2, "EXCHANGE KEY").await;
    check(
        &["publish", "e", "k", "a", "b"],
        2,
        "`b` is one argument too many",
    )
    .await;
    check(&["publish", "e", "k", "-H", "x"], 2, "NAME=VALUE").await;
    check(&event, 2, "has no name").await;
    check(&["dispatch", "{}"], 2, "--organization").await;
    check(
        &[&event[..], &["--name", "a", "-H", "a=b"]].concat(),
        2,
        "no headers",
    )
    .await;
    check(
        &[&event[..], &["--name", "a", "[1]"]].concat(),
        9,
        "no JSON object",
    )
    .await;
    check(
        &[&event[..], &["--name", "a", "{"]].concat(),
        9,
        "attributes are no JSON",
    )
    .await;
    check(
        &["publish", "e", "k", "-f", "no-such-file"],
        6,
        "no-such-file",
    )
    .await;
}
