//! Settlement: what ack, nack, reject and silence do to a message.

use std::time::Duration;

use tidings_core::{
    Address, Settlement,
    topology::{Queue, Topology},
    transport::Capability,
};
use tokio::time::Instant;

use super::{
    reader::text,
    trial::Trial,
    verdict::{Stop, Verdict},
};

const NACK: Settlement = Settlement::Nack { delay: None };

/// Timers may be kept in whole milliseconds.
const ROUNDING: Duration = Duration::from_millis(2);

pub(super) async fn an_acked_message_never_returns(on: &mut Trial) -> Verdict {
    on.queue("q").await?;
    on.publish(Address::queue("q"), "first").await?;
    let mut reader = on.reader("q", 1).await?;
    let delivery = reader.take_text("first").await?;
    delivery.settle(Settlement::Ack).await?;
    on.publish(Address::queue("q"), "second").await?;
    let second = reader.take_text("second").await?;
    second.settle(Settlement::Ack).await?;
    drop(reader);
    on.wait_counts("q", 0, 0).await?;
    on.reader("q", 1).await?.quiet().await
}

pub(super) async fn a_nacked_message_returns_marked(on: &mut Trial) -> Verdict {
    on.queue("q").await?;
    on.publish(Address::queue("q"), "again").await?;
    let mut reader = on.reader("q", 1).await?;
    for attempt in 0..4 {
        let delivery = reader.take_text("again").await?;
        ensure_eq!(
            delivery.call().is_redelivered(),
            attempt > 0,
            "the mark on attempt {attempt}"
        );
        delivery.settle(NACK).await?;
    }
    reader
        .take_text("again")
        .await?
        .settle(Settlement::Ack)
        .await?;
    reader.quiet().await
}

/// Two of a hundred are nacked; in the end all hundred are handled.
pub(super) async fn only_nacked_messages_return(on: &mut Trial) -> Verdict {
    on.queue("q").await?;
    on.fill("q", 100).await?;
    let mut reader = on.reader("q", 10).await?;
    let mut nacked = Vec::new();
    for number in 0..102 {
        let delivery = reader.take().await?;
        let text = text(delivery.call());
        if number == 1 || number == 50 {
            nacked.push(text);
            delivery.settle(NACK).await?;
        } else {
            let again = nacked.contains(&text);
            ensure_eq!(
                delivery.call().is_redelivered(),
                again,
                "the mark on `{text}`"
            );
            delivery.settle(Settlement::Ack).await?;
        }
    }
    reader.quiet().await
}

pub(super) async fn a_nacked_message_returns_to_its_place(on: &mut Trial) -> Verdict {
    on.needs(&[Capability::Ordered])?;
    if !on.nacked_messages_keep_their_place() {
        return Err(Stop::Skipped("place for nacked messages".to_owned()));
    }
    on.queue("q").await?;
    on.fill("q", 3).await?;
    let mut reader = on.reader("q", 1).await?;
    reader.take_text("0").await?.settle(NACK).await?;
    let got = reader.drain(3).await?;
    ensure_eq!(got, ["0", "1", "2"], "order after a nack of the first");
    Ok(())
}

pub(super) async fn a_rejected_message_is_dead_lettered(on: &mut Trial) -> Verdict {
    on.needs(&[Capability::DeadLettering])?;
    on.queue("dead").await?;
    let queue = Queue::new("q").with_dead_letter("", "dead");
    on.declare(Topology::new().queue(queue)).await?;
    on.publish(Address::queue("q"), "hopeless").await?;
    let mut reader = on.reader("q", 1).await?;
    reader
        .take_text("hopeless")
        .await?
        .settle(Settlement::Reject)
        .await?;
    let dead = on.reader("dead", 1).await?.take_text("hopeless").await?;
    ensure_eq!(dead.call().queue(), "dead", "queue of origin");
    dead.settle(Settlement::Ack).await?;
    reader.quiet().await
}

pub(super) async fn without_dead_letters_a_rejected_message_is_dropped(on: &mut Trial) -> Verdict {
    on.queue("q").await?;
    on.publish(Address::queue("q"), "hopeless").await?;
    on.publish(Address::queue("q"), "fine").await?;
    let mut reader = on.reader("q", 1).await?;
    reader.take().await?.settle(Settlement::Reject).await?;
    reader.take().await?.settle(Settlement::Ack).await?;
    on.wait_counts("q", 0, 0).await?;
    reader.quiet().await
}

