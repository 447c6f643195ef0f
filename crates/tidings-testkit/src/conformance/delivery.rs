//! Delivery: what is confirmed is handed out, once, in order, to the queue it was meant for.

use std::{collections::BTreeSet, time::Duration};

use tidings_core::{
    Address, Settlement,
    topology::{Exchange, ExchangeKind, Topology},
    transport::Capability,
};

use super::{
    connection::text_call,
    reader::text,
    trial::Trial,
    verdict::{Stop, Verdict},
};

pub(super) async fn a_hundred_messages_arrive_once(on: &mut Trial) -> Verdict {
    on.queue("q").await?;
    on.fill("q", 100).await?;
    let mut reader = on.reader("q", 10).await?;
    let got: BTreeSet<_> = reader.drain(100).await?.into_iter().collect();
    ensure_eq!(got.len(), 100, "different messages");
    reader.quiet().await
}

pub(super) async fn subscribing_before_publishing_works_too(on: &mut Trial) -> Verdict {
    on.queue("q").await?;
    let mut reader = on.reader("q", 10).await?;
    for number in 0..20 {
        let number = number.to_string();
        on.publish(Address::queue("q"), &number).await?;
        let delivery = reader.take_text(&number).await?;
        delivery.settle(Settlement::Ack).await?;
    }
    Ok(())
}

pub(super) async fn a_new_subscriber_receives_old_messages(on: &mut Trial) -> Verdict {
    on.queue("q").await?;
    on.fill("q", 10).await?;
    let mut first = on.reader("q", 1).await?;
    ensure_eq!(
        first.drain(4).await?.len(),
        4,
        "messages of the first subscriber"
    );
    drop(first);
    let mut second = on.reader("q", 1).await?;
    let got: BTreeSet<_> = second.drain(6).await?.into_iter().collect();
    ensure_eq!(
        got.len(),
        6,
        "different messages left for the second subscriber"
    );
    second.quiet().await
}

pub(super) async fn two_queues_stay_separate(on: &mut Trial) -> Verdict {
    on.queue("a").await?;
    on.queue("b").await?;
    on.publish(Address::queue("a"), "for a").await?;
    on.publish(Address::queue("b"), "for b").await?;
    let (mut a, mut b) = (on.reader("a", 5).await?, on.reader("b", 5).await?);
    let (for_a, for_b) = (a.take_text("for a").await?, b.take_text("for b").await?);
    for_a.settle(Settlement::Ack).await?;
    for_b.settle(Settlement::Ack).await?;
    a.quiet().await?;
    b.quiet().await
}

pub(super) async fn every_bound_queue_gets_every_message(on: &mut Trial) -> Verdict {
    on.needs(&[Capability::Exchanges])?;
    let exchange = Exchange::new("all", ExchangeKind::Fanout);
    on.queue("group.a").await?;
    on.queue("group.b").await?;
    let bindings = Topology::new()
        .exchange(exchange)
        .bind("all", "group.a", "")
        .bind("all", "group.b", "");
    on.declare(bindings).await?;
    for number in 0..50 {
        on.publish(Address::new("all", "any"), &number.to_string())
            .await?;
    }
    for group in ["group.a", "group.b"] {
        let got: BTreeSet<_> = on
            .reader(group, 10)
            .await?
            .drain(50)
            .await?
            .into_iter()
            .collect();
        ensure_eq!(got.len(), 50, "different messages in {group}");
    }
    Ok(())
}

pub(super) async fn one_subscriber_sees_the_order_of_publishing(on: &mut Trial) -> Verdict {
    on.needs(&[Capability::Ordered])?;
    on.queue("q").await?;
    on.fill("q", 1_000).await?;
    let got = on.reader("q", 50).await?.drain(1_000).await?;
    let wanted: Vec<_> = (0..1_000).map(|number: usize| number.to_string()).collect();
    let first_wrong = got
        .iter()
        .zip(&wanted)
        .position(|(got, wanted)| got != wanted);
    ensure_eq!(first_wrong, None, "first message out of order");
    Ok(())
}

