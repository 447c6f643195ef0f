//! Misuse: what makes no sense is refused, in the right class, by an error that names the thing.

use std::time::Duration;

use tidings_core::{
    Address, Call, Envelope, ErrorKind, Settlement,
    topology::{Exchange, ExchangeKind, Queue, Topology},
    transport::{Capability, Subscription},
};

use super::{
    connection::text_call,
    trial::Trial,
    verdict::{Stop, Verdict, refused},
};

pub(super) async fn publishing_to_a_missing_exchange_is_an_error(on: &mut Trial) -> Verdict {
    on.needs(&[Capability::Exchanges])?;
    let to = Address::new("no.such.exchange", "k");
    let strict = Call::new(to.clone(), Envelope::new("m"));
    let lenient = Call::new(to, Envelope::new("m")).unroutable_is_fine();
    for call in [strict, lenient] {
        let result = on.publish_call(call).await;
        refused(result, ErrorKind::NotFound, "no.such.exchange")?;
    }
    // One refused publish must not take the others of its publisher with it.
    on.queue("q").await?;
    let publisher = on.publisher().await?;
    let bad = publisher.publish(text_call(Address::new("no.such.exchange", "k"), "m"));
    let good = publisher.publish(text_call(Address::queue("q"), "good"));
    refused(bad.await, ErrorKind::NotFound, "no.such.exchange")?;
    good.await?;
    on.reader("q", 1).await?.take_text("good").await?;
    Ok(())
}

pub(super) async fn subscribing_to_a_missing_queue_is_an_error(on: &mut Trial) -> Verdict {
    let subscription = Subscription::to("no.such.queue");
    let result = on.transport().subscribe(subscription).await;
    refused(
        result.map(|_| "a subscriber"),
        ErrorKind::NotFound,
        "no.such.queue",
    )?;
    Ok(())
}

pub(super) async fn asking_for_a_missing_queue_is_an_error(on: &mut Trial) -> Verdict {
    on.queue("q").await?;
    let names = ["q".into(), "no.such.queue".into()];
    let result = on.transport().queues(&names).await;
    refused(result, ErrorKind::NotFound, "no.such.queue")?;
    Ok(())
}

pub(super) async fn empty_and_over_long_names_are_refused(on: &mut Trial) -> Verdict {
    on.needs(&[Capability::Exchanges])?;
    let long = "n".repeat(256);
    let cases = [
        (Topology::new().queue(Queue::new("")), "queue"),
        (Topology::new().exchange(Exchange::topic("")), "exchange"),
        (Topology::new().queue(Queue::new(long.as_str())), "256"),
        (
            Topology::new().exchange(Exchange::topic(long.as_str())),
            "256",
        ),
        (Topology::new().bind("x", "q", long.as_str()), "256"),
        (Topology::new().bind("", "q", "k"), "exchange"),
        (Topology::new().bind("x", "", "k"), "queue"),
    ];
    let valid = Topology::new()
        .exchange(Exchange::topic("x"))
        .queue(Queue::new("q"));
    on.declare(valid).await?;
    for (topology, named) in cases {
        refused(on.declare(topology).await, ErrorKind::Misuse, named)?;
    }
    let longest = "n".repeat(255);
    on.queue(&longest).await?;
    on.publish(Address::queue(longest.as_str()), "m").await?;
    Ok(())
}

/// A topology that cannot be has no effect, not even its valid part.
pub(super) async fn a_refused_topology_leaves_nothing_behind(on: &mut Trial) -> Verdict {
    let topology = Topology::new()
        .queue(Queue::new("valid"))
        .queue(Queue::new(""));
    refused(on.declare(topology).await, ErrorKind::Misuse, "queue")?;
    let status = on.transport().queues(&["valid".into()]).await;
    refused(status, ErrorKind::NotFound, "valid")?;
    Ok(())
}

pub(super) async fn binding_to_what_is_missing_is_an_error(on: &mut Trial) -> Verdict {
    on.needs(&[Capability::Exchanges])?;
    on.queue("q").await?;
    on.declare(Topology::new().exchange(Exchange::topic("x")))
        .await?;
    let no_queue = Topology::new().bind("x", "no.such.queue", "#");
    refused(
        on.declare(no_queue).await,
        ErrorKind::Misuse,
        "no.such.queue",
    )?;
    let no_exchange = Topology::new().bind("no.such.exchange", "q", "#");
    refused(
        on.declare(no_exchange).await,
        ErrorKind::Misuse,
        "no.such.exchange",
    )?;
    Ok(())
}