pub(super) async fn a_dropped_delivery_returns_marked(on: &mut Trial) -> Verdict {
    on.queue("q").await?;
    on.publish(Address::queue("q"), "forgotten").await?;
    let mut reader = on.reader("q", 1).await?;
    drop(reader.take_text("forgotten").await?);
    let again = reader.take_text("forgotten").await?;
    ensure!(
        again.call().is_redelivered(),
        "the second delivery is not marked"
    );
    again.settle(Settlement::Ack).await?;
    reader.quiet().await
}

pub(super) async fn settling_out_of_order_is_safe(on: &mut Trial) -> Verdict {
    on.queue("q").await?;
    on.fill("q", 4).await?;
    let mut reader = on.reader("q", 4).await?;
    let mut held = reader.take_many(4).await?;
    let kept = held.remove(1);
    let kept_text = text(kept.call());
    while let Some(delivery) = held.pop() {
        delivery.settle(Settlement::Ack).await?;
    }
    kept.settle(NACK).await?;
    reader
        .take_text(&kept_text)
        .await?
        .settle(Settlement::Ack)
        .await?;
    reader.quiet().await
}

pub(super) async fn a_prefetch_of_one_waits_for_the_settlement(on: &mut Trial) -> Verdict {
    on.queue("q").await?;
    on.fill("q", 3).await?;
    let mut reader = on.reader("q", 1).await?;
    let mut held = reader.take().await?;
    for _ in 0..2 {
        reader.quiet().await?;
        held.settle(Settlement::Ack).await?;
        held = reader.take().await?;
    }
    held.settle(Settlement::Ack).await?;
    reader.quiet().await
}

pub(super) async fn never_more_than_the_prefetch_is_unsettled(on: &mut Trial) -> Verdict {
    on.queue("q").await?;
    on.fill("q", 20).await?;
    let mut reader = on.reader("q", 5).await?;
    let mut held = reader.take_many(5).await?;
    reader.quiet().await?;
    for how in [Settlement::Ack, NACK, Settlement::Reject] {
        held.swap_remove(0).settle(how).await?;
        held.push(reader.take().await?);
        reader.quiet().await?;
    }
    Ok(())
}

/// Nothing takes a message away from a handler that is slow.
pub(super) async fn a_held_message_goes_to_nobody_else(on: &mut Trial) -> Verdict {
    on.needs(&[Capability::CompetingConsumers])?;
    on.queue("q").await?;
    on.publish(Address::queue("q"), "mine").await?;
    let mut slow = on.reader("q", 1).await?;
    let held = slow.take_text("mine").await?;
    let mut other = on.reader("q", 1).await?;
    other.quiet().await?;
    held.settle(Settlement::Ack).await?;
    other.quiet().await
}

pub(super) async fn an_acker_outlives_its_subscriber(on: &mut Trial) -> Verdict {
    on.queue("q").await?;
    on.fill("q", 2).await?;
    let mut reader = on.reader("q", 1).await?;
    let (_, acker) = reader.take_text("0").await?.split();
    drop(reader);
    acker.settle(Settlement::Ack).await?;
    let mut next = on.reader("q", 1).await?;
    next.take_text("1").await?.settle(Settlement::Ack).await?;
    next.quiet().await
}

/// What a subscriber had taken and not settled goes to the next once both are dropped.
pub(super) async fn a_dropped_subscriber_leaves_its_messages_to_the_next(
    on: &mut Trial,
) -> Verdict {
    on.queue("q").await?;
    on.fill("q", 10).await?;
    let mut leaving = on.reader("q", 5).await?;
    let held = leaving.take_many(5).await?;
    drop(leaving);
    drop(held);
    let mut next = on.reader("q", 10).await?;
    let (mut marked, mut got) = (0, std::collections::BTreeSet::new());
    for delivery in next.take_many(10).await? {
        marked += usize::from(delivery.call().is_redelivered());
        got.insert(text(delivery.call()));
        delivery.settle(Settlement::Ack).await?;
    }
    ensure_eq!(got.len(), 10, "different messages");
    ensure!(
        marked >= 5,
        "5 messages were handed out before, only {marked} are marked"
    );
    next.quiet().await
}

