//! Failures on either side: the copies that wait and the dead letters are the same, and count on.

use std::fs;

use serde_json::{Value, json};

use super::{DEAD_LETTER_EXCHANGE, EXCHANGE, QUICK, RETRY_EXCHANGE, STORE_RETRY_EXCHANGE, Shared};
use crate::{
    bed::{AUDIT, KEY, MAIL, QUEUE, STORE, USER_CREATED, golden},
    role::Role,
};

/// Whose handlers fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Ours,
    Theirs,
    Both,
}

pub(super) async fn all(shared: &mut Shared) {
    for side in [Side::Theirs, Side::Ours, Side::Both] {
        copies_are_as_captured(shared, side).await;
        copies_of_the_store_are_as_captured(shared, side).await;
    }
    for side in [Side::Theirs, Side::Ours] {
        without_retries_the_first_failure_is_the_last(shared, side).await;
    }
    many_failures_on_both_sides_are_one_count(shared).await;
    the_store_without_retries_loses_nothing_with_us(shared).await;
    a_foreign_header_loses_nothing_with_us(shared).await;
}

/// Consumers of one subscriber that fail.
struct Failing {
    ours: Option<Role>,
    theirs: Option<Role>,
}

impl Failing {
    async fn start(shared: &Shared, side: Side, subscriber: &str, max: u32) -> Self {
        let plan = json!({ subscriber: "F" });
        let (text, most) = (plan.to_string(), max.to_string());
        let options = [
            "--only",
            subscriber,
            "--max-retries",
            &most,
            "--plan",
            &text,
        ];
        let theirs = json!({"only": [subscriber], "max_retries": max, "plan": plan});
        Self {
            ours: match side {
                Side::Theirs => None,
                _ => Some(shared.ours.consumer(&options).await),
            },
            theirs: match side {
                Side::Ours => None,
                _ => Some(shared.theirs(theirs).await),
            },
        }
    }

    /// Ends them; how many calls of these were ours.
    async fn end(self, calls: u64) -> u64 {
        drop(self.theirs);
        let Some(ours) = self.ours else {
            return 0;
        };
        ours.terminate().await;
        let ran = ours.end().await;
        let total = ran.lines.last().unwrap()["total"].as_u64().unwrap();
        assert!(total <= calls, "{ran:?}");
        total
    }
}

async fn copies_are_as_captured(shared: &mut Shared, side: Side) {
    let scenario = format!("copies of failed messages are as captured: {side:?}");
    shared.begin_configured(&scenario, QUICK).await;
    let taps = [RETRY_EXCHANGE, DEAD_LETTER_EXCHANGE];
    shared.desk.tap(&taps).await;
    let failing = Failing::start(shared, side, MAIL, 2).await;
    let sent = shared.desk.publish(&[USER_CREATED]).await;
    let copies = shared.desk.tapped(3).await;
    let files = [
        "retry_1.json",
        "retry_2.json",
        "dead_letter_after_max_retries.json",
    ];
    for (copy, file) in copies.iter().zip(files) {
        assert_eq!(without_ours(copy), captured(file, copy), "{file}");
        assert_eq!(body(copy), sent[0], "{file}");
    }
    let audit = format!("{KEY}.{AUDIT}");
    let dead = format!("dead_letter.{QUEUE}");
    let left = [(&*dead, 1), (&*audit, 1), ("store", 1)];
    shared.desk.sees_waiting(&left).await;
    let ours = failing.end(3).await;
    let reason = &copies[2]["properties"]["headers"]["tidings-reason"];
    match side {
        Side::Theirs => assert_eq!((ours, reason), (0, &Value::Null)),
        Side::Ours => assert_eq!((ours, reason), (3, &json!("max_retries"))),
        Side::Both => assert!((1..3).contains(&ours), "both work: {ours} calls were ours"),
    }
}

async fn copies_of_the_store_are_as_captured(shared: &mut Shared, side: Side) {
    let scenario = format!("copies of what failed in the store are as captured: {side:?}");
    shared.begin_configured(&scenario, QUICK).await;
    let taps = [STORE_RETRY_EXCHANGE, DEAD_LETTER_EXCHANGE];
    shared.desk.tap(&taps).await;
    let failing = Failing::start(shared, side, STORE, 1).await;
    let sent = shared.desk.publish(&[USER_CREATED]).await;
    // The retry, its way back into the store, and the dead letter.
    let copies = shared.desk.tapped(3).await;
    let (mail, audit) = (QUEUE, format!("{KEY}.{AUDIT}"));
    let left = [("dead_letter.store", 1), (mail, 1), (&*audit, 1)];
    shared.desk.sees_waiting(&left).await;
    failing.end(2).await;
    assert_eq!(
        without_ours(&copies[0]),
        captured("store_retry_1.json", &copies[0])
    );
    assert_eq!(copies[1]["routing_key"], "store");
    let dead = without_ours(&copies[2]);
    assert_eq!(dead["exchange"], DEAD_LETTER_EXCHANGE);
    assert_eq!(dead["routing_key"], "dead_letter.store");
    assert_eq!(dead["properties"]["headers"]["redelivery_count"], 2);
    assert_eq!(
        dead["properties"]["headers"]["queue"],
        format!("{KEY}.{STORE}")
    );
    assert_eq!(body(&dead), sent[0]);
}

