//! Topology: declaring, refusing to redeclare differently, deleting, and looking.

use std::time::Duration;

use tidings_core::{
    Address, Deadline, ErrorKind, Settlement,
    topology::{Exchange, ExchangeKind, Queue, Topology},
    transport::{Capability, QueueStatus, Subscription},
};
use tokio::time::sleep;

use super::{
    trial::Trial,
    verdict::{Verdict, possible, refused},
};

pub(super) async fn declaring_twice_changes_nothing(on: &mut Trial) -> Verdict {
    on.needs(&[Capability::Exchanges])?;
    let topology = Topology::new()
        .exchange(Exchange::topic("x"))
        .queue(Queue::new("q"))
        .bind("x", "q", "a.*");
    on.declare(topology.clone()).await?;
    on.publish(Address::new("x", "a.b"), "kept").await?;
    on.declare(topology).await?;
    on.publish(Address::new("x", "a.b"), "single").await?;
    let mut reader = on.reader("q", 1).await?;
    ensure_eq!(
        reader.drain(2).await?,
        ["kept", "single"],
        "messages after the second declaration"
    );
    reader.quiet().await
}

/// The order within a topology does not matter beyond exchanges and queues before bindings, and later
/// topologies may bind to what earlier ones declared.
pub(super) async fn bindings_may_refer_to_earlier_topologies(on: &mut Trial) -> Verdict {
    on.needs(&[Capability::Exchanges])?;
    on.declare(Topology::new().exchange(Exchange::topic("x")))
        .await?;
    on.queue("q").await?;
    on.declare(Topology::new().bind("x", "q", "#")).await?;
    on.publish(Address::new("x", "any.thing"), "routed").await?;
    on.reader("q", 1).await?.take_text("routed").await?;
    Ok(())
}

/// The error names the queue, what it has and what was wanted; queue and messages stay as they were.
pub(super) async fn a_different_ttl_is_a_conflict_and_changes_nothing(on: &mut Trial) -> Verdict {
    on.needs(&[Capability::QueueTtl])?;
    let with_ttl =
        |millis| Topology::new().queue(Queue::new("q").with_ttl(Duration::from_millis(millis)));
    on.declare(with_ttl(1_000_001)).await?;
    on.publish(Address::queue("q"), "kept").await?;
    let told = refused(
        on.declare(with_ttl(5_000_002)).await,
        ErrorKind::Conflict,
        "q",
    )?;
    for millis in ["1000001", "5000002"] {
        ensure!(
            digits(&told).contains(millis),
            "the error does not say {millis} ms: {told}"
        );
    }
    on.declare(with_ttl(1_000_001)).await?;
    on.reader("q", 1).await?.take_text("kept").await?;
    Ok(())
}

/// A duration in milliseconds reads the same as `1000001 ms`, as `1000.001s` and as `1_000_001`.
pub(super) fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

/// What is refused creates nothing, not even what would not have been refused.
pub(super) async fn a_conflict_leaves_nothing_behind(on: &mut Trial) -> Verdict {
    on.needs(&[Capability::QueueTtl])?;
    let with_ttl = |seconds| Queue::new("q").with_ttl(Duration::from_secs(seconds));
    on.declare(Topology::new().queue(with_ttl(100))).await?;
    let topology = Topology::new()
        .queue(Queue::new("before"))
        .queue(with_ttl(200))
        .queue(Queue::new("after"));
    refused(on.declare(topology).await, ErrorKind::Conflict, "q")?;
    for queue in ["before", "after"] {
        let status = on.transport().queues(&[queue.into()]).await;
        refused(status, ErrorKind::NotFound, queue)?;
    }
    Ok(())
}

pub(super) async fn other_settings_conflict_too(on: &mut Trial) -> Verdict {
    on.needs(&[Capability::DeadLettering])?;
    on.declare(Topology::new().queue(Queue::new("q").with_dead_letter("", "one")))
        .await?;
    let different = [
        Queue::new("q"),
        Queue::new("q").with_dead_letter("", "two"),
        Queue {
            durable: false,
            ..Queue::new("q").with_dead_letter("", "one")
        },
    ];
    for queue in different {
        let result = on.declare(Topology::new().queue(queue)).await;
        refused(result, ErrorKind::Conflict, "q")?;
    }
    Ok(())
}

pub(super) async fn another_exchange_kind_is_a_conflict(on: &mut Trial) -> Verdict {
    on.needs(&[Capability::Exchanges])?;
    let of_kind = |kind| Topology::new().exchange(Exchange::new("the.exchange", kind));
    on.declare(of_kind(ExchangeKind::Topic)).await?;
    let result = on.declare(of_kind(ExchangeKind::Fanout)).await;
    let told = refused(result, ErrorKind::Conflict, "the.exchange")?;
    ensure!(
        told.contains("topic") && told.contains("fanout"),
        "the error does not name both kinds: {told}"
    );
    on.declare(of_kind(ExchangeKind::Topic)).await?;
    Ok(())
}

