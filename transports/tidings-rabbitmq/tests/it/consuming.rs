//! Subscriptions on a real broker: what they survive, what they report, and that no ack hits the wrong message.

use std::{collections::BTreeSet, future::poll_fn, pin::pin, task::Poll, time::Duration};

use futures_util::{StreamExt, stream};
use lapin::{
    BasicProperties, Channel,
    options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions},
    types::{AMQPValue, FieldTable},
};
use tidings_core::{
    Address, Call, Deadline, Delivery, Envelope, ErrorKind, Settlement,
    topology::{Queue, Topology, arguments},
    transport::{Subscriber, Subscription, Transport},
};
use tidings_rabbitmq::RabbitMq;
use tidings_testkit::proxy::Proxy;
use tokio::time::{interval, timeout};

use crate::bed::{Bed, bed};

/// Longer than anything here takes on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

pub(crate) async fn open(bed: &Bed) -> RabbitMq {
    RabbitMq::from_url(&bed.url()).await.unwrap()
}

/// A transport whose connections can be broken.
pub(crate) async fn open_behind_a_proxy(bed: &Bed) -> (Proxy, RabbitMq) {
    let proxy = Proxy::start(bed.host.address()).await.unwrap();
    let url = bed.host.url_through(proxy.address());
    let transport = RabbitMq::from_url(&url).await.unwrap();
    (proxy, transport)
}

/// A durable queue that this transport does not know.
pub(crate) async fn declare(channel: &Channel, queue: &str) {
    let options = QueueDeclareOptions::durable();
    let declared = channel.queue_declare(queue.into(), options, FieldTable::default());
    declared.await.unwrap();
}

/// Publishes the numbers from 0 on, confirmed.
pub(crate) async fn fill(channel: &Channel, queue: &str, count: u32) {
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await
        .unwrap();
    let publishes = stream::iter(0..count).map(|number| async move {
        let properties = BasicProperties::default().with_delivery_mode(2);
        let (options, body) = (BasicPublishOptions::default(), number.to_be_bytes());
        let sent = channel.basic_publish("".into(), queue.into(), options, &body, properties);
        assert!(sent.await.unwrap().await.unwrap().is_ack());
    });
    publishes.buffered(1_000).collect::<Vec<_>>().await;
}

/// How many messages are ready and how many consumers there are.
async fn look(channel: &Channel, queue: &str) -> (u32, u32) {
    let options = QueueDeclareOptions {
        passive: true,
        ..QueueDeclareOptions::default()
    };
    let found = channel.queue_declare(queue.into(), options, FieldTable::default());
    let found = found.await.unwrap();
    (found.message_count(), found.consumer_count())
}

/// Looks until the queue is as expected.
pub(crate) async fn wait_for(channel: &Channel, queue: &str, expected: (u32, u32)) {
    let mut looks = interval(Duration::from_millis(20));
    let looking = async {
        while look(channel, queue).await != expected {
            looks.tick().await;
        }
    };
    if timeout(LIMIT, looking).await.is_err() {
        panic!("{:?} instead of {expected:?}", look(channel, queue).await);
    }
}

pub(crate) async fn next(subscriber: &mut Box<dyn Subscriber>) -> Delivery {
    let next = timeout(LIMIT, subscriber.next()).await;
    next.expect("a delivery in time")
        .expect("the subscription is open")
        .unwrap()
}

pub(crate) fn number(delivery: &Delivery) -> u32 {
    u32::from_be_bytes(
        delivery.call().envelope.payload.bytes[..]
            .try_into()
            .unwrap(),
    )
}

