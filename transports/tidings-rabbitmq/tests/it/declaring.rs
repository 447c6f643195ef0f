//! Declaring: what is created is what was asked for, and what is refused is refused with everything that differs.

use std::time::Duration;

use serde_json::{Value, json};
use tidings_core::{
    Address, Call, Envelope, ErrorKind, Settlement,
    topology::{Binding, DeadLetter, Exchange, ExchangeKind, Queue, Topology, arguments},
    transport::{Subscription, Transport},
};
use tidings_rabbitmq::RabbitMq;

use crate::bed::{Bed, bed};

const GOLDEN: &str =
    include_str!("../../../../conventions/tidings-domain/tests/golden/topology.json");

pub(crate) async fn open(bed: &Bed) -> RabbitMq {
    RabbitMq::from_url(&bed.url()).await.unwrap()
}

/// An exchange and a queue with a setting of each kind.
pub(crate) fn topology() -> Topology {
    Topology::new()
        .exchange(Exchange::topic("acme"))
        .queue(
            Queue::new("orders")
                .with_ttl(Duration::from_secs(5))
                .with_dead_letter("dead", "dead.orders"),
        )
        .queue(Queue::new("plain"))
        .bind("acme", "orders", "order.*")
}

pub(crate) fn names(list: &Value) -> Vec<&str> {
    let rows = list.as_array().into_iter().flatten();
    let mut names: Vec<_> = rows.filter_map(|row| row["name"].as_str()).collect();
    names.retain(|name| !name.is_empty() && !name.starts_with("amq."));
    names.sort_unstable();
    names
}

pub(crate) async fn check_nothing_exists(bed: &Bed) {
    assert!(names(&bed.host.get("/api/queues/{}").await).is_empty());
    assert!(names(&bed.host.get("/api/exchanges/{}").await).is_empty());
}

async fn check_conflict(on: &RabbitMq, wanted: &Topology, expected: &str) {
    let error = on.declare(wanted).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(error.to_string(), expected);
}

/// A topology that was read from a broker, as the HTTP API tells it.
fn golden() -> (Topology, Value) {
    let text = GOLDEN
        .replace("<ORG>", "acme")
        .replace("<SVC>", "registration");
    let golden: Value = serde_json::from_str(&text).unwrap();
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let mut topology = Topology::new();
    for exchange in golden["exchanges"].as_array().unwrap() {
        topology = topology.exchange(Exchange::topic(text(exchange, "name")));
    }
    for queue in golden["queues"].as_array().unwrap() {
        let set = &queue["arguments"];
        let mut wanted = Queue::new(text(queue, "name"));
        wanted.message_ttl = set["x-message-ttl"].as_u64().map(Duration::from_millis);
        if set["x-dead-letter-exchange"].is_string() {
            wanted = wanted.with_dead_letter(
                text(set, "x-dead-letter-exchange"),
                text(set, "x-dead-letter-routing-key"),
            );
        }
        topology = topology.queue(wanted);
    }
    for binding in golden["bindings"].as_array().unwrap() {
        let [exchange, queue, pattern] =
            ["exchange", "queue", "routing_key"].map(|key| text(binding, key));
        topology = topology.bind(exchange, queue, pattern);
    }
    (topology, golden)
}

/// The columns of a row that the golden file has. From 4.0 on the broker writes the type into the arguments by itself.
fn like(row: &Value, golden: &Value) -> Value {
    let mut row = row.clone();
    if let Some(set) = row["arguments"].as_object_mut() {
        set.retain(|name, value| name != arguments::QUEUE_TYPE || value != "classic");
    }
    let columns = golden.as_object().unwrap().keys();
    columns.map(|key| (key.clone(), row[key].clone())).collect()
}