pub(super) async fn an_exclusive_queue_is_refused_to_others(on: &mut Trial) -> Verdict {
    on.needs(&[Capability::ExclusiveQueues])?;
    let other = on.another().await?;
    on.declare(Topology::new().queue(Queue::exclusive("mine")))
        .await?;
    let taking = other.transport().subscribe(Subscription::to("mine")).await;
    refused(taking.map(|_| "a subscriber"), ErrorKind::Denied, "mine")?;
    on.publish(Address::queue("mine"), "to the owner").await?;
    other
        .publish(Address::queue("mine"), "from another")
        .await?;
    let got = on.reader("mine", 1).await?.drain(2).await?;
    ensure_eq!(
        got,
        ["to the owner", "from another"],
        "what the owner receives"
    );
    other.close().await?;
    Ok(())
}

pub(super) async fn an_exclusive_queue_ends_with_its_connection(on: &mut Trial) -> Verdict {
    on.needs(&[Capability::ExclusiveQueues])?;
    on.declare(Topology::new().queue(Queue::exclusive("mine")))
        .await?;
    on.publish(Address::queue("mine"), "gone").await?;
    on.reconnect().await?;
    on.wait_gone("mine").await?;
    on.declare(Topology::new().queue(Queue::exclusive("mine")))
        .await?;
    on.wait_ready("mine", 0).await?;
    on.reader("mine", 1).await?.quiet().await
}

pub(super) async fn deleting_takes_the_messages_and_ignores_the_absent(on: &mut Trial) -> Verdict {
    on.needs(&[Capability::Exchanges])?;
    let topology = Topology::new()
        .exchange(Exchange::topic("x"))
        .queue(Queue::new("q"))
        .bind("x", "q", "#");
    on.declare(topology.clone()).await?;
    on.publish(Address::new("x", "k"), "gone").await?;
    let more = topology
        .clone()
        .queue(Queue::new("never.there"))
        .exchange(Exchange::topic("nor.this"));
    on.transport().delete(&more).await?;
    on.transport().delete(&more).await?;
    refused(
        on.publish(Address::new("x", "k"), "m").await,
        ErrorKind::NotFound,
        "x",
    )?;
    on.declare(topology).await?;
    on.wait_ready("q", 0).await?;
    on.reader("q", 1).await?.quiet().await
}

/// A queue that goes takes its bindings along; others of the same exchange stay.
pub(super) async fn deleting_a_queue_unbinds_it(on: &mut Trial) -> Verdict {
    on.needs(&[Capability::Exchanges, Capability::UnroutableDetection])?;
    let topology = Topology::new()
        .exchange(Exchange::topic("x"))
        .queue(Queue::new("a"))
        .queue(Queue::new("b"))
        .bind("x", "a", "#")
        .bind("x", "b", "only.b");
    on.declare(topology).await?;
    on.transport()
        .delete(&Topology::new().queue(Queue::new("a")))
        .await?;
    on.publish(Address::new("x", "only.b"), "m").await?;
    let to_a = on.publish(Address::new("x", "only.a"), "m").await;
    refused(to_a, ErrorKind::Unroutable, "only.a")?;
    on.queue("a").await?;
    let unbound = on.publish(Address::new("x", "only.a"), "m").await;
    refused(unbound, ErrorKind::Unroutable, "only.a")?;
    Ok(())
}

pub(super) async fn the_status_counts_ready_unsettled_and_subscribers(on: &mut Trial) -> Verdict {
    on.queue("q").await?;
    let empty = on.status("q").await?;
    ensure_eq!((empty.ready, empty.consumers), (0, 0), "a new queue");
    on.fill("q", 3).await?;
    on.wait_counts("q", 3, 0).await?;
    let mut reader = on.reader("q", 1).await?;
    let held = reader.take().await?;
    on.wait_counts("q", 2, 1).await?;
    let busy = |status: &QueueStatus| status.consumers == 1;
    on.status_when("q", "1 subscriber", busy).await?;
    drop(reader);
    held.settle(Settlement::Ack).await?;
    on.wait_counts("q", 2, 0).await?;
    let idle = |status: &QueueStatus| status.consumers == 0;
    on.status_when("q", "no subscriber", idle).await?;
    Ok(())
}

/// Some brokers can only be asked for a queue by name.
pub(super) async fn the_status_of_all_queues_is_complete(on: &mut Trial) -> Verdict {
    for queue in ["a", "b", "c"] {
        on.queue(queue).await?;
    }
    on.fill("b", 2).await?;
    let deadline = Deadline::after(on.patience());
    loop {
        let all = possible(on.transport().queues(&[]).await, "list of all queues")?;
        let complete = [("a", 0), ("b", 2), ("c", 0)]
            .into_iter()
            .all(|(queue, ready)| {
                all.iter()
                    .any(|status| &*status.name == queue && status.ready == ready)
            });
        if complete {
            return Ok(());
        }
        ensure!(
            !deadline.is_past(),
            "`a`, `b` and `c` with 0, 2 and 0 messages are not all there: {all:?}"
        );
        sleep(on.patience() / 400).await;
    }
}

/// Two connections see one topology.
pub(super) async fn connections_share_queues_and_messages(on: &mut Trial) -> Verdict {
    let other = on.another().await?;
    on.queue("q").await?;
    let mut reader = other.reader("q", 1).await?;
    on.publish(Address::queue("q"), "across").await?;
    let delivery = reader.take_text("across").await?;
    delivery.settle(Settlement::Ack).await?;
    other.publish(Address::queue("q"), "back").await?;
    drop(reader);
    other.close().await?;
    on.reader("q", 1).await?.take_text("back").await?;
    Ok(())
}
