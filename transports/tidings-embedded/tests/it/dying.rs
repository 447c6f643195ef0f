//! Messages that expire or are rejected: when exactly, where they go, and what they take with them.

use std::time::Duration;

use tidings_core::{
    Address, Call, Delivery, Envelope, HeaderValue, Headers, Settlement,
    headers::{X_DEATH, X_FIRST_DEATH_QUEUE, X_FIRST_DEATH_REASON},
    topology::{Exchange, Queue, Topology},
    transport::Transport,
};
use tokio::time::Instant;

use crate::bed::{Bed, assert_silent, call, next, take, text};

const TTL: Duration = Duration::from_secs(10);

/// The topology of a subscriber with retries: main queue, retry queue that leads back, dead letters.
fn with_retries() -> Topology {
    Topology::new()
        .exchange(Exchange::topic("acme"))
        .exchange(Exchange::topic("retry.acme"))
        .exchange(Exchange::topic("dead_letter.acme"))
        .queue(Queue::new("main").with_dead_letter("dead_letter.acme", "dead_letter.main"))
        .queue(
            Queue::new("retry.main")
                .with_ttl(TTL)
                .with_dead_letter("acme", "retry.main"),
        )
        .queue(Queue::new("dead_letter.main"))
        .bind("acme", "main", "user.created")
        .bind("acme", "main", "retry.main")
        .bind("retry.acme", "retry.main", "retry.main")
        .bind("dead_letter.acme", "dead_letter.main", "dead_letter.main")
}

fn deaths(delivery: &Delivery) -> Vec<(String, String, i64)> {
    let headers = &delivery.call().envelope.headers;
    let list = headers
        .get(X_DEATH)
        .and_then(HeaderValue::as_list)
        .unwrap_or_default();
    let row = |table: &Headers| {
        let text = |name| table.text(name).unwrap().to_owned();
        (text("queue"), text("reason"), table.int("count").unwrap())
    };
    list.iter()
        .map(|value| row(value.as_table().unwrap()))
        .collect()
}

fn expiring(queue: &str, text: &str, after: Duration) -> Call {
    let mut call = call(queue, text);
    call.envelope.properties.fields_mut().expiration = Some(after);
    call
}

