//! Declaring: what is created is what was asked for, and what is refused is refused with everything that differs.

use std::time::Duration;

use lapin::{
    Channel,
    options::{ExchangeDeclareOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};
use serde_json::{Value, json};
use tidings_core::{
    ErrorKind, Result,
    topology::{Binding, DeadLetter, Exchange, ExchangeKind, Queue, Topology, arguments},
    transport::Transport,
};
use tidings_rabbitmq::RabbitMq;

use crate::bed::{Bed, bed};

const GOLDEN: &str =
    include_str!("../../../../conventions/tidings-domain/tests/golden/topology.json");

async fn open(bed: &Bed) -> RabbitMq {
    RabbitMq::from_url(&bed.url()).await.unwrap()
}

/// An exchange and a queue with a setting of each kind.
fn topology() -> Topology {
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

fn names(list: &Value) -> Vec<&str> {
    let rows = list.as_array().into_iter().flatten();
    let mut names: Vec<_> = rows.filter_map(|row| row["name"].as_str()).collect();
    names.retain(|name| !name.is_empty() && !name.starts_with("amq."));
    names.sort_unstable();
    names
}

async fn check_nothing_exists(bed: &Bed) {
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

/// The columns of a row that the golden file has.
fn like(row: &Value, golden: &Value) -> Value {
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

async fn declare_by_hand(
    channel: &Channel,
    queue: &str,
    options: QueueDeclareOptions,
    arguments: &[(&str, AMQPValue)],
) {
    let mut table = FieldTable::default();
    for (name, value) in arguments {
        table.insert((*name).into(), value.clone());
    }
    channel
        .queue_declare(queue.into(), options, table)
        .await
        .unwrap();
}

#[tokio::test]
async fn what_others_declared_differs_or_is_as_good() {
    let Some(bed) = bed().await else { return };
    let (channel, durable) = (bed.channel().await, QueueDeclareOptions::durable());
    let text = |text: &str| AMQPValue::LongString(text.into());
    declare_by_hand(
        &channel,
        "wide",
        durable,
        &[("x-message-ttl", AMQPValue::LongLongInt(5_000))],
    )
    .await;
    declare_by_hand(
        &channel,
        "typed",
        durable,
        &[("x-queue-type", text("classic"))],
    )
    .await;
    declare_by_hand(
        &channel,
        "quorum",
        durable,
        &[("x-queue-type", text("quorum"))],
    )
    .await;
    declare_by_hand(
        &channel,
        "ends",
        QueueDeclareOptions {
            auto_delete: true,
            ..durable
        },
        &[],
    )
    .await;
    declare_by_hand(
        &channel,
        "mine",
        QueueDeclareOptions {
            exclusive: true,
            ..Default::default()
        },
        &[],
    )
    .await;
    let internal = ExchangeDeclareOptions {
        internal: true,
        durable: true,
        ..Default::default()
    };
    let kind = lapin::ExchangeKind::Topic;
    channel
        .exchange_declare("inner".into(), kind, internal, FieldTable::default())
        .await
        .unwrap();

    let rabbitmq = open(&bed).await;
    let declare = async |topology: Topology| rabbitmq.declare(&topology).await;
    let wide = Queue::new("wide").with_ttl(Duration::from_secs(5));
    declare(Topology::new().queue(wide).queue(Queue::new("typed")))
        .await
        .unwrap();
    let check = async |topology: Topology, mentions: &str| {
        let error = declare(topology).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.to_string().contains(mentions), "{error}");
    };
    check(
        Topology::new().queue(Queue::new("quorum")),
        "exists with argument `x-queue-type` `quorum`, this declaration wants none",
    )
    .await;
    check(
        Topology::new().queue(Queue::new("ends")),
        "exists with auto-delete true, this declaration wants false",
    )
    .await;
    check(
        Topology::new().queue(Queue::exclusive("typed")),
        "exists with exclusive false, this declaration wants true",
    )
    .await;
    check(
        Topology::new().exchange(Exchange::topic("inner")),
        "exists with internal true, this declaration wants false",
    )
    .await;

    let denied = declare(Topology::new().queue(Queue::exclusive("mine")))
        .await
        .unwrap_err();
    assert_eq!(denied.kind(), ErrorKind::Denied);
    assert!(
        denied.to_string().contains("`mine` belongs exclusively"),
        "{denied}"
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
async fn a_comparison_creates_nothing_and_sees_bindings_by_the_http_api() {
    let Some(bed) = bed().await else { return };
    let (seeing, blind) = (
        open(&bed).await,
        RabbitMq::from_url(&bed.plain_url()).await.unwrap(),
    );
    let shown = async |on: &RabbitMq, topology: &Topology| {
        let differences = on.compare(topology).await.unwrap();
        differences
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    let everything = [
        "exchange `acme` does not exist",
        "queue `orders` does not exist",
        "queue `plain` does not exist",
        "binding `acme` to `orders` for `order.*` does not exist",
    ];
    assert_eq!(shown(&seeing, &topology()).await, everything);
    assert_eq!(shown(&blind, &topology()).await, everything);
    check_nothing_exists(&bed).await;

    seeing.declare(&topology()).await.unwrap();
    let more = topology().bind("acme", "plain", "#");
    let missing = "binding `acme` to `plain` for `#` does not exist";
    assert_eq!(shown(&seeing, &more).await, [missing]);
    let unseen = shown(&blind, &more).await;
    assert_eq!(unseen.len(), 2);
    assert!(
        unseen[1].starts_with("binding `acme` to `plain` for `#` cannot be seen")
            && unseen[1].contains("`management`"),
        "{}",
        unseen[1]
    );
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
async fn the_state_of_queues_is_told() -> Result<()> {
    let Some(bed) = bed().await else {
        return Ok(());
    };
    let rabbitmq = open(&bed).await;
    rabbitmq.declare(&topology()).await?;
    let found = rabbitmq.queues(&["plain".into(), "orders".into()]).await?;
    let found: Vec<_> = found
        .iter()
        .map(|queue| (&*queue.name, queue.ready, queue.unsettled))
        .collect();
    assert_eq!(found, [("plain", 0, None), ("orders", 0, None)]);
    let error = rabbitmq
        .queues(&["orders".into(), "nothing".into()])
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (
            ErrorKind::NotFound,
            "queue `nothing` does not exist: declare it first"
        )
    );

    let all = rabbitmq.queues(&[]).await?;
    let all: Vec<_> = all
        .iter()
        .map(|queue| (&*queue.name, queue.unsettled, queue.rates.is_some()))
        .collect();
    assert_eq!(all, [("orders", Some(0), true), ("plain", Some(0), true)]);

    let blind = RabbitMq::from_url(&bed.plain_url()).await?;
    let error = blind.queues(&[]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(
        error.to_string().contains(":15672") && error.to_string().contains("`management`"),
        "{error}"
    );
    Ok(())
}

/// Waits until something is so; half a minute is a failure.
async fn until(what: &str, reached: impl AsyncFn() -> bool) {
    let mut tick = tokio::time::interval(Duration::from_millis(50));
    let waiting = async {
        while !reached().await {
            tick.tick().await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(30), waiting).await;
    assert!(waited.is_ok(), "{what} did not come to pass");
}

/// The HTTP API sees a connection some moments after it was opened.
async fn lose_connections(bed: &Bed) {
    until("the connections are seen and closed", async || {
        bed.host.close_connections().await >= 2
    })
    .await;
}

#[tokio::test]
async fn what_was_declared_comes_back_with_the_connection() {
    let Some(bed) = bed().await else { return };
    let rabbitmq = open(&bed).await;
    let mine = topology()
        .queue(Queue::exclusive("mine"))
        .bind("acme", "mine", "#");
    rabbitmq.declare(&mine).await.unwrap();
    rabbitmq
        .declare(&Topology::new().queue(Queue::new("gone")))
        .await
        .unwrap();
    rabbitmq
        .delete(&Topology::new().queue(Queue::new("gone")))
        .await
        .unwrap();
    bed.host.delete("/api/queues/{}/orders").await;
    lose_connections(&bed).await;
    until("everything is back", async || {
        let missing = rabbitmq.compare(&mine).await;
        missing.is_ok_and(|missing| missing.is_empty())
    })
    .await;
    assert_eq!(
        names(&bed.host.get("/api/queues/{}").await),
        ["mine", "orders", "plain"]
    );
}

#[tokio::test]
async fn what_cannot_come_back_is_an_impairment() {
    let Some(bed) = bed().await else { return };
    let rabbitmq = open(&bed).await;
    rabbitmq.declare(&topology()).await.unwrap();
    bed.host.delete("/api/queues/{}/orders").await;
    bed.host
        .put(
            "/api/queues/{}/orders",
            r#"{"durable": true, "arguments": {"x-message-ttl": 1}}"#,
        )
        .await;
    bed.host.delete("/api/queues/{}/plain").await;
    lose_connections(&bed).await;
    let of_orders = || {
        let impairments = rabbitmq.impairments();
        let found = impairments
            .into_iter()
            .find(|it| it.queue.as_deref() == Some("orders"));
        found.map(|it| it.reason)
    };
    until("the impairment is told", async || of_orders().is_some()).await;
    let reason = of_orders().unwrap();
    assert!(
        reason.contains("x-message-ttl") && reason.contains("queue `orders`"),
        "{reason}"
    );
    until("the rest is back", async || {
        rabbitmq.queues(&["plain".into()]).await.is_ok()
    })
    .await;

    bed.host.delete("/api/queues/{}/orders").await;
    rabbitmq.declare(&topology()).await.unwrap();
    assert_eq!(of_orders(), None, "declared again, all is well");
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