pub(super) async fn impossible_ttls_are_refused(on: &mut Trial) -> Verdict {
    let fraction = Duration::from_micros(1_500);
    let too_long = Duration::from_secs(60 * 86_400);
    for ttl in [fraction, too_long] {
        let topology = Topology::new().queue(Queue::new("the.queue").with_ttl(ttl));
        refused(on.declare(topology).await, ErrorKind::Misuse, "the.queue")?;
    }
    Ok(())
}

pub(super) async fn a_topology_that_contradicts_itself_is_refused(on: &mut Trial) -> Verdict {
    let seconds = |count| Queue::new("the.queue").with_ttl(Duration::from_secs(count));
    let topology = Topology::new().queue(seconds(1)).queue(seconds(2));
    refused(on.declare(topology).await, ErrorKind::Misuse, "the.queue")?;
    let of_kind = |kind| Exchange::new("the.exchange", kind);
    let topology = Topology::new()
        .exchange(of_kind(ExchangeKind::Direct))
        .exchange(of_kind(ExchangeKind::Topic));
    refused(
        on.declare(topology).await,
        ErrorKind::Misuse,
        "the.exchange",
    )?;
    Ok(())
}

/// AMQP's routing keys are short strings; a key that one broker would refuse is refused by all.
pub(super) async fn an_over_long_routing_key_is_refused(on: &mut Trial) -> Verdict {
    on.needs(&[Capability::Exchanges])?;
    let topology = Topology::new()
        .exchange(Exchange::topic("x"))
        .queue(Queue::new("q"))
        .bind("x", "q", "#");
    on.declare(topology).await?;
    let to = Address::new("x", "k".repeat(256));
    refused(on.publish(to, "m").await, ErrorKind::Misuse, "256")?;
    on.publish(Address::new("x", "k".repeat(255)), "longest")
        .await?;
    on.reader("q", 1).await?.take_text("longest").await?;
    Ok(())
}

/// The field is public, so somebody will write 0: it must not mean "never".
pub(super) async fn a_prefetch_of_zero_counts_as_one(on: &mut Trial) -> Verdict {
    on.queue("q").await?;
    on.fill("q", 2).await?;
    let subscription = Subscription {
        prefetch: 0,
        ..Subscription::to("q")
    };
    let mut subscriber = on.transport().subscribe(subscription).await?;
    for _ in 0..2 {
        match tokio::time::timeout(on.patience(), subscriber.next()).await {
            Ok(Some(delivery)) => delivery?.settle(Settlement::Ack).await?,
            Ok(None) => return Err(Stop::failed("the subscription ended")),
            Err(_) => return Err(Stop::failed("nothing arrives with a prefetch of 0")),
        }
    }
    Ok(())
}

pub(super) async fn after_the_close_everything_is_refused_as_closed(on: &mut Trial) -> Verdict {
    on.queue("q").await?;
    let publisher = on.publisher().await?;
    on.close().await?;
    let transport = on.transport();
    let late = text_call(Address::queue("q"), "late");
    let queue = Topology::new().queue(Queue::new("r"));
    let named = ["q".into()];
    let answers = [
        ("publish", publisher.publish(late).await),
        ("declare", transport.declare(&queue).await),
        ("delete", transport.delete(&queue).await),
        ("queues", transport.queues(&named).await.map(drop)),
        ("publish, with a new publisher", publish_late(on).await),
        (
            "subscribe",
            transport.subscribe(Subscription::to("q")).await.map(drop),
        ),
    ];
    for (what, answer) in answers {
        let kind = answer.as_ref().err().map(tidings_core::Error::kind);
        ensure_eq!(
            kind,
            Some(ErrorKind::Closed),
            "the answer of {what} after the close"
        );
    }
    // What the transport cannot do at all, it may refuse as that.
    let perhaps = [
        ("compare", transport.compare(&queue).await.map(drop)),
        ("inbox", transport.inbox().await.map(drop)),
    ];
    for (what, answer) in perhaps {
        let kind = answer.as_ref().err().map(tidings_core::Error::kind);
        ensure!(
            matches!(kind, Some(ErrorKind::Closed | ErrorKind::Unsupported)),
            "the answer of {what} after the close is {kind:?}"
        );
    }
    Ok(())
}

/// Whether the publisher is refused or only its publishes is left to the transport.
async fn publish_late(on: &Trial) -> tidings_core::Result<()> {
    on.publish(Address::queue("q"), "late").await
}

pub(super) async fn closing_twice_is_fine(on: &mut Trial) -> Verdict {
    on.close().await?;
    on.close().await?;
    Ok(())
}
