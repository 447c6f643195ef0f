//! A broker that is short of memory: which connections it stops reading from, and what waits for it.

use std::{sync::Arc, time::Duration};

use tidings_core::{
    Address, Call, Deadline, Envelope, ErrorKind, Settlement,
    topology::{Queue, Topology},
    transport::{Publisher, Subscription, Transport},
};
use tidings_rabbitmq::RabbitMq;
use tidings_testkit::rabbitmq::{Node, VirtualHost};
use tokio::time::timeout;

use crate::{
    bed::until,
    consuming::{LIMIT, next},
};

const QUEUE: &str = "q";
const MANY: u32 = 100;
/// Fewer than there are, so that acks must be read.
const PREFETCH: u16 = 5;

fn message(number: u32) -> Call {
    let body = number.to_string();
    Call::new(Address::queue(QUEUE), Envelope::new(body))
}

/// With a short patience for confirms and for silence.
async fn open(host: &VirtualHost) -> RabbitMq {
    let url = format!("{}&confirm_timeout_ms=500&heartbeat=2", host.url());
    let transport = RabbitMq::from_url(&url).await.unwrap();
    let topology = Topology::new().queue(Queue::new(QUEUE));
    transport.declare(&topology).await.unwrap();
    transport
}

fn is_blocked(transport: &RabbitMq) -> bool {
    let mut impairments = transport.impairments().into_iter();
    impairments.any(|impairment| impairment.reason.ends_with("low on memory"))
}

/// Publishes until the broker says that it does not read any more; how many of them it has taken.
async fn meet_the_alarm(transport: &RabbitMq, publisher: &Arc<dyn Publisher>) -> u32 {
    let mut taken = 0;
    let meeting = async {
        while !is_blocked(transport) {
            taken += u32::from(publisher.publish(message(0)).await.is_ok());
        }
    };
    timeout(LIMIT, meeting).await.expect("the alarm is met");
    taken
}

#[tokio::test]
async fn an_alarm_stops_publishes_and_no_acks_and_what_is_patient_waits_for_its_end() {
    let Some(node) = Node::start("alarms").await else {
        return;
    };
    let host = node.virtual_host("alarms").await;
    let transport = open(&host).await;
    let publisher = transport.publisher().await.unwrap();
    for number in 0..MANY {
        publisher.publish(message(number)).await.unwrap();
    }
    node.raise_alarm().await;
    let taken = meet_the_alarm(&transport, &publisher).await;
    let patient = publisher.publish(message(MANY).patiently());
    // Again and again, for longer than a connection may be silent.
    for _ in 0..10 {
        let error = publisher.publish(message(0)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("low on memory"), "{error}");
    }
    let to = Subscription::to(QUEUE).with_prefetch(PREFETCH);
    let mut subscriber = transport.subscribe(to).await.unwrap();
    for _ in 0..MANY + taken {
        let delivery = next(&mut subscriber).await;
        delivery.settle(Settlement::Ack).await.unwrap();
    }
    let impairments = transport.impairments();
    let is_about_acks = |reason: &str| reason.starts_with("the inbound");
    assert!(
        !impairments.iter().any(|it| is_about_acks(&it.reason)),
        "{impairments:?}"
    );
    node.clear_alarm().await;
    timeout(LIMIT, patient).await.unwrap().unwrap();
    // The one that met the alarm may be there as well: nobody said that it was not.
    let mut is_last = false;
    while !is_last {
        let delivery = next(&mut subscriber).await;
        is_last = delivery.call().envelope.payload.bytes == MANY.to_string();
        delivery.settle(Settlement::Ack).await.unwrap();
    }
    until("nothing impairs it", async || {
        transport.impairments().is_empty()
    })
    .await;
    transport.close(Deadline::after(LIMIT)).await.unwrap();
}

