//! Expiry and dead letters: messages that wait too long, where they go, and the history they carry.

use std::time::Duration;

use tidings_core::{
    Address, Call, Envelope, HeaderValue, Headers, Settlement, headers,
    properties::Fields,
    topology::{DeadLetter, Exchange, Queue, Topology},
    transport::Capability,
};
use tokio::time::Instant;

use super::{
    connection::text_call,
    trial::Trial,
    verdict::{Stop, Verdict},
};

const SOON: Duration = Duration::from_millis(40);

/// Timers may be kept in whole milliseconds.
const ROUNDING: Duration = Duration::from_millis(2);

pub(super) async fn an_expired_message_is_dead_lettered_with_its_history(
    on: &mut Trial,
) -> Verdict {
    on.needs(&[
        Capability::QueueTtl,
        Capability::DeadLettering,
        Capability::Exchanges,
    ])?;
    let topology = Topology::new()
        .exchange(Exchange::topic("in"))
        .exchange(Exchange::topic("out"))
        .queue(Queue::new("dead"))
        .queue(
            Queue::new("q")
                .with_ttl(SOON)
                .with_dead_letter("out", "dead.key"),
        )
        .bind("in", "q", "a.*")
        .bind("out", "dead", "dead.key");
    on.declare(topology).await?;
    let started = Instant::now();
    on.publish(Address::new("in", "a.b"), "too late").await?;
    let (call, acker) = on
        .reader("dead", 1)
        .await?
        .take_text("too late")
        .await?
        .split();
    let waited = started.elapsed();
    ensure!(
        waited + ROUNDING >= SOON,
        "it expired after {waited:?}, wanted {SOON:?}"
    );
    ensure_eq!(
        call.address,
        Address::new("out", "dead.key"),
        "address of the dead letter"
    );
    let death = Death {
        queue: "q",
        reason: "expired",
        exchange: "in",
        key: "a.b",
        count: 1,
    };
    death.check(&call.envelope.headers, 0, 1)?;
    check_first_death(&call.envelope.headers, &death)?;
    acker.settle(Settlement::Ack).await?;
    Ok(())
}

pub(super) async fn a_rejected_message_carries_its_history(on: &mut Trial) -> Verdict {
    on.needs(&[Capability::DeadLettering])?;
    on.queue("dead").await?;
    let queue = Queue::new("q").with_dead_letter("", "dead");
    on.declare(Topology::new().queue(queue)).await?;
    let own = Headers::new().with("own", "header");
    let envelope = Envelope::new("hopeless").with_headers(own);
    on.publish_call(Call::new(Address::queue("q"), envelope))
        .await?;
    on.reader("q", 1)
        .await?
        .take()
        .await?
        .settle(Settlement::Reject)
        .await?;
    let dead = on.reader("dead", 1).await?.take_text("hopeless").await?;
    let got = &dead.call().envelope.headers;
    ensure_eq!(got.text("own"), Some("header"), "the message's own header");
    let death = Death {
        queue: "q",
        reason: "rejected",
        exchange: "",
        key: "q",
        count: 1,
    };
    death.check(got, 0, 1)?;
    check_first_death(got, &death)
}

pub(super) async fn a_dead_letter_keeps_its_key_unless_told_otherwise(on: &mut Trial) -> Verdict {
    on.needs(&[Capability::DeadLettering, Capability::Exchanges])?;
    let keeps = Queue {
        dead_letter: Some(DeadLetter {
            exchange: "out".into(),
            key: None,
        }),
        ..Queue::new("keeps")
    };
    let topology = Topology::new()
        .exchange(Exchange::topic("in"))
        .exchange(Exchange::topic("out"))
        .queue(Queue::new("dead"))
        .queue(keeps)
        .queue(Queue::new("changes").with_dead_letter("out", "changed"))
        .bind("in", "keeps", "k.keeps")
        .bind("in", "changes", "k.changes")
        .bind("out", "dead", "#");
    on.declare(topology).await?;
    let mut dead = on.reader("dead", 1).await?;
    for (queue, key) in [("keeps", "k.keeps"), ("changes", "changed")] {
        let to = Address::new("in", format!("k.{queue}"));
        on.publish(to, queue).await?;
        let mut reader = on.reader(queue, 1).await?;
        reader.take().await?.settle(Settlement::Reject).await?;
        let delivery = dead.take_text(queue).await?;
        ensure_eq!(
            delivery.call().address,
            Address::new("out", key),
            "address of the dead letter"
        );
        delivery.settle(Settlement::Ack).await?;
    }
    Ok(())
}

