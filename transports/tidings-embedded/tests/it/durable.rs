//! What is in the file: recovery, group commit, and publishes that are sent twice.

use std::time::Duration;

use rusqlite::Connection;
use tidings_core::{
    Deadline, ErrorKind, HeaderValue, Headers, Settlement,
    headers::X_DEATH,
    topology::{Exchange, Queue, Topology},
    transport::{Subscriber, Subscription, Transport},
};
use tidings_embedded::{
    FileConfig,
    broker::{Broker, ProducerId},
};

use crate::{
    bed::{Bed, call, next, text},
    directory::Directory,
};

const PRODUCER: ProducerId = ProducerId(42);

fn one_queue() -> Topology {
    Topology::new().queue(Queue::new("q"))
}

async fn broker(directory: &Directory) -> Broker {
    Broker::durable(FileConfig::new(directory.file("broker")))
        .await
        .unwrap()
}

/// Everything in the queue, and whether it is marked as redelivered.
async fn contents(broker: &Broker) -> Vec<(String, bool)> {
    let connection = broker.connect();
    let count = broker.queues(&["q".into()]).unwrap()[0].ready;
    let to = Subscription::to("q").with_prefetch(1_000);
    let mut subscriber: Box<dyn Subscriber> = Box::new(broker.subscribe(connection, to).unwrap());
    let mut found = Vec::new();
    for _ in 0..count {
        let delivery = next(&mut subscriber).await;
        found.push((text(&delivery), delivery.call().is_redelivered()));
        delivery.settle(Settlement::Ack).await.unwrap();
    }
    found
}

#[tokio::test]
async fn after_a_clean_end_only_what_was_delivered_is_marked() {
    let bed = Bed::durable(one_queue()).await;
    for text in ["acked", "held", "nacked", "untouched"] {
        bed.publish("q", text).await.unwrap();
    }
    let mut subscriber = bed.subscribe("q", 3).await;
    next(&mut subscriber)
        .await
        .settle(Settlement::Ack)
        .await
        .unwrap();
    let held = next(&mut subscriber).await;
    next(&mut subscriber)
        .await
        .settle(Settlement::Nack { delay: None })
        .await
        .unwrap();
    let bed = bed.reopen().await;
    assert_eq!(
        held.settle(Settlement::Ack).await.unwrap_err().kind(),
        ErrorKind::Closed
    );
    let mut subscriber = bed.subscribe("q", 3).await;
    for expected in [("held", true), ("nacked", true), ("untouched", false)] {
        let delivery = next(&mut subscriber).await;
        assert_eq!(
            (&*text(&delivery), delivery.call().is_redelivered()),
            expected
        );
        delivery.settle(Settlement::Ack).await.unwrap();
    }
}

/// A broker that is dropped without being closed leaves the file as a crash does.
#[tokio::test]
async fn after_a_crash_a_queue_without_consumers_is_not_marked() {
    let directory = Directory::new();
    let first = broker(&directory).await;
    first
        .declare(
            first.connect(),
            &Topology::new()
                .queue(Queue::new("q"))
                .queue(Queue::new("other")),
        )
        .await
        .unwrap();
    first.publish(None, call("q", "it")).await.unwrap();
    drop(first);
    let second = broker(&directory).await;
    assert_eq!(contents(&second).await, [("it".into(), false)]);
    second.publish(None, call("q", "seen")).await.unwrap();
    drop(second);
    let third = broker(&directory).await;
    assert_eq!(
        contents(&third).await,
        [("seen".into(), true)],
        "the queue had a consumer"
    );
}

#[tokio::test]
async fn transient_messages_and_queues_go_and_the_rest_stays_in_order() {
    let topology = Topology::new()
        .exchange(Exchange::topic("x"))
        .queue(Queue::new("q"))
        .queue(Queue {
            durable: false,
            ..Queue::new("gone")
        })
        .bind("x", "q", "a.#")
        .bind("x", "gone", "a.#");
    let bed = Bed::durable(topology).await;
    let to_both = |text: &str| {
        let mut call = call("", text);
        call.address = tidings_core::Address::new("x", "a.b");
        call
    };
    bed.publisher.publish(to_both("one")).await.unwrap();
    let mut transient = to_both("transient");
    transient.envelope.persistent = false;
    // Not awaited in between: the order is that of the calls all the same.
    let (one, two) = (
        bed.publisher.publish(transient),
        bed.publisher.publish(to_both("two")),
    );
    one.await.unwrap();
    two.await.unwrap();
    let bed = bed.reopen().await;
    assert_eq!(bed.drain("q", 2).await, ["one", "two"]);
    assert_eq!(
        bed.publish("gone", "x").await.unwrap_err().kind(),
        ErrorKind::Unroutable
    );
    bed.publisher.publish(to_both("three")).await.unwrap();
    assert_eq!(bed.drain("q", 1).await, ["three"]);
}

