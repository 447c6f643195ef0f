//! Subscriptions at their limits: no channel left, and more deliveries than are taken in one go.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use lapin::{
    BasicProperties, Channel,
    options::{BasicPublishOptions, QueueDeclareOptions},
    types::FieldTable,
};
use tidings_core::{
    Delivery, ErrorKind, Settlement,
    transport::{Subscriber, Subscription, Transport},
};
use tidings_rabbitmq::RabbitMq;
use tokio::time::timeout;

use crate::bed::{bed, until};

async fn fill(channel: &Channel, queue: &str, count: u32) {
    let options = QueueDeclareOptions::durable();
    let declared = channel.queue_declare(queue.into(), options, FieldTable::default());
    declared.await.unwrap();
    let publishes = stream::iter(0..count).map(|_| async {
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        let sent = channel.basic_publish("".into(), queue.into(), options, b"x", properties);
        sent.await.unwrap().await.unwrap();
    });
    publishes.buffered(1_000).collect::<Vec<_>>().await;
}

async fn next(subscriber: &mut Box<dyn Subscriber>) -> Delivery {
    let next = timeout(Duration::from_secs(30), subscriber.next()).await;
    next.expect("in time").expect("open").unwrap()
}

#[tokio::test]
async fn a_subscription_without_a_channel_is_refused_and_harms_no_other() {
    let Some(bed) = bed().await else { return };
    let channel = bed.channel().await;
    fill(&channel, "q", 8).await;
    let url = format!("{}?channel_max=5", bed.plain_url());
    let transport = RabbitMq::from_url(&url).await.unwrap();
    let to = || Subscription::to("q").with_prefetch(1);
    let mut held = Vec::new();
    let refused = loop {
        match transport.subscribe(to()).await {
            Ok(mut subscriber) => held.push((next(&mut subscriber).await, subscriber)),
            Err(refused) => break refused,
        }
        assert!(held.len() <= 5, "no more subscriptions than channels");
    };
    assert_eq!(refused.kind(), ErrorKind::Full, "{refused}");
    assert!(held.len() >= 4, "{}", held.len());
    for (delivery, _subscriber) in held {
        // The connection it came on is still there.
        delivery.settle(Settlement::Ack).await.unwrap();
    }
}

#[tokio::test]
async fn everything_that_was_not_handed_out_goes_back_however_much_it_is() {
    let Some(bed) = bed().await else { return };
    let channel = bed.channel().await;
    fill(&channel, "q", 5_000).await;
    let transport = RabbitMq::from_url(&bed.url()).await.unwrap();
    let to = Subscription::to("q").with_prefetch(5_000);
    let mut subscriber = transport.subscribe(to).await.unwrap();
    let held = next(&mut subscriber).await;
    drop(subscriber);
    let passive = QueueDeclareOptions {
        passive: true,
        ..QueueDeclareOptions::default()
    };
    until("all but the one that is held are ready again", async || {
        let found = channel.queue_declare("q".into(), passive, FieldTable::default());
        found.await.unwrap().message_count() == 4_999
    })
    .await;
    held.settle(Settlement::Ack).await.unwrap();
}