#[tokio::test(start_paused = true)]
async fn a_retried_message_comes_back_after_its_ttl_with_its_history() {
    let bed = Bed::memory(with_retries()).await;
    let mut main = bed.subscribe("main", 1).await;
    let retry = |envelope: Envelope| {
        bed.publisher.publish(Call::new(
            Address::new("retry.acme", "retry.main"),
            envelope,
        ))
    };
    retry(Envelope::new("it")).await.unwrap();
    for round in 1..=3 {
        let started = Instant::now();
        let delivery = next(&mut main).await;
        assert_eq!(started.elapsed().as_secs(), TTL.as_secs(), "round {round}");
        assert_eq!(
            deaths(&delivery),
            [("retry.main".into(), "expired".into(), round)]
        );
        assert_eq!(delivery.call().address, Address::new("acme", "retry.main"));
        assert!(
            !delivery.call().is_redelivered(),
            "a dead letter is a new message"
        );
        let envelope = delivery.call().envelope.clone();
        retry(envelope).await.unwrap();
        delivery.settle(Settlement::Ack).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_rejected_message_goes_on_with_its_reason() {
    let bed = Bed::memory(with_retries()).await;
    bed.publisher
        .publish(Call::new(
            Address::new("acme", "user.created"),
            Envelope::new("it"),
        ))
        .await
        .unwrap();
    let mut main = bed.subscribe("main", 1).await;
    next(&mut main)
        .await
        .settle(Settlement::Reject)
        .await
        .unwrap();
    let mut dead = bed.subscribe("dead_letter.main", 1).await;
    let delivery = next(&mut dead).await;
    assert_eq!(deaths(&delivery), [("main".into(), "rejected".into(), 1)]);
    let headers = &delivery.call().envelope.headers;
    assert_eq!(headers.text(X_FIRST_DEATH_QUEUE), Some("main"));
    assert_eq!(headers.text(X_FIRST_DEATH_REASON), Some("rejected"));
}

#[tokio::test(start_paused = true)]
async fn expiry_is_exact_behind_a_message_that_stays() {
    let topology = Topology::new()
        .queue(Queue::new("q").with_dead_letter("", "dead"))
        .queue(Queue::new("dead"));
    let bed = Bed::memory(topology).await;
    bed.publish("q", "stays").await.unwrap();
    bed.publisher
        .publish(expiring("q", "late", TTL * 2))
        .await
        .unwrap();
    bed.publisher
        .publish(expiring("q", "soon", TTL))
        .await
        .unwrap();
    let started = Instant::now();
    let mut dead = bed.subscribe("dead", 2).await;
    let soon = next(&mut dead).await;
    assert_eq!(
        (text(&soon), started.elapsed().as_secs()),
        ("soon".into(), 10)
    );
    assert_eq!(
        soon.call().envelope.properties.expiration(),
        None,
        "it would expire again"
    );
    assert_eq!(take(&mut dead).await, "late");
    assert_eq!(started.elapsed().as_secs(), 20);
    assert_eq!(bed.status("q").await.ready, 1);
}

#[tokio::test(start_paused = true)]
async fn the_shorter_of_two_lifetimes_counts() {
    let topology = Topology::new()
        .queue(Queue::new("q").with_ttl(TTL).with_dead_letter("", "dead"))
        .queue(Queue::new("dead"));
    let bed = Bed::memory(topology).await;
    let started = Instant::now();
    bed.publisher
        .publish(expiring("q", "own", TTL / 2))
        .await
        .unwrap();
    bed.publisher
        .publish(expiring("q", "queue", TTL * 2))
        .await
        .unwrap();
    let mut dead = bed.subscribe("dead", 2).await;
    assert_eq!(take(&mut dead).await, "own");
    assert_eq!(started.elapsed().as_secs(), 5);
    assert_eq!(take(&mut dead).await, "queue");
    assert_eq!(started.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_lifetime_of_zero_needs_a_waiting_consumer() {
    let topology = Topology::new()
        .queue(Queue::new("q").with_dead_letter("", "dead"))
        .queue(Queue::new("dead"));
    let bed = Bed::memory(topology).await;
    bed.publisher
        .publish(expiring("q", "nobody", Duration::ZERO))
        .await
        .unwrap();
    assert_eq!(bed.drain("dead", 1).await, ["nobody"]);

    let mut waiting = bed.subscribe("q", 10).await;
    assert_silent(&mut waiting).await;
    bed.publisher
        .publish(expiring("q", "first", Duration::ZERO))
        .await
        .unwrap();
    bed.publisher
        .publish(expiring("q", "second", Duration::ZERO))
        .await
        .unwrap();
    assert_eq!(take(&mut waiting).await, "first");
    assert_eq!(
        bed.drain("dead", 1).await,
        ["second"],
        "one consumer waited, for one message"
    );

    assert_silent(&mut waiting).await;
    bed.publisher
        .publish(expiring("q", "too late", Duration::ZERO))
        .await
        .unwrap();
    drop(waiting);
    assert_eq!(bed.drain("dead", 1).await, ["too late"]);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_would_circle_for_ever_is_dropped() {
    let topology = Topology::new()
        .queue(Queue::new("a").with_ttl(TTL).with_dead_letter("", "b"))
        .queue(Queue::new("b").with_ttl(TTL).with_dead_letter("", "a"));
    let bed = Bed::memory(topology).await;
    bed.publish("a", "round").await.unwrap();
    tokio::time::sleep(TTL * 5).await;
    let all = bed.transport.queues(&[]).await.unwrap();
    assert!(all.iter().all(|queue| queue.ready == 0), "{all:?}");
}

#[tokio::test(start_paused = true)]
async fn headers_that_a_client_sent_do_not_make_a_cycle() {
    let bed = Bed::memory(with_retries()).await;
    bed.publisher
        .publish(Call::new(
            Address::new("retry.acme", "retry.main"),
            Envelope::new("it"),
        ))
        .await
        .unwrap();
    let mut main = bed.subscribe("main", 1).await;
    let envelope = next(&mut main).await.call().envelope.clone();
    assert!(envelope.headers.get(X_DEATH).is_some());
    let again = Call::new(Address::new("retry.acme", "retry.main"), envelope);
    let mut other = bed.subscribe("main", 1).await;
    bed.publisher.publish(again).await.unwrap();
    // The delivery that was dropped above comes again; the copy must come, too.
    next(&mut main).await.settle(Settlement::Ack).await.unwrap();
    let copy = next(&mut other).await;
    assert_eq!(deaths(&copy), [("retry.main".into(), "expired".into(), 2)]);
}

#[tokio::test(start_paused = true)]
async fn a_delayed_nack_holds_one_message_back_and_keeps_its_place() {
    let bed = Bed::memory(Topology::new().queue(Queue::new("q"))).await;
    for text in ["one", "two", "three"] {
        bed.publish("q", text).await.unwrap();
    }
    let mut subscriber = bed.subscribe("q", 1).await;
    let one = next(&mut subscriber).await;
    one.settle(Settlement::Nack { delay: Some(TTL) })
        .await
        .unwrap();
    let two = next(&mut subscriber).await;
    assert_eq!(text(&two), "two");
    assert_eq!(
        bed.status("q").await.ready,
        2,
        "what is held back counts as ready"
    );
    tokio::time::sleep(TTL * 2).await;
    two.settle(Settlement::Ack).await.unwrap();
    let back = next(&mut subscriber).await;
    assert_eq!(text(&back), "one", "it is before `three` again");
    assert!(back.call().is_redelivered());
}

#[tokio::test(start_paused = true)]
async fn what_is_held_back_expires_all_the_same() {
    let topology = Topology::new()
        .queue(Queue::new("q").with_ttl(TTL).with_dead_letter("", "dead"))
        .queue(Queue::new("dead"));
    let bed = Bed::memory(topology).await;
    bed.publish("q", "it").await.unwrap();
    let mut subscriber = bed.subscribe("q", 1).await;
    next(&mut subscriber)
        .await
        .settle(Settlement::Nack {
            delay: Some(TTL * 3),
        })
        .await
        .unwrap();
    let started = Instant::now();
    assert_eq!(bed.drain("dead", 1).await, ["it"]);
    assert_eq!(started.elapsed().as_secs(), TTL.as_secs());
}