#[tokio::test]
async fn the_golden_topology_of_petisco_is_declared_exactly() {
    let Some(bed) = bed().await else { return };
    let (topology, golden) = golden();
    open(&bed).await.declare(&topology).await.unwrap();
    for kind in ["exchanges", "queues"] {
        let found = bed.host.get(&format!("/api/{kind}/{{}}")).await;
        let wanted = golden[kind].as_array().unwrap();
        assert_eq!(names(&found).len(), wanted.len(), "{kind}");
        for wanted in wanted {
            let found = found.as_array().unwrap();
            let found = found.iter().find(|row| row["name"] == wanted["name"]);
            assert_eq!(like(found.unwrap(), wanted), *wanted);
        }
    }
    let found = bed.host.get("/api/bindings/{}").await;
    let mut found: Vec<_> = found
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["source"] != "")
        .map(|row| json!([row["source"], row["destination"], row["routing_key"]]).to_string())
        .collect();
    let wanted = golden["bindings"].as_array().unwrap();
    let mut wanted: Vec<_> = wanted
        .iter()
        .map(|row| json!([row["exchange"], row["queue"], row["routing_key"]]).to_string())
        .collect();
    found.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(found, wanted);
}

#[tokio::test]
async fn declaring_again_changes_nothing() {
    let Some(bed) = bed().await else { return };
    let rabbitmq = open(&bed).await;
    rabbitmq.declare(&topology()).await.unwrap();
    let before = bed.host.get("/api/bindings/{}").await;
    rabbitmq.declare(&topology()).await.unwrap();
    open(&bed).await.declare(&topology()).await.unwrap();
    assert_eq!(bed.host.get("/api/bindings/{}").await, before);
    assert!(rabbitmq.compare(&topology()).await.unwrap().is_empty());
}

/// A number of a channel that the broker has closed is never used again by the client.
#[tokio::test]
async fn few_channels_are_enough_for_many_questions() {
    let Some(bed) = bed().await else { return };
    let url = format!("{}&channel_max=4", bed.url());
    let rabbitmq = RabbitMq::from_url(&url).await.unwrap();
    let busy = Topology::new().queue(Queue::new("busy"));
    rabbitmq.declare(&busy).await.unwrap();
    let publisher = rabbitmq.publisher().await.unwrap();
    let call = Call::new(Address::queue("busy"), Envelope::new("held"));
    publisher.publish(call).await.unwrap();
    let subscribed = rabbitmq.subscribe(Subscription::to("busy")).await;
    let held = subscribed.unwrap().next().await.unwrap().unwrap();
    for _ in 0..9 {
        let missing = rabbitmq.queues(&["nothing".into()]).await.unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound, "{missing}");
    }
    // The connection of the consumers has no part in it.
    held.settle(Settlement::Ack).await.unwrap();
    let mut wanted = topology();
    for number in 0..9 {
        wanted = wanted.queue(Queue::new(format!("queue.{number}")));
    }
    rabbitmq.declare(&wanted).await.unwrap();
    assert_eq!(rabbitmq.compare(&wanted).await.unwrap(), []);
}

#[tokio::test]
async fn hundreds_of_queues_are_declared_and_found_again() {
    let Some(bed) = bed().await else { return };
    let mut topology = Topology::new().exchange(Exchange::topic("acme"));
    for queue in 0..100 {
        let name = format!("queue.{queue}");
        topology = topology.queue(Queue::new(name.as_str()));
        for pattern in 0..4 {
            topology = topology.bind("acme", name.as_str(), format!("{queue}.{pattern}"));
        }
    }
    let rabbitmq = open(&bed).await;
    assert_eq!(
        rabbitmq.compare(&topology).await.unwrap().len(),
        1 + 100 + 400
    );
    rabbitmq.declare(&topology).await.unwrap();
    assert!(rabbitmq.compare(&topology).await.unwrap().is_empty());
    assert_eq!(rabbitmq.queues(&[]).await.unwrap().len(), 100);
    rabbitmq.delete(&topology).await.unwrap();
    check_nothing_exists(&bed).await;
}