pub(super) async fn without_dead_letters_an_expired_message_is_dropped(on: &mut Trial) -> Verdict {
    on.needs(&[Capability::QueueTtl, Capability::DeadLettering])?;
    let drops = Queue::new("drops").with_ttl(SOON);
    let tells = Queue::new("tells")
        .with_ttl(SOON)
        .with_dead_letter("", "told");
    on.declare(
        Topology::new()
            .queue(drops)
            .queue(tells)
            .queue(Queue::new("told")),
    )
    .await?;
    on.publish(Address::queue("drops"), "gone").await?;
    // Published later with the same TTL: once this one has expired, so has the first.
    on.publish(Address::queue("tells"), "signal").await?;
    on.reader("told", 1).await?.take_text("signal").await?;
    on.wait_ready("drops", 0).await?;
    on.reader("drops", 1).await?.quiet().await
}

/// The message's own expiration applies in a queue without TTL, and no longer to its dead letter.
pub(super) async fn a_message_may_bring_its_own_expiration(on: &mut Trial) -> Verdict {
    on.needs(&[Capability::QueueTtl, Capability::DeadLettering])?;
    on.queue("dead").await?;
    let queue = Queue::new("q").with_dead_letter("", "dead");
    on.declare(Topology::new().queue(queue)).await?;
    let mut call = text_call(Address::queue("q"), "short");
    call.envelope = call.envelope.clone().with_properties(Fields {
        expiration: Some(SOON),
        ..Fields::default()
    });
    on.publish_call(call).await?;
    let mut dead = on.reader("dead", 1).await?;
    let delivery = dead.take_text("short").await?;
    let expiration = delivery.call().envelope.properties.expiration();
    ensure_eq!(expiration, None, "expiration of the dead letter");
    delivery.settle(Settlement::Nack { delay: None }).await?;
    dead.take_text("short")
        .await?
        .settle(Settlement::Ack)
        .await?;
    Ok(())
}

pub(super) async fn the_shorter_of_two_expirations_applies(on: &mut Trial) -> Verdict {
    on.needs(&[Capability::QueueTtl, Capability::DeadLettering])?;
    let day = Duration::from_secs(86_400);
    let queues = Topology::new()
        .queue(Queue::new("dead"))
        .queue(
            Queue::new("short")
                .with_ttl(SOON)
                .with_dead_letter("", "dead"),
        )
        .queue(
            Queue::new("long")
                .with_ttl(day)
                .with_dead_letter("", "dead"),
        );
    on.declare(queues).await?;
    let mut dead = on.reader("dead", 1).await?;
    for (queue, own) in [("short", day), ("long", SOON)] {
        let mut call = text_call(Address::queue(queue), queue);
        call.envelope.properties.fields_mut().expiration = Some(own);
        on.publish_call(call).await?;
        // Patience ends long before a day does, in real and in paused time.
        let delivery = dead.take_text(queue).await?;
        delivery.settle(Settlement::Ack).await?;
    }
    Ok(())
}

/// What a handler has in hand does not expire; what it gives back too late does.
pub(super) async fn a_message_in_hand_does_not_expire(on: &mut Trial) -> Verdict {
    on.needs(&[Capability::QueueTtl, Capability::DeadLettering])?;
    let slow = Queue::new("q")
        .with_ttl(Duration::from_millis(400))
        .with_dead_letter("", "dead");
    let pacer = Queue::new("pacer")
        .with_ttl(Duration::from_millis(450))
        .with_dead_letter("", "paced");
    let queues = Topology::new()
        .queue(slow)
        .queue(pacer)
        .queue(Queue::new("dead"))
        .queue(Queue::new("paced"));
    on.declare(queues).await?;
    let mut reader = on.reader("q", 1).await?;
    on.publish(Address::queue("q"), "in hand").await?;
    let held = reader.take_text("in hand").await?;
    // The pacer's message expires after the one in hand would have.
    on.publish(Address::queue("pacer"), "now").await?;
    on.reader("paced", 1).await?.take_text("now").await?;
    ensure_eq!(on.status("dead").await?.ready, 0, "dead letters");
    held.settle(Settlement::Ack).await?;
    on.reader("dead", 1).await?.quiet().await
}