/// 1,000 messages in 16 keys from 16 publishers: each key has one publisher, so each key has one order.
pub(super) async fn the_order_of_each_key_is_kept(on: &mut Trial) -> Verdict {
    on.needs(&[Capability::Ordered])?;
    on.queue("q").await?;
    let mut publishers = tokio::task::JoinSet::new();
    for key in 0..16 {
        let publisher = on.publisher().await?;
        publishers.spawn(async move {
            let confirms: Vec<_> = (0..63)
                .map(|n| publisher.publish(text_call(Address::queue("q"), &format!("{key}:{n}"))))
                .collect();
            for confirm in confirms {
                confirm.await?;
            }
            Ok::<_, tidings_core::Error>(())
        });
    }
    for published in publishers.join_all().await {
        published?;
    }
    let mut next = [0_usize; 16];
    for got in on.reader("q", 100).await?.drain(16 * 63).await? {
        let Some((Ok(key), Ok(number))) = got
            .split_once(':')
            .map(|(key, n)| (key.parse::<usize>(), n.parse::<usize>()))
        else {
            return Err(Stop::failed(format_args!("got `{got}`, which nobody sent")));
        };
        ensure_eq!(number, next[key], "the next message of key {key}");
        next[key] += 1;
    }
    Ok(())
}

/// The completion is only an answer: awaiting it late, in another order or not at all changes nothing.
pub(super) async fn publishes_do_not_depend_on_their_completions(on: &mut Trial) -> Verdict {
    on.queue("q").await?;
    let publisher = on.publisher().await?;
    drop(publisher.publish(text_call(Address::queue("q"), "never awaited")));
    let mut confirms: Vec<_> = (0..10)
        .map(|n: usize| publisher.publish(text_call(Address::queue("q"), &n.to_string())))
        .collect();
    while let Some(confirm) = confirms.pop() {
        confirm.await?;
    }
    let got = on.reader("q", 20).await?.drain(11).await?;
    ensure!(
        got.iter().any(|text| text == "never awaited"),
        "the publish whose completion was dropped is missing: {got:?}"
    );
    Ok(())
}

/// `next()` promises to be cancel-safe.
pub(super) async fn giving_up_on_next_loses_nothing(on: &mut Trial) -> Verdict {
    on.queue("q").await?;
    let mut reader = on.reader("q", 5).await?;
    let publisher = on.publisher().await?;
    let mut got = BTreeSet::new();
    for number in 0..50 {
        let confirm = publisher.publish(text_call(Address::queue("q"), &number.to_string()));
        for _ in 0..3 {
            if let Some(delivery) = reader.glance(Duration::ZERO).await? {
                got.insert(text(delivery.call()));
                delivery.settle(Settlement::Ack).await?;
            }
        }
        confirm.await?;
    }
    got.extend(reader.drain(50 - got.len()).await?);
    ensure_eq!(got.len(), 50, "different messages");
    Ok(())
}

pub(super) async fn a_delivery_tells_where_it_comes_from(on: &mut Trial) -> Verdict {
    on.needs(&[Capability::Exchanges])?;
    on.queue("q").await?;
    let topology = Topology::new()
        .exchange(Exchange::topic("x"))
        .bind("x", "q", "some.*");
    on.declare(topology).await?;
    let to = Address::new("x", "some.key");
    on.publish(to.clone(), "hello").await?;
    let (call, acker) = on.reader("q", 1).await?.take().await?.split();
    ensure_eq!(call.address, to, "address");
    ensure_eq!(call.queue(), "q", "queue of origin");
    ensure!(
        !call.is_redelivered(),
        "a first delivery is marked as redelivered"
    );
    acker.settle(Settlement::Ack).await?;
    Ok(())
}

pub(super) async fn closing_ends_the_subscriptions(on: &mut Trial) -> Verdict {
    on.queue("q").await?;
    let mut reader = on.reader("q", 1).await?;
    on.close().await?;
    reader.ended().await
}

pub(super) async fn a_transport_that_works_reports_no_impairment(on: &mut Trial) -> Verdict {
    on.queue("q").await?;
    let mut reader = on.reader("q", 1).await?;
    on.publish(Address::queue("q"), "fine").await?;
    reader
        .take_text("fine")
        .await?
        .settle(Settlement::Ack)
        .await?;
    let impairments = on.transport().impairments();
    ensure!(impairments.is_empty(), "impaired: {impairments:?}");
    Ok(())
}

pub(super) async fn competing_subscribers_share_the_messages(on: &mut Trial) -> Verdict {
    on.needs(&[Capability::CompetingConsumers])?;
    on.queue("q").await?;
    let (mut a, mut b) = (on.reader("q", 5).await?, on.reader("q", 5).await?);
    on.fill("q", 10).await?;
    // Nobody settles, so neither can take more than its prefetch: both must get five.
    let mut held = a.take_many(5).await?;
    held.extend(b.take_many(5).await?);
    let different: BTreeSet<_> = held.iter().map(|delivery| text(delivery.call())).collect();
    ensure_eq!(different.len(), 10, "different messages among the two");
    for delivery in held {
        delivery.settle(Settlement::Ack).await?;
    }
    Ok(())
}