pub(super) async fn a_delayed_nack_comes_back_after_the_delay(on: &mut Trial) -> Verdict {
    on.needs(&[Capability::DelayedNack])?;
    on.queue("q").await?;
    on.publish(Address::queue("q"), "later").await?;
    let mut reader = on.reader("q", 1).await?;
    for millis in [120, 40] {
        let delay = Duration::from_millis(millis);
        let delivery = reader.take_text("later").await?;
        let started = Instant::now();
        let nacked = delivery.settle(Settlement::Nack { delay: Some(delay) });
        nacked.await?;
        let again = reader.take_text("later").await?;
        let waited = started.elapsed();
        ensure!(
            waited + ROUNDING >= delay,
            "it came back after {waited:?}, wanted {delay:?}"
        );
        ensure!(
            again.call().is_redelivered(),
            "the delayed message is not marked"
        );
        again.settle(NACK).await?;
    }
    Ok(())
}

/// Neither those behind it, nor those with a shorter delay. The prefetch counts what is in hand only.
pub(super) async fn a_delayed_nack_holds_back_nothing_else(on: &mut Trial) -> Verdict {
    on.needs(&[Capability::DelayedNack])?;
    on.queue("q").await?;
    on.fill("q", 3).await?;
    let mut reader = on.reader("q", 1).await?;
    for (text, seconds) in [("0", 86_400), ("1", 43_200)] {
        let delay = Some(Duration::from_secs(seconds));
        let delivery = reader.take_text(text).await?;
        delivery.settle(Settlement::Nack { delay }).await?;
    }
    let delay = Some(Duration::from_millis(30));
    let delivery = reader.take_text("2").await?;
    delivery.settle(Settlement::Nack { delay }).await?;
    reader.take_text("2").await?.settle(Settlement::Ack).await?;
    // Those held back count as ready.
    on.wait_counts("q", 2, 0).await
}

/// A transport that cannot wait gives the message back at once; it must not lose it.
pub(super) async fn a_delay_that_cannot_be_kept_is_no_loss(on: &mut Trial) -> Verdict {
    if on.needs(&[Capability::DelayedNack]).is_ok() {
        return Err(Stop::Skipped("nack without delay".to_owned()));
    }
    on.queue("q").await?;
    on.publish(Address::queue("q"), "again").await?;
    let mut reader = on.reader("q", 1).await?;
    let delay = Some(Duration::from_secs(86_400));
    let delivery = reader.take_text("again").await?;
    delivery.settle(Settlement::Nack { delay }).await?;
    let again = reader.take_text("again").await?;
    ensure!(
        again.call().is_redelivered(),
        "the second delivery is not marked"
    );
    again.settle(Settlement::Ack).await?;
    Ok(())
}

/// A settlement that comes too late must say so: its message is handed out again.
pub(super) async fn settling_after_the_close_is_an_error_and_no_loss(on: &mut Trial) -> Verdict {
    on.queue("q").await?;
    on.publish(Address::queue("q"), "late").await?;
    let mut reader = on.reader("q", 1).await?;
    let late = reader.take_text("late").await?;
    on.reconnect().await?;
    let mut next = on.reader("q", 1).await?;
    let again = next.take_text("late").await?;
    ensure!(
        again.call().is_redelivered(),
        "the second delivery is not marked"
    );
    if late.settle(Settlement::Ack).await.is_ok() {
        return Err(Stop::failed(
            "an ack after the close was accepted although the message was given to another",
        ));
    }
    again.settle(Settlement::Ack).await?;
    next.quiet().await
}

/// Closing a connection returns what it held, even though the deliveries are still in somebody's hands.
pub(super) async fn a_closed_connection_returns_what_it_held(on: &mut Trial) -> Verdict {
    on.queue("q").await?;
    on.fill("q", 3).await?;
    let mut reader = on.reader("q", 3).await?;
    let held = reader.take_many(3).await?;
    on.reconnect().await?;
    let mut next = on.reader("q", 3).await?;
    for delivery in next.take_many(3).await? {
        ensure!(
            delivery.call().is_redelivered(),
            "a second delivery is not marked"
        );
        delivery.settle(Settlement::Ack).await?;
    }
    drop(held);
    next.quiet().await
}
