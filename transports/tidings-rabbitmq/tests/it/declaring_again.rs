//! What was declared comes back after a reconnect, or is an impairment.

use tidings_core::{
    Address, Call, Envelope, Settlement,
    topology::{Queue, Topology},
    transport::{Subscription, Transport},
};

use crate::{
    bed::{Bed, bed, until},
    declaring::{names, open, topology},
};

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
async fn a_queue_that_is_consumed_from_is_no_impairment() {
    let Some(bed) = bed().await else { return };
    let rabbitmq = open(&bed).await;
    rabbitmq.declare(&topology()).await.unwrap();
    let mut subscriber = rabbitmq
        .subscribe(Subscription::to("orders"))
        .await
        .unwrap();
    bed.host.delete("/api/queues/{}/orders").await;
    // Somebody else is faster, and wants it otherwise.
    let other = r#"{"durable": true, "arguments": {"x-message-ttl": 60000}}"#;
    bed.host.put("/api/queues/{}/orders", other).await;
    lose_connections(&bed).await;
    until("all is well", async || rabbitmq.impairments().is_empty()).await;

    let publisher = rabbitmq.publisher().await.unwrap();
    let call = Call::new(Address::queue("orders"), Envelope::new("one"));
    publisher.publish(call).await.unwrap();
    let delivery = subscriber.next().await.unwrap().unwrap();
    delivery.settle(Settlement::Ack).await.unwrap();
    assert!(rabbitmq.impairments().is_empty());
}
