//! What one side publishes, the other reads; on the wire nobody can tell who it was.

use std::{collections::BTreeSet, fs};

use serde_json::{Value, json};

use super::{EXCHANGE, QUICK, Shared};
use crate::bed::{AUDIT, BILL, MAIL, STORE, golden};

/// Events and commands with everything that JSON has.
const LINES: [&str; 4] = [
    r#"{"type": "domain_event", "name": "user.created", "attributes": {"user_id": "7", "name": "Ñandú €😀/\"\\\u0001", "nested": {"list": [1, [2, {"deep": null}], {}], "empty": []}}, "meta": {"correlation_id": "c-1", "info_id": {"client_id": "acme"}}}"#,
    r#"{"type": "domain_event", "name": "user.confirmed", "attributes": {"at": "2024-01-02 03:04:05.000678", "score": -0.5, "large": 9007199254740993, "yes": true}}"#,
    r#"{"type": "domain_event", "name": "invoice.issued", "version": 2, "attributes": {"amount": 1e21, "lines": [{"sku": "a", "qty": 2, "x": null}], "paid": false}, "meta": {"ñ": ["é"]}}"#,
    r#"{"type": "command", "name": "persist.user", "attributes": {"user_id": "7", "tags": ["a", "b"]}, "meta": {"reply_to": null}}"#,
];

/// Who gets which of them.
const RECEIVERS: [(&str, &[usize]); 5] = [
    (MAIL, &[0]),
    (AUDIT, &[0, 1]),
    (BILL, &[2]),
    ("persist_user_handler", &[3]),
    (STORE, &[0, 1, 2, 3]),
];

pub(super) async fn all(shared: &mut Shared) {
    we_read_what_petisco_publishes(shared).await;
    petisco_reads_what_we_publish(shared).await;
    fresh_messages_are_as_captured(shared).await;
    nothing_is_lost_silently(shared).await;
}

async fn we_read_what_petisco_publishes(shared: &mut Shared) {
    shared
        .begin_configured("we read what petisco publishes", QUICK)
        .await;
    let sent = shared.desk.publish(&LINES).await;
    let ran = shared.ours.consume(&[], 9).await;
    everybody_has_theirs(ran.calls(), &sent);
    shared.desk.sees_waiting(&[]).await;
}

async fn petisco_reads_what_we_publish(shared: &mut Shared) {
    shared
        .begin_configured("petisco reads what we publish", QUICK)
        .await;
    let published = shared.ours.publish(&LINES).await;
    assert_eq!(published.code, Some(0), "{published:?}");
    let sent: Vec<_> = published
        .lines
        .iter()
        .map(|line| line["format"].clone())
        .collect();
    let mut theirs = shared.theirs(json!({})).await;
    let mut calls = Vec::new();
    for _ in 0..9 {
        calls.push(theirs.line().await.unwrap());
    }
    everybody_has_theirs(&calls, &sent);
    shared.desk.sees_waiting(&[]).await;
}

fn everybody_has_theirs(calls: &[Value], sent: &[Value]) {
    for (subscriber, messages) in RECEIVERS {
        let got = calls.iter().filter(|call| call["subscriber"] == subscriber);
        // Without their order: some have several queues.
        let got: BTreeSet<_> = got.map(|call| call["format"].to_string()).collect();
        let expected = messages.iter().map(|index| sent[*index].to_string());
        assert_eq!(got, expected.collect(), "{subscriber}");
    }
}

/// We publish the captured messages again: exchange, key, properties and every byte are the same.
async fn fresh_messages_are_as_captured(shared: &mut Shared) {
    shared
        .begin_configured("fresh messages are as captured", QUICK)
        .await;
    shared.desk.tap(&[EXCHANGE]).await;
    let captured = fs::read_to_string(golden("published_raw.jsonl")).unwrap();
    let captured: Vec<Value> = captured
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let lines: Vec<_> = captured.iter().map(line_for).collect();
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    let published = shared.ours.publish(&lines).await;
    assert_eq!(published.code, Some(0), "{published:?}");
    assert_eq!(shared.desk.tapped(captured.len()).await, captured);
    // And petisco has not changed since.
    shared.desk.publish(&lines).await;
    for (now, then) in shared
        .desk
        .tapped(captured.len())
        .await
        .iter()
        .zip(&captured)
    {
        for part in ["exchange", "routing_key", "properties"] {
            assert_eq!(now[part], then[part]);
        }
    }
}

/// The line for `publish` that asks for this message.
fn line_for(captured: &Value) -> String {
    let body: Value = serde_json::from_str(captured["body"]["text"].as_str().unwrap()).unwrap();
    let data = &body["data"];
    let line = json!({
        "type": data["type_message"],
        "name": data["type"],
        "version": data["version"],
        "id": data["id"],
        "occurred_on": data["occurred_on"],
        "attributes": data["attributes"],
        "meta": data["meta"],
    });
    line.to_string()
}

/// An exchange that does not exist is an error; one without a queue for the message is as on this wire, and said.
async fn nothing_is_lost_silently(shared: &mut Shared) {
    shared.begin("nothing is lost silently").await;
    let published = shared.ours.publish(&[LINES[0]]).await;
    published.refused("exchange `petacc.registration`");
    let mut configure = shared.ours.bare(&["configure", "--no-store"]);
    configure.envs(crate::bed::variables(shared.address));
    let configured = crate::bed::Ran::of(configure.spawn().unwrap()).await;
    assert_eq!(configured.printed("ok").code, Some(0));
    let published = shared.ours.publish(&[LINES[0]]).await;
    assert_eq!((published.code, published.lines.len()), (Some(0), 1));
    assert!(
        published
            .errors
            .contains("petacc.registration.1.event.user_created"),
        "{}",
        published.errors
    );
}