pub(crate) async fn ack(delivery: Delivery) {
    delivery.settle(Settlement::Ack).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_loses_no_message_and_marks_the_repeated_ones() {
    let Some(bed) = bed().await else { return };
    let channel = bed.channel().await;
    declare(&channel, "q").await;
    fill(&channel, "q", 20_000).await;
    let (proxy, transport) = open_behind_a_proxy(&bed).await;
    let to = Subscription::to("q").with_prefetch(256);
    let mut subscriber = transport.subscribe(to).await.unwrap();

    let (mut seen, mut lost_acks) = (BTreeSet::new(), 0);
    while seen.len() < 20_000 {
        let delivery = next(&mut subscriber).await;
        let number = number(&delivery);
        let is_new = seen.insert(number);
        assert!(
            is_new || delivery.call().is_redelivered(),
            "{number} is repeated and not marked"
        );
        lost_acks += u32::from(delivery.settle(Settlement::Ack).await.is_err());
        if is_new && seen.len() % 4_000 == 0 && seen.len() < 20_000 {
            // By turns a connection that breaks, and one that the broker closes.
            match seen.len() % 8_000 {
                0 => drop(bed.host.close_connections().await),
                _ => proxy.reset().await,
            }
        }
    }
    assert_eq!(seen.last(), Some(&19_999));
    // Acks that were on their way were lost; their messages come again.
    while let Ok(again) = timeout(Duration::from_secs(1), subscriber.next()).await {
        let delivery = again.unwrap().unwrap();
        assert!(delivery.call().is_redelivered() && seen.contains(&number(&delivery)));
        ack(delivery).await;
    }
    transport.close(Deadline::after(LIMIT)).await.unwrap();
    // Our own channel was closed like the others.
    wait_for(&bed.channel().await, "q", (0, 0)).await;
    assert!(lost_acks < 5 * 256, "{lost_acks}");
}

#[tokio::test]
async fn settling_after_a_lost_connection_says_that_the_message_comes_again() {
    let Some(bed) = bed().await else { return };
    let channel = bed.channel().await;
    declare(&channel, "q").await;
    fill(&channel, "q", 3).await;
    let (proxy, transport) = open_behind_a_proxy(&bed).await;
    let mut subscriber = transport.subscribe(Subscription::to("q")).await.unwrap();
    let stale = [next(&mut subscriber).await, next(&mut subscriber).await];
    proxy.reset().await;
    // The tags of the new channel begin at 1 again. The broker may give another order to what it took back.
    let mut fresh = Vec::new();
    while fresh.len() < 3 {
        fresh.push(next(&mut subscriber).await);
    }
    for delivery in stale {
        assert!(delivery.is_lost());
        let error = delivery.settle(Settlement::Ack).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Closed);
        assert!(error.to_string().contains("will come again"), "{error}");
    }
    for delivery in &fresh {
        assert!(delivery.call().is_redelivered() || number(delivery) == 2);
    }
    drop(fresh);
    let mut seen = BTreeSet::new();
    while seen.len() < 3 {
        let delivery = next(&mut subscriber).await;
        assert!(seen.insert(number(&delivery)), "no stale ack hit another");
        ack(delivery).await;
    }
    transport.close(Deadline::after(LIMIT)).await.unwrap();
    assert_eq!(look(&channel, "q").await, (0, 0));
}

#[tokio::test]
async fn recorded_acks_are_sent_before_the_end() {
    let Some(bed) = bed().await else { return };
    let channel = bed.channel().await;
    declare(&channel, "q").await;
    fill(&channel, "q", 40).await;
    let transport = open(&bed).await;
    let to = Subscription::to("q").with_prefetch(256);
    let mut subscriber = transport.subscribe(to).await.unwrap();
    let mut kept = None;
    for number in 0..40 {
        let delivery = next(&mut subscriber).await;
        match number {
            // In the middle, so that no single ack covers all others.
            20 => kept = Some(delivery),
            _ => ack(delivery).await,
        }
    }
    transport.close(Deadline::after(LIMIT)).await.unwrap();
    assert!(subscriber.next().await.is_none());
    let late = kept.unwrap().settle(Settlement::Ack).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Closed);
    wait_for(&channel, "q", (1, 0)).await;
}

#[tokio::test]
async fn a_subscriber_that_is_dropped_gives_back_what_it_did_not_hand_out() {
    let Some(bed) = bed().await else { return };
    let channel = bed.channel().await;
    declare(&channel, "q").await;
    fill(&channel, "q", 100).await;
    let transport = open(&bed).await;
    let to = Subscription::to("q").with_prefetch(50);
    let mut subscriber = transport.subscribe(to).await.unwrap();
    let (first, second) = (next(&mut subscriber).await, next(&mut subscriber).await);
    wait_for(&channel, "q", (50, 1)).await;
    drop(subscriber);
    wait_for(&channel, "q", (98, 0)).await;
    // What was handed out stays ours.
    ack(second).await;
    first
        .settle(Settlement::Nack { delay: None })
        .await
        .unwrap();
    wait_for(&channel, "q", (99, 0)).await;
    assert!(transport.impairments().is_empty());
    transport.close(Deadline::after(LIMIT)).await.unwrap();
}