#[tokio::test]
async fn a_queue_keeps_its_settings_and_a_message_its_headers() {
    let queue = Queue {
        arguments: Headers::new()
            .with("x-anything", HeaderValue::List(vec![1.into(), true.into()])),
        ..Queue::new("q")
            .with_ttl(Duration::from_millis(3_600_000))
            .with_dead_letter("", "dead")
    };
    let topology = Topology::new().queue(queue).queue(Queue::new("dead"));
    let bed = Bed::durable(topology.clone()).await;
    let mut it = call("q", "it");
    it.envelope.headers.set("n", 7);
    bed.publisher.publish(it).await.unwrap();
    let mut subscriber = bed.subscribe("q", 1).await;
    next(&mut subscriber)
        .await
        .settle(Settlement::Reject)
        .await
        .unwrap();
    let bed = bed.reopen().await;
    bed.transport.declare(&topology).await.unwrap();
    let mut dead = bed.subscribe("dead", 1).await;
    let delivery = next(&mut dead).await;
    let headers = &delivery.call().envelope.headers;
    assert_eq!(headers.int("n"), Some(7));
    assert!(headers.get(X_DEATH).is_some());
}

#[tokio::test]
async fn an_expiry_that_passed_while_nothing_ran_is_seen_to() {
    let topology = Topology::new()
        .queue(
            Queue::new("q")
                .with_ttl(Duration::from_millis(30))
                .with_dead_letter("", "dead"),
        )
        .queue(Queue::new("dead"));
    let bed = Bed::durable(topology).await;
    bed.publish("q", "it").await.unwrap();
    let bed = bed.reopen().await;
    assert_eq!(bed.drain("dead", 1).await, ["it"]);
    assert_eq!(bed.status("q").await.ready, 0);
}

#[tokio::test]
async fn a_publish_sent_again_after_a_crash_is_stored_once() {
    let directory = Directory::new();
    let first = broker(&directory).await;
    first.declare(first.connect(), &one_queue()).await.unwrap();
    for sequence in 1..=2 {
        let sent = first.publish(Some((PRODUCER, sequence)), call("q", &sequence.to_string()));
        sent.await.unwrap();
    }
    first
        .publish(Some((PRODUCER, 2)), call("q", "2"))
        .await
        .unwrap();
    drop(first);
    let second = broker(&directory).await;
    for sequence in 1..=3 {
        let sent = second.publish(Some((PRODUCER, sequence)), call("q", &sequence.to_string()));
        sent.await.unwrap();
    }
    let found: Vec<_> = contents(&second)
        .await
        .into_iter()
        .map(|(text, _)| text)
        .collect();
    assert_eq!(found, ["1", "2", "3"]);
}

#[tokio::test]
async fn a_refused_publish_is_tried_again_after_a_crash() {
    let directory = Directory::new();
    let first = broker(&directory).await;
    let connection = first.connect();
    let refused = first.publish(Some((PRODUCER, 1)), call("q", "1")).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unroutable);
    first.declare(connection, &one_queue()).await.unwrap();
    first
        .publish(Some((PRODUCER, 2)), call("q", "2"))
        .await
        .unwrap();
    drop(first);
    let second = broker(&directory).await;
    second
        .publish(Some((PRODUCER, 1)), call("q", "1"))
        .await
        .unwrap();
    second
        .publish(Some((PRODUCER, 2)), call("q", "2"))
        .await
        .unwrap();
    let found: Vec<_> = contents(&second)
        .await
        .into_iter()
        .map(|(text, _)| text)
        .collect();
    assert_eq!(found, ["2", "1"], "each of them once");
}

/// With one commit per publish this would take as many `fsync`s; the window makes it independent of the disk.
#[tokio::test]
async fn concurrent_publishes_share_commits() {
    let bed = Bed::durable_with("?window_ms=200&sync=full", one_queue()).await;
    let started = std::time::Instant::now();
    let sent: Vec<_> = (0..500)
        .map(|number| bed.publisher.publish(call("q", &number.to_string())))
        .collect();
    for completion in sent {
        completion.await.unwrap();
    }
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "500 publishes waited for {:?}",
        started.elapsed()
    );
    let bed = bed.reopen().await;
    let expected: Vec<_> = (0..500).map(|number| number.to_string()).collect();
    assert_eq!(bed.drain("q", 500).await, expected);
}

#[tokio::test]
async fn what_is_settled_leaves_the_file() {
    let bed = Bed::durable(one_queue()).await;
    for text in ["one", "two"] {
        bed.publish("q", text).await.unwrap();
    }
    bed.drain("q", 1).await;
    let path = bed.file();
    bed.transport.close(Deadline::NEVER).await.unwrap();
    let file = Connection::open(path).unwrap();
    let count: i64 = file
        .query_row("SELECT count(*) FROM messages", [], |row| row.get(0))
        .unwrap();
    assert_eq!(count, 1);
}

#[tokio::test]
async fn a_delay_goes_on_after_a_restart() {
    let bed = Bed::durable(one_queue()).await;
    bed.publish("q", "later").await.unwrap();
    let mut subscriber = bed.subscribe("q", 1).await;
    let delay = Duration::from_millis(400);
    let started = std::time::Instant::now();
    next(&mut subscriber)
        .await
        .settle(Settlement::Nack { delay: Some(delay) })
        .await
        .unwrap();
    let bed = bed.reopen().await;
    let mut subscriber = bed.subscribe("q", 1).await;
    let delivery = next(&mut subscriber).await;
    assert!(delivery.call().is_redelivered());
    assert!(
        started.elapsed() + Duration::from_millis(2) >= delay,
        "{:?}",
        started.elapsed()
    );
}
