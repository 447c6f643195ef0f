//! What others declared: as good as ours, or different in a setting that is named.

use std::time::Duration;

use lapin::{options::QueueDeclareOptions, types::FieldTable};
use tidings_core::{
    ErrorKind,
    topology::{Exchange, Queue, Topology, arguments},
    transport::Transport,
};

use crate::{
    bed::{Bed, bed},
    declaring::open,
};

/// Declares a queue through the HTTP API, as somebody else.
async fn put(bed: &Bed, queue: &str, body: &str) {
    bed.host
        .put(&format!("/api/queues/{{}}/{queue}"), body)
        .await;
}

/// Declares one thing, which must be refused with these words.
async fn check(bed: &Bed, wanted: Topology, kind: ErrorKind, mentions: &str) {
    let error = open(bed).await.declare(&wanted).await.unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(mentions), "{error}");
}

fn queue(queue: Queue) -> Topology {
    Topology::new().queue(queue)
}

#[tokio::test]
async fn what_others_wrote_another_way_is_as_good() {
    let Some(bed) = bed().await else { return };
    // The HTTP API writes 64-bit numbers, and names the type where it need not be.
    put(
        &bed,
        "wide",
        r#"{"durable": true, "arguments": {"x-message-ttl": 5000}}"#,
    )
    .await;
    put(
        &bed,
        "typed",
        r#"{"durable": true, "arguments": {"x-queue-type": "classic"}}"#,
    )
    .await;
    let wanted = Topology::new()
        .queue(Queue::new("wide").with_ttl(Duration::from_secs(5)))
        .queue(Queue::new("typed"));
    let rabbitmq = open(&bed).await;
    rabbitmq.declare(&wanted).await.unwrap();
    assert_eq!(rabbitmq.compare(&wanted).await.unwrap(), []);
}

#[tokio::test]
async fn what_others_wrote_differently_is_named() {
    let Some(bed) = bed().await else { return };
    put(
        &bed,
        "quorum",
        r#"{"durable": true, "arguments": {"x-queue-type": "quorum"}}"#,
    )
    .await;
    put(&bed, "ends", r#"{"durable": true, "auto_delete": true}"#).await;
    put(&bed, "shared", r#"{"durable": true}"#).await;
    let inner = r#"{"type": "topic", "durable": true, "internal": true}"#;
    bed.host.put("/api/exchanges/{}/inner", inner).await;
    let odd = r#"{"type": "headers", "durable": false}"#;
    bed.host.put("/api/exchanges/{}/odd", odd).await;
    for (wanted, mentions) in [
        (
            queue(Queue::new("quorum")),
            "queue `quorum` exists with argument `x-queue-type` `quorum`, this declaration wants none",
        ),
        (
            queue(Queue::new("ends")),
            "queue `ends` exists with auto-delete true, this declaration wants false",
        ),
        (
            queue(Queue::exclusive("shared")),
            "queue `shared` exists with exclusive false, this declaration wants true",
        ),
        (
            Topology::new().exchange(Exchange::topic("inner")),
            "exchange `inner` exists with internal true, this declaration wants false",
        ),
        (
            Topology::new().exchange(Exchange::topic("odd")),
            "exchange `odd` exists with kind headers, this declaration wants topic; exchange `odd` exists with durable false",
        ),
    ] {
        check(&bed, wanted, ErrorKind::Conflict, mentions).await;
    }
}

#[tokio::test]
async fn what_belongs_to_another_connection_is_denied() {
    let Some(bed) = bed().await else { return };
    let channel = bed.channel().await;
    let exclusive = QueueDeclareOptions {
        exclusive: true,
        ..QueueDeclareOptions::default()
    };
    let declared = channel.queue_declare("theirs".into(), exclusive, FieldTable::default());
    declared.await.unwrap();
    let denied = "queue `theirs` belongs exclusively to another connection";
    check(
        &bed,
        queue(Queue::exclusive("theirs")),
        ErrorKind::Denied,
        denied,
    )
    .await;
    let bound = Topology::new().bind("amq.topic", "theirs", "#");
    check(&bed, bound, ErrorKind::Denied, denied).await;
    let rabbitmq = open(&bed).await;
    let error = rabbitmq.queues(&["theirs".into()]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    let seen = rabbitmq
        .compare(&queue(Queue::new("theirs")))
        .await
        .unwrap();
    assert!(seen.len() == 1 && !seen[0].is_conflict(), "{seen:?}");
}

#[tokio::test]
async fn a_text_that_the_broker_cuts_off_is_shown_as_far_as_it_goes() {
    let Some(bed) = bed().await else { return };
    let (name, key) = ("q".repeat(120), "k".repeat(200));
    let body = format!(
        r#"{{"durable": true, "arguments": {{"{}": "dead", "{}": "{key}"}}}}"#,
        arguments::DEAD_LETTER_EXCHANGE,
        arguments::DEAD_LETTER_KEY
    );
    put(&bed, &name, &body).await;
    let wanted = queue(Queue::new(name.as_str()).with_dead_letter("dead", "other"));
    check(
        &bed,
        wanted,
        ErrorKind::Conflict,
        "exists with dead-letter key",
    )
    .await;
}

#[tokio::test]
async fn a_quorum_queue_of_others_keeps_its_delivery_limit() {
    let Some(bed) = bed().await else { return };
    put(
        &bed,
        "limited",
        r#"{"durable": true, "arguments": {"x-queue-type": "quorum", "x-delivery-limit": 3}}"#,
    )
    .await;
    put(
        &bed,
        "unlimited",
        r#"{"durable": true, "arguments": {"x-queue-type": "quorum"}}"#,
    )
    .await;
    // From 4.0 on we ask for no limit where nobody wants one. A queue that was declared otherwise is not refused for that.
    let wanted = queue(Queue::new("unlimited").with_argument(arguments::QUEUE_TYPE, "quorum"));
    let rabbitmq = open(&bed).await;
    rabbitmq.declare(&wanted).await.unwrap();
    rabbitmq.declare(&wanted).await.unwrap();
}