/// RabbitMQ ends a connection over an address that leads to no node; the callers of others must not feel it.
#[tokio::test]
async fn an_answer_that_makes_the_broker_crash_is_given_up_and_harms_no_delivery() {
    let Some(bed) = bed().await else { return };
    let channel = bed.channel().await;
    declare(&channel, "q").await;
    fill(&channel, "q", 1).await;
    let transport = open(&bed).await;
    let mut subscriber = transport.subscribe(Subscription::to("q")).await.unwrap();
    let (_, acker) = next(&mut subscriber).await.split();
    let made_up = Address::queue("amq.rabbitmq.reply-to.g2g=.x");
    let answer = Call::new(made_up, Envelope::new(&b"reply"[..]));
    let answer = acker.answerer().unwrap().answer(answer).unwrap_err();
    let publisher = transport.publisher().await.unwrap();
    let gone = publisher.publish(*answer).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound, "{gone}");
    acker.settle(Settlement::Ack).await.unwrap();
    wait_for(&channel, "q", (0, 1)).await;
    transport.close(Deadline::after(LIMIT)).await.unwrap();
}

#[tokio::test]
async fn a_next_that_is_dropped_loses_nothing() {
    let Some(bed) = bed().await else { return };
    let channel = bed.channel().await;
    declare(&channel, "q").await;
    let transport = open(&bed).await;
    let mut subscriber = transport.subscribe(Subscription::to("q")).await.unwrap();
    let mut given_up = 0;
    let mut seen = Vec::new();
    let reading = async {
        while seen.len() < 200 {
            // Polled once, and dropped unless a delivery is there already.
            match poll_fn(|cx| Poll::Ready(pin!(subscriber.next()).poll(cx))).await {
                Poll::Ready(delivery) => {
                    let delivery = delivery.unwrap().unwrap();
                    seen.push(number(&delivery));
                    ack(delivery).await;
                }
                Poll::Pending => given_up += 1,
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(LIMIT, async {
        tokio::join!(fill(&channel, "q", 200), reading)
    })
    .await
    .expect("all in time");
    assert!(
        given_up > 0 && seen == (0..200).collect::<Vec<_>>(),
        "{given_up} {seen:?}"
    );
}

#[tokio::test]
async fn a_queue_that_was_declared_here_is_declared_again_when_it_is_deleted() {
    let Some(bed) = bed().await else { return };
    let channel = bed.channel().await;
    let transport = open(&bed).await;
    let topology = Topology::new().queue(Queue::new("q"));
    transport.declare(&topology).await.unwrap();
    let mut subscriber = transport.subscribe(Subscription::to("q")).await.unwrap();
    fill(&channel, "q", 1).await;
    let held = next(&mut subscriber).await;
    let options = QueueDeleteOptions::default();
    channel.queue_delete("q".into(), options).await.unwrap();
    // A look at a queue that is missing would close the channel, a publish is only lost.
    let delivery = loop {
        fill(&channel, "q", 1).await;
        if let Ok(delivery) = timeout(Duration::from_millis(100), subscriber.next()).await {
            break delivery.unwrap().unwrap();
        }
    };
    assert!(!delivery.call().is_redelivered());
    assert!(held.settle(Settlement::Ack).await.is_err());
    ack(delivery).await;
    assert!(transport.impairments().is_empty());
    transport.close(Deadline::after(LIMIT)).await.unwrap();
}

#[tokio::test]
async fn a_queue_that_was_declared_elsewhere_ends_its_subscription_when_it_is_deleted() {
    let Some(bed) = bed().await else { return };
    let channel = bed.channel().await;
    declare(&channel, "q").await;
    let transport = open(&bed).await;
    let mut subscriber = transport.subscribe(Subscription::to("q")).await.unwrap();
    let options = QueueDeleteOptions::default();
    channel.queue_delete("q".into(), options).await.unwrap();
    let error = timeout(LIMIT, subscriber.next())
        .await
        .unwrap()
        .unwrap()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(
        error.to_string().contains("queue `q` was deleted"),
        "{error}"
    );
    assert!(subscriber.next().await.is_none());
    assert!(transport.impairments().is_empty());
}

#[tokio::test]
async fn subscribing_says_why_it_is_refused() {
    let Some(bed) = bed().await else { return };
    let channel = bed.channel().await;
    let exclusive = QueueDeclareOptions {
        exclusive: true,
        ..QueueDeclareOptions::default()
    };
    let declared = channel.queue_declare("mine".into(), exclusive, FieldTable::default());
    declared.await.unwrap();
    let transport = open(&bed).await;
    for (queue, kind, text) in [
        (
            "missing",
            ErrorKind::NotFound,
            "queue `missing` does not exist: declare it first",
        ),
        (
            "mine",
            ErrorKind::Denied,
            "queue `mine` belongs exclusively to another connection",
        ),
    ] {
        let refused = transport.subscribe(Subscription::to(queue)).await;
        let error = refused.err().expect("a refusal");
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(text), "{error}");
    }
    let long = transport.subscribe(Subscription::to("q".repeat(256))).await;
    assert_eq!(long.err().unwrap().kind(), ErrorKind::Misuse);
    // The connection is unharmed.
    declare(&channel, "q").await;
    assert!(transport.subscribe(Subscription::to("q")).await.is_ok());
}

#[tokio::test]
async fn five_hundred_subscriptions_share_a_connection_and_come_back_together() {
    let Some(bed) = bed().await else { return };
    let channel = bed.channel().await;
    let (proxy, transport) = open_behind_a_proxy(&bed).await;
    let names: Vec<String> = (0..500).map(|number| format!("q{number}")).collect();
    let mut subscribers = Vec::new();
    for name in &names {
        declare(&channel, name).await;
        let to = Subscription::to(name.as_str());
        subscribers.push(transport.subscribe(to).await.unwrap());
    }
    proxy.refuse().await;
    proxy.reset().await;
    let concerned = || {
        let impairments = transport.impairments();
        impairments.iter().filter(|it| it.queue.is_some()).count()
    };
    let mut looks = interval(Duration::from_millis(10));
    let impaired = async {
        while concerned() < 500 {
            looks.tick().await;
        }
    };
    timeout(LIMIT, impaired).await.expect("all are impaired");
    proxy.accept().await.unwrap();
    for (name, subscriber) in names.iter().zip(&mut subscribers) {
        fill(&channel, name, 1).await;
        ack(next(subscriber).await).await;
    }
    assert!(transport.impairments().is_empty());
    transport.close(Deadline::after(LIMIT)).await.unwrap();
    for name in &names {
        assert_eq!(look(&channel, name).await, (0, 0), "{name}");
    }
}

/// A stream with numbers in it.
async fn fill_stream(channel: &Channel, count: u32) {
    let mut arguments = FieldTable::default();
    let kind = AMQPValue::LongString("stream".into());
    arguments.insert(arguments::QUEUE_TYPE.into(), kind);
    let options = QueueDeclareOptions::durable();
    let declared = channel.queue_declare("s".into(), options, arguments);
    declared.await.unwrap();
    fill(channel, "s", count).await;
}

#[tokio::test]
async fn a_stream_goes_on_where_it_was_left_and_keeps_what_is_given_back() {
    let Some(bed) = bed().await else { return };
    let channel = bed.channel().await;
    fill_stream(&channel, 100).await;
    let (proxy, transport) = open_behind_a_proxy(&bed).await;
    let to = Subscription::to("s").with_argument(arguments::STREAM_OFFSET, "first");
    let mut subscriber = transport.subscribe(to).await.unwrap();
    let mut held = None;
    for expected in 0..50 {
        let delivery = next(&mut subscriber).await;
        assert_eq!(number(&delivery), expected);
        match expected {
            20 => drop(delivery.settle(Settlement::Reject)),
            21 => drop(delivery.settle(Settlement::Nack { delay: None })),
            40 => held = Some(delivery),
            _ => ack(delivery).await,
        }
    }
    proxy.reset().await;
    // What had arrived before may still come out.
    let mut delivery = next(&mut subscriber).await;
    while number(&delivery) != 40 {
        delivery = next(&mut subscriber).await;
    }
    ack(delivery).await;
    for expected in 41..100 {
        let delivery = next(&mut subscriber).await;
        assert_eq!(number(&delivery), expected, "from the first one unsettled");
        ack(delivery).await;
    }
    assert!(held.unwrap().settle(Settlement::Ack).await.is_err());
    transport.close(Deadline::after(LIMIT)).await.unwrap();
}
