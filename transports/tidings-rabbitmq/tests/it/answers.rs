//! Answers that go on the channel of the deliveries: what the broker refuses of them harms no delivery, or all only once.

use lapin::{options::QueueBindOptions, types::FieldTable};
use tidings_core::{
    Address, Call, Deadline, Delivery, Envelope, ErrorKind, Result,
    transport::{Subscription, Transport},
};
use tidings_rabbitmq::RabbitMq;

use crate::{
    bed::{Bed, bed, until},
    consuming::{LIMIT, ack, declare, fill, next, open, wait_for},
    refusals::{remove, user},
};

/// Answers a delivery through an exchange, ahead of its ack.
async fn answer(delivery: Delivery, exchange: &str) -> (Delivery, Result<()>) {
    let (call, acker) = delivery.split();
    let to = Address::new(exchange, "caller");
    let answer = Call::new(to, Envelope::new("done")).unroutable_is_fine();
    let taken = acker.answerer().unwrap().answer(answer).unwrap();
    (Delivery::new(call, acker), taken.await)
}

/// A queue with so many deliveries, and an exchange.
async fn prepare(bed: &Bed, exchange: &str, deliveries: u32) -> lapin::Channel {
    let channel = bed.channel().await;
    declare(&channel, "q").await;
    fill(&channel, "q", deliveries).await;
    create(bed, exchange).await;
    channel
}

async fn create(bed: &Bed, exchange: &str) {
    let path = format!("/api/exchanges/{{}}/{exchange}");
    bed.host.put(&path, r#"{"type": "direct"}"#).await;
}

#[tokio::test]
async fn an_answer_that_we_may_not_send_harms_no_delivery() {
    let Some(bed) = bed().await else { return };
    let channel = prepare(&bed, "theirs", 3).await;
    let may = r#"{"configure": "", "write": "^mine$", "read": ".*"}"#;
    let user = user(&bed, Some(may)).await;
    let transport = RabbitMq::from_url(&bed.url_as(&user, "s3cret")).await;
    let transport = transport.unwrap();
    let mut subscriber = transport.subscribe(Subscription::to("q")).await.unwrap();
    let other = next(&mut subscriber).await;
    for _ in 0..2 {
        let (delivery, taken) = answer(next(&mut subscriber).await, "theirs").await;
        let refused = taken.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Denied, "{refused}");
        let text = refused.to_string();
        for word in ["`theirs/caller`", &user, "permission to write"] {
            assert!(text.contains(word), "`{text}` does not say `{word}`");
        }
        ack(delivery).await;
    }
    assert!(!other.is_lost());
    ack(other).await;
    wait_for(&channel, "q", (0, 1)).await;
    transport.close(Deadline::after(LIMIT)).await.unwrap();
    wait_for(&channel, "q", (0, 0)).await;
    remove(&bed, &user).await;
}

#[tokio::test]
async fn an_exchange_that_was_deleted_ends_no_more_than_one_channel() {
    let Some(bed) = bed().await else { return };
    prepare(&bed, "action", 7).await;
    let transport = open(&bed).await;
    let mut subscriber = transport.subscribe(Subscription::to("q")).await.unwrap();
    for _ in 0..2 {
        let (delivery, taken) = answer(next(&mut subscriber).await, "action").await;
        taken.unwrap();
        ack(delivery).await;
    }
    bed.host.delete("/api/exchanges/{}/action").await;
    let (first, other) = (next(&mut subscriber).await, next(&mut subscriber).await);
    let (first, _) = answer(first, "action").await;
    until("the channel has ended", async || {
        first.is_lost() && other.is_lost()
    })
    .await;
    drop((first, other));
    let other = next(&mut subscriber).await;
    for _ in 0..2 {
        let (delivery, taken) = answer(next(&mut subscriber).await, "action").await;
        let refused = taken.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::NotFound, "{refused}");
        ack(delivery).await;
    }
    create(&bed, "action").await;
    for _ in 0..2 {
        let (delivery, taken) = answer(next(&mut subscriber).await, "action").await;
        taken.unwrap();
        ack(delivery).await;
    }
    // How many come in all is not said: the last acks before the end of a channel may be lost with it.
    assert!(!other.is_lost());
    ack(other).await;
    transport.close(Deadline::after(LIMIT)).await.unwrap();
}

/// Nobody waits until an answer is written, so the end has to.
async fn check_the_end(leaves_first: bool) {
    const MANY: u32 = 200;
    let Some(bed) = bed().await else { return };
    let channel = prepare(&bed, "action", MANY).await;
    declare(&channel, "caller").await;
    let (options, none) = (QueueBindOptions::default(), FieldTable::default());
    let bound = channel.queue_bind(
        "caller".into(),
        "action".into(),
        "caller".into(),
        options,
        none,
    );
    bound.await.unwrap();
    let transport = open(&bed).await;
    let mut subscriber = transport.subscribe(Subscription::to("q")).await.unwrap();
    for _ in 0..MANY {
        let (delivery, taken) = answer(next(&mut subscriber).await, "action").await;
        taken.unwrap();
        ack(delivery).await;
    }
    if leaves_first {
        drop(subscriber);
    }
    transport.close(Deadline::after(LIMIT)).await.unwrap();
    wait_for(&channel, "caller", (MANY, 0)).await;
    wait_for(&channel, "q", (0, 0)).await;
}

#[tokio::test]
async fn answers_and_their_acks_are_sent_before_the_close() {
    check_the_end(false).await;
}

#[tokio::test]
async fn answers_and_their_acks_are_sent_after_the_subscriber_has_left() {
    check_the_end(true).await;
}
