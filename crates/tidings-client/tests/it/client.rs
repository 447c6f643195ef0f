//! What the client hands over, and what it refuses.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tidings_client::{Client, fallback::Spool};
use tidings_core::{
    Address, Call, Command, Envelope, Error, ErrorKind, Event, Kind, Metadata, Settlement,
    call::Message,
    codec::Format,
    convention::{Attachment, Convention, Failed, Fate, Interest, Opened, Outgoing, Plan},
    error::Result,
    retry_policy::RetryPolicy,
    tasks::Tasks,
    topology::Topology,
};

use crate::{
    fixture::MemorySpool,
    primary::{Answer, Primary},
};

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(crate = tidings_core)]
struct OrderPlaced {
    number: u32,
}

#[derive(Command, Serialize, Deserialize, JsonSchema, garde::Validate)]
#[command(crate = tidings_core)]
struct ShipOrder {
    #[garde(length(min = 1))]
    to: String,
}

/// Writes what a message has into one JSON object, and cannot write what is called `unwritable`.
#[derive(Debug)]
struct Plain;

impl Convention for Plain {
    fn format(&self) -> Format {
        Format::Json
    }

    fn topology(&self) -> Topology {
        Topology::new()
    }

    fn seal(&self, message: &Outgoing<'_>) -> Result<Call> {
        if message.name == "unwritable" {
            return Err(Error::new(ErrorKind::Misuse, "no such kind here"));
        }
        let mut body = Vec::new();
        (message.body)(Format::Json, &mut body)?;
        let body: Value = serde_json::from_slice(&body).unwrap();
        let sealed = json!({"kind": message.kind.to_string(), "meta": message.meta, "body": body});
        let envelope = Envelope::new(sealed.to_string());
        Ok(Call::new(Address::new("acme", message.name), envelope))
    }

    fn open<'a>(&self, _: &'a Message, _: &Attachment) -> Result<Opened<'a>> {
        Err(Error::new(ErrorKind::Unsupported, "nobody receives here"))
    }

    fn attach(&self, _: &str, _: &Interest, _: &RetryPolicy) -> Result<Attachment> {
        Err(Error::new(ErrorKind::Unsupported, "nobody receives here"))
    }

    fn recover(&self, _: &Failed<'_>) -> Plan {
        Plan::Settle {
            settlement: Settlement::Reject,
            fate: Fate::Dropped,
        }
    }
}

fn client(answer: Answer) -> (Client, Primary) {
    let primary = Primary::new(answer);
    (
        Client::new(Arc::new(Plain), Arc::new(primary.clone())),
        primary,
    )
}

fn sent(primary: &Primary) -> Vec<Value> {
    let sent = primary.confirmed();
    sent.iter()
        .map(|call| serde_json::from_slice(&call.envelope.payload.bytes).unwrap())
        .collect()
}

#[tokio::test]
async fn messages_are_handed_over_in_order_before_anybody_awaits() {
    let (client, primary) = client(Answer::Hold);
    let placed = client.publish(&OrderPlaced { number: 1 });
    let ship = client.send(&ShipOrder { to: "x".into() });
    assert_eq!(primary.seen(), ["order.placed", "ship.order"]);
    primary.release(None);
    ship.await.unwrap();
    placed.await.unwrap();
    let sent = sent(&primary);
    assert_eq!(
        sent[0],
        json!({"kind": "event", "meta": {}, "body": {"number": 1}})
    );
    assert_eq!(
        sent[1],
        json!({"kind": "command", "meta": {}, "body": {"to": "x"}})
    );
}

#[tokio::test]
async fn a_message_that_breaks_its_rules_is_not_published_and_the_error_names_the_member() {
    let (client, primary) = client(Answer::Confirm);
    let error = client
        .send(&ShipOrder { to: String::new() })
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let text = error.to_string();
    assert!(text.contains("ship.order") && text.contains("to"), "{text}");
    assert!(primary.seen().is_empty());
}

#[tokio::test]
async fn what_the_convention_cannot_write_is_the_error_of_the_publish() {
    let (client, primary) = client(Answer::Confirm);
    let message = Outgoing {
        name: "unwritable",
        version: 1,
        kind: Kind::Event,
        id: None,
        occurred_at: None,
        meta: &Map::new(),
        secrets: &[],
        body: &|_, _| Ok(()),
    };
    let error = client.publish_raw(&message).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misuse);
    assert!(primary.seen().is_empty());
}