async fn without_retries_the_first_failure_is_the_last(shared: &mut Shared, side: Side) {
    let scenario = format!("without retries the first failure is the last: {side:?}");
    shared.begin_configured(&scenario, QUICK).await;
    let taps = [RETRY_EXCHANGE, DEAD_LETTER_EXCHANGE];
    shared.desk.tap(&taps).await;
    let failing = Failing::start(shared, side, MAIL, 0).await;
    shared.desk.publish(&[USER_CREATED]).await;
    let dead = without_ours(&shared.desk.tapped(1).await[0]);
    failing.end(1).await;
    assert_eq!(dead["exchange"], DEAD_LETTER_EXCHANGE);
    assert_eq!(dead["routing_key"], format!("dead_letter.{QUEUE}"));
    let properties =
        json!({"delivery_mode": 2, "headers": {"queue": QUEUE, "redelivery_count": 1}});
    assert_eq!(dead["properties"], properties);
}

async fn many_failures_on_both_sides_are_one_count(shared: &mut Shared) {
    const MESSAGES: usize = 20;
    shared
        .begin_configured("many failures on both sides are one count", QUICK)
        .await;
    shared
        .desk
        .tap(&[RETRY_EXCHANGE, DEAD_LETTER_EXCHANGE])
        .await;
    let failing = Failing::start(shared, Side::Both, MAIL, 3).await;
    shared.desk.publish(&[USER_CREATED; MESSAGES / 2]).await;
    shared.ours.publish(&[USER_CREATED; MESSAGES / 2]).await;
    let copies = shared.desk.tapped(4 * MESSAGES).await;
    let ours = failing.end(80).await;
    assert!((1..80).contains(&ours), "both work: {ours} calls were ours");
    let mut ids: Vec<_> = copies
        .iter()
        .map(|copy| body(copy)["data"]["id"].clone())
        .collect();
    ids.sort_by_key(Value::to_string);
    ids.dedup();
    assert_eq!(ids.len(), MESSAGES);
    for id in ids {
        let of_this = copies.iter().filter(|copy| body(copy)["data"]["id"] == id);
        let counts: Vec<_> = of_this
            .map(|copy| copy["properties"]["headers"]["redelivery_count"].as_u64())
            .collect();
        assert_eq!(counts, [Some(1), Some(2), Some(3), Some(4)], "{id}");
    }
}

/// petisco would address this dead letter to a queue that does not exist (trap T2).
async fn the_store_without_retries_loses_nothing_with_us(shared: &mut Shared) {
    shared
        .begin_configured("the store without retries loses nothing with us", QUICK)
        .await;
    let failing = Failing::start(shared, Side::Ours, STORE, 0).await;
    shared.desk.publish(&[USER_CREATED]).await;
    let dead = shared.desk.take("dead_letter.store", 1).await;
    failing.end(1).await;
    assert_eq!(dead[0]["properties"]["headers"]["redelivery_count"], 1);
}

/// After its first failure at petisco's such a message would be gone (trap T1).
async fn a_foreign_header_loses_nothing_with_us(shared: &mut Shared) {
    shared
        .begin_configured("a foreign header loses nothing with us", QUICK)
        .await;
    let body =
        r#"{"data": {"id": "5cbf63c8-8ff7-44d0-a3a5-8c4e0ec3cf86", "type": "user.created"}}"#;
    let headers = json!({"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"});
    let put = json!({"exchange": EXCHANGE, "routing_key": KEY, "headers": headers, "body": body});
    shared.desk.ask("put", put).await;
    shared.desk.tap(&[RETRY_EXCHANGE]).await;
    let failing = Failing::start(shared, Side::Ours, MAIL, 5).await;
    shared.desk.tapped(1).await;
    failing.end(u64::MAX).await;
    // From then on it says where it belongs, so petisco may fail as well.
    let options = json!({"only": [MAIL], "plan": {MAIL: "FS"}});
    let mut theirs = shared.theirs(options).await;
    for act in ["F", "S"] {
        assert_eq!(theirs.line().await.unwrap()["act"], act);
    }
    let audit = format!("{KEY}.{AUDIT}");
    shared
        .desk
        .sees_waiting(&[(&*audit, 1), ("store", 1)])
        .await;
}

/// What was captured on RabbitMQ 3.10, with the body and the times of this copy.
fn captured(file: &str, copy: &Value) -> Value {
    let captured = fs::read_to_string(golden(file)).unwrap();
    let mut captured: Value = serde_json::from_str(&captured).unwrap();
    captured["body"] = copy["body"].clone();
    let pointer = "/properties/headers/x-death/0/time";
    if let Some(time) = captured.pointer_mut(pointer) {
        *time = copy.pointer(pointer).expect("a time").clone();
    }
    // RabbitMQ 4 goes by its own counts and not by those that a client has copied, so each copy begins anew.
    let newer = "/properties/headers/x-last-death-reason";
    if let Some(count) = captured.pointer_mut("/properties/headers/x-death/0/count")
        && copy.pointer(newer).is_some()
    {
        *count = json!(1);
    }
    captured
}

/// Without the headers in which we, or RabbitMQ since 3.13, say more than was captured.
fn without_ours(copy: &Value) -> Value {
    let mut copy = copy.clone();
    if let Some(headers) = copy["properties"]["headers"].as_object_mut() {
        headers
            .retain(|name, _| !name.starts_with("tidings-") && !name.starts_with("x-last-death-"));
    }
    copy
}

fn body(copy: &Value) -> Value {
    serde_json::from_str(copy["body"]["text"].as_str().unwrap()).unwrap()
}
