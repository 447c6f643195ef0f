//! Several consumers, several connections, and what exists.

use std::time::Duration;

use tidings_core::{
    Address, Call, Envelope, ErrorKind, Settlement,
    topology::{Exchange, ExchangeKind, Queue, Topology},
    transport::{Subscription, Transport},
};

use crate::bed::{Bed, assert_silent, next, text};

fn one_queue() -> Topology {
    Topology::new().queue(Queue::new("q"))
}

#[tokio::test]
async fn busy_consumers_take_turns() {
    let bed = Bed::memory(one_queue()).await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let mut subscriber = bed.subscribe("q", 1).await;
        tasks.spawn(async move {
            let mut count = 0;
            while let Some(delivery) = subscriber.next().await {
                count += 1;
                delivery.unwrap().settle(Settlement::Ack).await.unwrap();
            }
            count
        });
    }
    // Let all of them wait first: then everybody has the same chance.
    tokio::task::yield_now().await;
    for number in 0..400 {
        bed.publish("q", &number.to_string()).await.unwrap();
    }
    while bed.status("q").await.ready > 0 {
        tokio::task::yield_now().await;
    }
    bed.transport
        .close(tidings_core::Deadline::NEVER)
        .await
        .unwrap();
    let counts: Vec<i32> = tasks.join_all().await;
    assert!(
        counts.iter().all(|count| (80..=120).contains(count)),
        "{counts:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_consumer_without_room_does_not_hold_up_the_others() {
    let bed = Bed::memory(one_queue()).await;
    let mut full = bed.subscribe("q", 1).await;
    let mut free = bed.subscribe("q", 2).await;
    bed.publish("q", "one").await.unwrap();
    let held = next(&mut full).await;
    assert_silent(&mut full).await;
    bed.publish("q", "two").await.unwrap();
    bed.publish("q", "three").await.unwrap();
    let (two, three) = (next(&mut free).await, next(&mut free).await);
    assert_eq!((text(&two), text(&three)), ("two".into(), "three".into()));
    bed.publish("q", "four").await.unwrap();
    assert_silent(&mut free).await;
    held.settle(Settlement::Ack).await.unwrap();
    assert_eq!(text(&next(&mut full).await), "four");
}

#[tokio::test(start_paused = true)]
async fn a_turn_passes_on_when_its_consumer_goes() {
    let bed = Bed::memory(one_queue()).await;
    let mut first = bed.subscribe("q", 1).await;
    let mut second = bed.subscribe("q", 1).await;
    assert_silent(&mut first).await;
    let mut waits = tokio::task::JoinSet::new();
    waits.spawn(async move { text(&next(&mut second).await) });
    tokio::task::yield_now().await;
    bed.publish("q", "it").await.unwrap();
    drop(first);
    assert_eq!(waits.join_all().await, ["it"]);
}

#[tokio::test(start_paused = true)]
async fn an_exclusive_queue_is_its_connections_own() {
    let bed = Bed::memory(Topology::new()).await;
    let other = bed.transport.connect().await.unwrap();
    let topology = Topology::new().queue(Queue::exclusive("mine"));
    other.declare(&topology).await.unwrap();
    let denied = |result: tidings_core::Result<()>| {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Denied);
    };
    denied(bed.transport.declare(&topology).await);
    denied(bed.transport.delete(&topology).await);
    denied(
        bed.transport
            .subscribe(Subscription::to("mine"))
            .await
            .map(drop),
    );
    bed.publish("mine", "anybody may send to it").await.unwrap();
    other.close(tidings_core::Deadline::NEVER).await.unwrap();
    assert_eq!(
        bed.publish("mine", "gone").await.unwrap_err().kind(),
        ErrorKind::Unroutable
    );
    bed.transport.declare(&topology).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_conflict_names_what_it_has_and_what_it_wants() {
    let bed = Bed::memory(Topology::new()).await;
    let with_ttl = |millis| {
        Topology::new().queue(Queue::new("acme.q").with_ttl(Duration::from_millis(millis)))
    };
    bed.transport.declare(&with_ttl(1_000)).await.unwrap();
    bed.transport.declare(&with_ttl(1_000)).await.unwrap();
    let mut wanted = with_ttl(5_000);
    wanted.queues.insert(0, Queue::new("new"));
    let error = bed.transport.declare(&wanted).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    for word in ["acme.q", "1000 ms", "5000 ms"] {
        assert!(error.to_string().contains(word), "{error}");
    }
    let missing = bed.transport.queues(&["new".into()]).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound, "all or nothing");
}

#[tokio::test(start_paused = true)]
async fn unroutable_is_an_error_unless_it_is_fine() {
    let fanout = Exchange::new("x", ExchangeKind::Fanout);
    let bed = Bed::memory(Topology::new().exchange(fanout)).await;
    let call = |exchange: &str| Call::new(Address::new(exchange, "k"), Envelope::default());
    let kind = |result: tidings_core::Result<()>| result.unwrap_err().kind();
    let nowhere = bed.publisher.publish(call("x")).await.unwrap_err();
    assert_eq!(nowhere.kind(), ErrorKind::Unroutable);
    let said = nowhere.to_string();
    assert!(
        said.ends_with(": bind a queue, or say that this is fine"),
        "{said}"
    );
    assert_eq!(
        kind(bed.publisher.publish(call("y")).await),
        ErrorKind::NotFound
    );
    bed.publisher
        .publish(call("x").unroutable_is_fine())
        .await
        .unwrap();
    assert_eq!(
        kind(bed.publisher.publish(call("y").unroutable_is_fine()).await),
        ErrorKind::NotFound
    );
}

#[tokio::test(start_paused = true)]
async fn a_deleted_queue_ends_its_subscriptions_with_the_reason() {
    let bed = Bed::memory(one_queue()).await;
    let mut subscriber = bed.subscribe("q", 2).await;
    bed.publish("q", "held").await.unwrap();
    let held = next(&mut subscriber).await;
    bed.transport.delete(&one_queue()).await.unwrap();
    let error = subscriber.next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(subscriber.next().await.is_none());
    held.settle(Settlement::Ack).await.unwrap();
    bed.transport.delete(&one_queue()).await.unwrap();
}