/// Reject, wait in a TTL queue, come back: the delayed retry of every broker without native delay.
pub(super) async fn a_retry_loop_comes_back_and_counts(on: &mut Trial) -> Verdict {
    on.needs(&[Capability::QueueTtl, Capability::DeadLettering])?;
    let queues = Topology::new()
        .queue(Queue::new("q").with_dead_letter("", "retry"))
        .queue(Queue::new("retry").with_ttl(SOON).with_dead_letter("", "q"));
    on.declare(queues).await?;
    on.publish(Address::queue("q"), "round").await?;
    let mut reader = on.reader("q", 1).await?;
    for round in 1..=3 {
        let delivery = reader.take_text("round").await?;
        let started = Instant::now();
        delivery.settle(Settlement::Reject).await?;
        let back = reader.take_text("round").await?;
        let waited = started.elapsed();
        ensure!(
            waited + ROUNDING >= SOON,
            "round {round} took {waited:?}, wanted {SOON:?}"
        );
        let got = &back.call().envelope.headers;
        check_deaths(got, round)?;
        back.settle(Settlement::Nack { delay: None }).await?;
    }
    Ok(())
}

/// The newest death comes first; each queue and reason has one entry that counts.
fn check_deaths(got: &Headers, count: i64) -> Verdict {
    let expired = Death {
        queue: "retry",
        reason: "expired",
        exchange: "",
        key: "retry",
        count,
    };
    let rejected = Death {
        queue: "q",
        reason: "rejected",
        exchange: "",
        key: "q",
        count,
    };
    expired.check(got, 0, 2)?;
    rejected.check(got, 1, 2)?;
    check_first_death(got, &rejected)
}

/// A crowd that waits in the loop comes back whole.
pub(super) async fn a_retry_loop_loses_nothing(on: &mut Trial) -> Verdict {
    on.needs(&[Capability::QueueTtl, Capability::DeadLettering])?;
    let queues = Topology::new()
        .queue(Queue::new("q").with_dead_letter("", "retry"))
        .queue(Queue::new("retry").with_ttl(SOON).with_dead_letter("", "q"));
    on.declare(queues).await?;
    on.fill("q", 100).await?;
    let mut reader = on.reader("q", 10).await?;
    let mut rejected = 0;
    let mut back = std::collections::BTreeSet::new();
    while back.len() < 100 {
        let (call, acker) = reader.take().await?.split();
        if call.envelope.headers.get(headers::X_DEATH).is_some() {
            back.insert(super::reader::text(&call));
            acker.settle(Settlement::Ack).await?;
        } else {
            rejected += 1;
            acker.settle(Settlement::Reject).await?;
        }
    }
    ensure_eq!(rejected, 100, "first attempts");
    reader.quiet().await
}

/// One entry of the history, as RabbitMQ writes it.
struct Death<'a> {
    queue: &'a str,
    reason: &'a str,
    exchange: &'a str,
    key: &'a str,
    count: i64,
}

impl Death<'_> {
    fn check(&self, headers: &Headers, index: usize, of: usize) -> Verdict {
        let history = headers
            .get(headers::X_DEATH)
            .and_then(HeaderValue::as_list)
            .unwrap_or_default();
        ensure_eq!(history.len(), of, "entries of {}", headers::X_DEATH);
        let Some(entry) = history.get(index).and_then(HeaderValue::as_table) else {
            return Err(Stop::failed(format_args!(
                "entry {index} is no table: {history:?}"
            )));
        };
        for (name, wanted) in [
            ("queue", self.queue),
            ("reason", self.reason),
            ("exchange", self.exchange),
        ] {
            ensure_eq!(
                entry.text(name),
                Some(wanted),
                "`{name}` of entry {index} of {entry:?}"
            );
        }
        ensure_eq!(
            entry.int("count"),
            Some(self.count),
            "count of entry {index}"
        );
        let keys = entry.get("routing-keys").and_then(HeaderValue::as_list);
        ensure_eq!(
            keys,
            Some(&[HeaderValue::from(self.key)][..]),
            "routing keys of entry {index}"
        );
        let timed = matches!(entry.get("time"), Some(HeaderValue::Timestamp(_)));
        ensure!(timed, "entry {index} has no time: {entry:?}");
        Ok(())
    }
}

fn check_first_death(headers: &Headers, death: &Death<'_>) -> Verdict {
    for (name, wanted) in [
        (headers::X_FIRST_DEATH_QUEUE, death.queue),
        (headers::X_FIRST_DEATH_REASON, death.reason),
        (headers::X_FIRST_DEATH_EXCHANGE, death.exchange),
    ] {
        ensure_eq!(headers.text(name), Some(wanted), "{name}");
    }
    Ok(())
}