#[tokio::test]
async fn what_the_broker_says_is_the_error_of_the_publish() {
    let (client, _) = client(Answer::Fail(ErrorKind::Unroutable));
    let error = client
        .publish(&OrderPlaced { number: 1 })
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unroutable);
}

#[tokio::test]
async fn with_meta_replaces_what_was_there_and_leaves_the_first_client_alone() {
    let (client, primary) = client(Answer::Confirm);
    let first = client
        .with_meta(json!({"info_id": 1, "tenant": "a"}))
        .unwrap();
    let second = first.with_meta(json!({"tenant": "b"})).unwrap();
    second.publish(&OrderPlaced { number: 1 }).await.unwrap();
    first.publish(&OrderPlaced { number: 2 }).await.unwrap();
    client.publish(&OrderPlaced { number: 3 }).await.unwrap();
    let metas: Vec<Value> = sent(&primary)
        .iter()
        .map(|sent| sent["meta"].clone())
        .collect();
    assert_eq!(
        metas,
        [
            json!({"tenant": "b"}),
            json!({"info_id": 1, "tenant": "a"}),
            json!({})
        ]
    );
}

#[test]
fn a_meta_that_is_no_object_is_refused() {
    let (client, _) = client(Answer::Confirm);
    for meta in [json!(null), json!([1]), json!("text"), json!(7)] {
        let error = client.with_meta(&meta).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misuse);
        assert!(error.to_string().contains(&meta.to_string()), "{error}");
    }
}

#[tokio::test]
async fn what_is_caused_by_a_message_says_so_beside_its_own_meta() {
    let (client, primary) = client(Answer::Confirm);
    let cause = Metadata {
        id: "m-1".to_owned(),
        name: "user.created".to_owned(),
        version: 1,
        kind: "domain_event".to_owned(),
        occurred_at: Timestamp::UNIX_EPOCH,
        meta: json!({"correlation_id": "c-1", "secret": "stays"}),
    };
    let client = client
        .with_meta(json!({"tenant": "a"}))
        .unwrap()
        .caused_by(&cause);
    client.publish(&OrderPlaced { number: 1 }).await.unwrap();
    let expected = json!({"tenant": "a", "correlation_id": "c-1", "causation_id": "m-1"});
    assert_eq!(sent(&primary)[0]["meta"], expected);
    assert_eq!(Value::Object(client.meta().clone()), expected);
}

#[tokio::test]
async fn a_message_is_mandatory_unless_the_client_or_the_call_says_otherwise() {
    let (client, primary) = client(Answer::Confirm);
    let lenient = client.unroutable_is_fine();
    let call = crate::fixture::call("raw");
    client.publish(&OrderPlaced { number: 1 }).await.unwrap();
    lenient.publish(&OrderPlaced { number: 2 }).await.unwrap();
    client.publish_call(call.clone()).await.unwrap();
    client
        .publish_call(call.clone().unroutable_is_fine())
        .await
        .unwrap();
    lenient.publish_call(call).await.unwrap();
    let mandatory: Vec<bool> = primary
        .confirmed()
        .iter()
        .map(|call| call.mandatory)
        .collect();
    assert_eq!(mandatory, [true, false, true, false, false]);
}

#[tokio::test(start_paused = true)]
async fn a_client_with_a_fallback_publishes_what_it_kept_once_the_broker_is_back() {
    let (client, primary) = client(Answer::Fail(ErrorKind::Unavailable));
    let (spool, tasks) = (Arc::new(MemorySpool::default()), Tasks::new());
    let kept: Arc<dyn Spool> = Arc::<MemorySpool>::clone(&spool);
    let client = client.with_fallback(kept, &tasks);
    client.publish(&OrderPlaced { number: 1 }).await.unwrap();
    assert_eq!(spool.keys(), ["order.placed"]);
    primary.answer(Answer::Confirm);
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert_eq!(sent(&primary)[0]["body"], json!({"number": 1}));
    assert!(tasks.stop(Duration::from_secs(1)).await);
}