#[tokio::test]
async fn every_setting_that_differs_is_named() {
    let Some(bed) = bed().await else { return };
    let rabbitmq = open(&bed).await;
    rabbitmq.declare(&topology()).await.unwrap();

    let mut wanted = topology();
    wanted.queues[0].message_ttl = Some(Duration::from_millis(1_500));
    check_conflict(
        &rabbitmq,
        &wanted,
        "queue `orders` exists with message TTL 5000 ms, this declaration wants 1500 ms: change the setting or delete the queue",
    )
    .await;
    wanted.queues[0].message_ttl = None;
    wanted.queues[0].dead_letter = Some(DeadLetter {
        exchange: "other".into(),
        key: None,
    });
    wanted.queues[1].durable = false;
    wanted.queues[1].arguments.set(arguments::MAX_LENGTH, 7);
    wanted.exchanges[0].kind = ExchangeKind::Direct;
    check_conflict(
        &rabbitmq,
        &wanted,
        "exchange `acme` exists with kind topic, this declaration wants direct; \
         queue `orders` exists with message TTL 5000 ms, this declaration wants none; \
         queue `orders` exists with dead-letter exchange `dead`, this declaration wants `other`; \
         queue `orders` exists with dead-letter key `dead.orders`, this declaration wants none; \
         queue `plain` exists with durable true, this declaration wants false; \
         queue `plain` exists with argument `x-max-length` none, this declaration wants 7: \
         change the settings or delete what has others",
    )
    .await;
    let differences = rabbitmq.compare(&wanted).await.unwrap();
    assert_eq!(differences.len(), 6);
    assert!(
        differences
            .iter()
            .all(|difference| difference.is_conflict())
    );
    assert!(
        rabbitmq.compare(&topology()).await.unwrap().is_empty(),
        "nothing was changed"
    );
}

#[tokio::test]
async fn a_refused_topology_leaves_nothing_behind() {
    let Some(bed) = bed().await else { return };
    let rabbitmq = open(&bed).await;
    let check = async |topology: Topology, kind: ErrorKind, mentions: &[&str]| {
        let error = rabbitmq.declare(&topology).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        for word in mentions {
            assert!(error.to_string().contains(word), "{error}");
        }
        check_nothing_exists(&bed).await;
    };
    let some = || topology().exchange(Exchange::topic("more"));
    check(
        some().bind("nowhere", "orders", "#"),
        ErrorKind::Misuse,
        &["exchange `nowhere` does not exist"],
    )
    .await;
    check(
        some().bind("acme", "nothing", "#"),
        ErrorKind::Misuse,
        &["queue `nothing` does not exist"],
    )
    .await;
    let odd = Queue::new("odd").with_argument(arguments::MAX_LENGTH, "seven");
    check(
        some().queue(odd),
        ErrorKind::Misuse,
        &["cannot declare queue `odd`", "expected integer"],
    )
    .await;
    let later = Queue::new("later")
        .with_argument(arguments::QUEUE_TYPE, "quorum")
        .with_argument(arguments::DELAYED_RETRY_TYPE, "failed");
    // From 4.3 on it would be created.
    if let Err(error) = rabbitmq.declare(&some().queue(later)).await {
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("4.3"), "{error}");
        check_nothing_exists(&bed).await;
    }
}

#[tokio::test]
async fn deleting_what_is_not_there_is_fine() {
    let Some(bed) = bed().await else { return };
    let rabbitmq = open(&bed).await;
    rabbitmq.delete(&topology()).await.unwrap();
    rabbitmq.declare(&topology()).await.unwrap();
    rabbitmq.delete(&topology()).await.unwrap();
    check_nothing_exists(&bed).await;
    rabbitmq.delete(&topology()).await.unwrap();
    rabbitmq.declare(&topology()).await.unwrap();
}

#[tokio::test]
async fn quorum_queues_are_declared_where_wanted() {
    let Some(bed) = bed().await else { return };
    let url = format!("{}&queue_type=quorum", bed.url());
    let rabbitmq = RabbitMq::from_url(&url).await.unwrap();
    let wanted = Topology::new()
        .queue(Queue::new("shared"))
        .queue(Queue::new("classic").with_argument(arguments::QUEUE_TYPE, "classic"))
        .queue(Queue::exclusive("mine"));
    rabbitmq.declare(&wanted).await.unwrap();
    rabbitmq.declare(&wanted).await.unwrap();
    let found = bed.host.get("/api/queues/{}").await;
    let of = |name: &str| {
        let mut rows = found.as_array().unwrap().iter();
        rows.find(|row| row["name"] == name).unwrap()["type"].clone()
    };
    assert_eq!(
        [of("shared"), of("classic"), of("mine")],
        ["quorum", "classic", "classic"]
    );
    assert_eq!(rabbitmq.compare(&wanted).await.unwrap(), []);
    let binding = Binding::new("amq.topic", "shared", "#");
    let bound = Topology {
        bindings: vec![binding],
        ..Topology::new()
    };
    rabbitmq.declare(&bound).await.unwrap();
}