/// Neither its acks nor its goodbye are read; RabbitMQ notices with a heartbeat that its socket has ended.
#[tokio::test]
async fn what_a_blocked_connection_had_received_goes_back_when_it_is_closed() {
    let Some(node) = Node::start("alarms-end").await else {
        return;
    };
    let host = node.virtual_host("alarms").await;
    let transport = open(&host).await;
    let publisher = transport.publisher().await.unwrap();
    for _ in 0..2 {
        publisher.publish(message(1)).await.unwrap();
    }
    let (mut subscriber, mut deliveries) = {
        let subscribed = transport.subscribe(Subscription::to(QUEUE)).await;
        (subscribed.unwrap(), Vec::new())
    };
    while deliveries.len() < 2 {
        deliveries.push(next(&mut subscriber).await.split());
    }
    // The first answer to an exchange is confirmed, the second goes on the connection of its request.
    let answer = |acker: &tidings_core::Acker| {
        let answerer = acker.answerer().unwrap();
        answerer.answer(message(2)).expect("there is a way")
    };
    answer(&deliveries[0].1).await.unwrap();
    node.raise_alarm().await;
    answer(&deliveries[1].1).await.unwrap();
    until("the way in is blocked", async || is_blocked(&transport)).await;
    drop((deliveries, subscriber));
    let short = Deadline::after(Duration::from_millis(100));
    transport.close(short).await.unwrap();

    // While the alarm goes on.
    let other = open(&host).await;
    let subscribed = other.subscribe(Subscription::to(QUEUE)).await;
    let mut subscriber = subscribed.unwrap();
    let mut again = 0;
    while again < 2 {
        let delivery = next(&mut subscriber).await;
        again += u32::from(delivery.call().is_redelivered());
        delivery.settle(Settlement::Ack).await.unwrap();
    }
    other.close(Deadline::after(LIMIT)).await.unwrap();
}

/// The broker reads none of them, and once it has said so lapin keeps back what it has not written.
#[tokio::test]
async fn answers_that_met_an_alarm_and_their_acks_are_read_after_it() {
    const DELIVERIES: u64 = 200;
    let Some(node) = Node::start("alarms-answers").await else {
        return;
    };
    let host = node.virtual_host("alarms").await;
    let transport = open(&host).await;
    let answers = Topology::new().queue(Queue::new("answers"));
    transport.declare(&answers).await.unwrap();
    let publisher = transport.publisher().await.unwrap();
    for _ in 0..DELIVERIES {
        publisher.publish(message(1)).await.unwrap();
    }
    let to = Subscription::to(QUEUE).with_prefetch(500);
    let mut subscriber = transport.subscribe(to).await.unwrap();
    let (mut answered, mut kept) = (0, Vec::new());
    for number in 0..DELIVERIES {
        let (_, acker) = next(&mut subscriber).await.split();
        let answer = Call::new(Address::queue("answers"), Envelope::new(vec![0; 50_000]));
        match acker.answerer().unwrap().answer(answer) {
            Ok(taken) => {
                taken.await.unwrap();
                acker.settle(Settlement::Ack).await.unwrap();
                answered += 1;
            }
            Err(_) => kept.push(acker),
        }
        // The first answer to an exchange is confirmed, the others go on the connection of their requests.
        if number == 0 {
            node.raise_alarm().await;
        }
    }
    until("the way in is blocked", async || is_blocked(&transport)).await;
    node.clear_alarm().await;
    until("answers and acks are read", async || {
        let (requests, answers) = (count(&host, QUEUE).await, count(&host, "answers").await);
        requests == (0, DELIVERIES - answered) && answers == (answered, 0)
    })
    .await;
    assert!(answered > 1, "some have met the alarm");
    drop(kept);
    transport.close(Deadline::after(LIMIT)).await.unwrap();
}

/// How many messages are ready, and how many are unsettled.
async fn count(host: &VirtualHost, queue: &str) -> (u64, u64) {
    let queue = host.get(&format!("/api/queues/{{}}/{queue}")).await;
    let count = |name: &str| queue[name].as_u64().unwrap_or(u64::MAX);
    (count("messages_ready"), count("messages_unacknowledged"))
}
