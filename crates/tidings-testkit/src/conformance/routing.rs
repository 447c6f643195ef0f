//! Routing: which queues a message reaches, and what is said when it reaches none.

use tidings_core::{
    Address, Call, Envelope, ErrorKind, Settlement,
    topology::{Exchange, ExchangeKind, Queue, Topology},
    transport::Capability,
};

use super::{
    trial::Trial,
    verdict::{Verdict, refused},
};

pub(super) async fn the_default_exchange_leads_to_the_queue_named_by_the_key(
    on: &mut Trial,
) -> Verdict {
    on.queue("some.queue").await?;
    on.publish(Address::new("", "some.queue"), "direct").await?;
    on.reader("some.queue", 1)
        .await?
        .take_text("direct")
        .await?;
    Ok(())
}

pub(super) async fn direct_exchanges_match_the_whole_key(on: &mut Trial) -> Verdict {
    let cases = [
        ("a", "a", true),
        ("a", "b", false),
        ("a", "A", false),
        ("a.b", "a.b", true),
        ("a.b", "a", false),
        ("a.*", "a.b", false),
        ("a.*", "a.*", true),
        ("#", "a", false),
        ("", "", true),
        ("", "a", false),
    ];
    check(on, ExchangeKind::Direct, &cases).await
}

pub(super) async fn fanout_exchanges_match_everything(on: &mut Trial) -> Verdict {
    let cases = [
        ("", "a", true),
        ("a", "b", true),
        ("x.y", "", true),
        ("#", "q.r.s", true),
    ];
    check(on, ExchangeKind::Fanout, &cases).await
}

/// `*` is exactly one word, `#` any number of words, none included. Words may be empty.
pub(super) async fn topic_exchanges_match_patterns(on: &mut Trial) -> Verdict {
    let cases = [
        ("a.b.c", "a.b.c", true),
        ("a.b.c", "a.b", false),
        ("a.b", "a.b.c", false),
        ("*", "a", true),
        ("*", "a.b", false),
        ("a.*", "a.b", true),
        ("a.*", "a", false),
        ("a.*", "a.b.c", false),
        ("*.b", "a.b", true),
        ("*.b", "b", false),
        ("a.*.c", "a.b.c", true),
        ("a.*.c", "a.c", false),
        ("a.*.c", "a..c", true),
        ("#", "", true),
        ("#", "a", true),
        ("#", "a.b.c", true),
        ("a.#", "a", true),
        ("a.#", "a.b.c", true),
        ("a.#", "ab", false),
        ("#.c", "c", true),
        ("#.c", "a.b.c", true),
        ("#.c", "a.b.d", false),
        ("a.#.z", "a.z", true),
        ("a.#.z", "a.b.c.z", true),
        ("a.#.z", "a.b.c", false),
        ("#.#", "a", true),
        ("#.#", "", true),
        ("*.#", "a", true),
        ("*.#.*", "a", false),
        ("*.#.*", "a.b", true),
        ("#.b.#", "b", true),
        ("#.b.#", "a.b.c.d", true),
        ("#.b.#", "a.c", false),
        ("#.a.#.a.#", "a", false),
        ("#.a.#.a.#", "x.a.y.a.z", true),
        ("a*", "a*", true),
        ("a*", "ab", false),
        ("a#", "ab", false),
        ("", "a", false),
    ];
    check(on, ExchangeKind::Topic, &cases).await
}

/// One queue per case on one exchange per case, so that each answer stands alone. Those that must have received their
/// message are looked at first: once they all have, the others have had their time.
async fn check(on: &Trial, kind: ExchangeKind, cases: &[(&str, &str, bool)]) -> Verdict {
    on.needs(&[Capability::Exchanges])?;
    for (number, (pattern, key, _)) in cases.iter().enumerate() {
        let (exchange, queue) = (format!("x.{number}"), format!("q.{number}"));
        let topology = Topology::new()
            .exchange(Exchange::new(exchange.as_str(), kind))
            .queue(Queue::new(queue.as_str()))
            .bind(exchange.as_str(), queue.as_str(), *pattern);
        on.declare(topology).await?;
        let call = Call::new(Address::new(exchange, *key), Envelope::new("m"));
        on.publish_call(call.unroutable_is_fine()).await?;
    }
    for wanted in [true, false] {
        for (number, (pattern, key, matches)) in cases.iter().enumerate() {
            if *matches == wanted {
                let what =
                    format!("that {kind} pattern `{pattern}` takes key `{key}` is {matches}");
                let ready = u64::from(wanted);
                on.status_when(&format!("q.{number}"), &what, |status| {
                    status.ready == ready
                })
                .await?;
            }
        }
    }
    Ok(())
}

pub(super) async fn overlapping_bindings_deliver_one_copy(on: &mut Trial) -> Verdict {
    on.needs(&[Capability::Exchanges])?;
    let topology = Topology::new()
        .exchange(Exchange::topic("x"))
        .queue(Queue::new("q"))
        .bind("x", "q", "a.*")
        .bind("x", "q", "a.#")
        .bind("x", "q", "#");
    on.declare(topology).await?;
    on.publish(Address::new("x", "a.b"), "once").await?;
    let mut reader = on.reader("q", 5).await?;
    reader
        .take_text("once")
        .await?
        .settle(Settlement::Ack)
        .await?;
    reader.quiet().await
}

pub(super) async fn one_message_reaches_every_matching_queue(on: &mut Trial) -> Verdict {
    on.needs(&[Capability::Exchanges])?;
    let topology = Topology::new()
        .exchange(Exchange::topic("x"))
        .queue(Queue::new("all"))
        .queue(Queue::new("some"))
        .queue(Queue::new("none"))
        .bind("x", "all", "#")
        .bind("x", "some", "user.*")
        .bind("x", "none", "order.*");
    on.declare(topology).await?;
    on.publish(Address::new("x", "user.created"), "m").await?;
    for (queue, ready) in [("all", 1), ("some", 1), ("none", 0)] {
        on.wait_ready(queue, ready).await?;
    }
    Ok(())
}

pub(super) async fn a_message_that_no_queue_receives_is_an_error(on: &mut Trial) -> Verdict {
    on.needs(&[Capability::Exchanges, Capability::UnroutableDetection])?;
    on.declare(Topology::new().exchange(Exchange::topic("the.exchange")))
        .await?;
    let to = Address::new("the.exchange", "the.key");
    let told = refused(
        on.publish(to, "lost").await,
        ErrorKind::Unroutable,
        "the.exchange",
    )?;
    ensure!(
        told.contains("the.key"),
        "the error does not name the key: {told}"
    );
    let no_queue = on.publish(Address::queue("no.such.queue"), "lost").await;
    refused(no_queue, ErrorKind::Unroutable, "no.such.queue")?;
    Ok(())
}

pub(super) async fn a_message_that_need_not_be_received_may_vanish(on: &mut Trial) -> Verdict {
    on.needs(&[Capability::Exchanges])?;
    on.declare(Topology::new().exchange(Exchange::topic("x")))
        .await?;
    for to in [Address::new("x", "k"), Address::queue("no.such.queue")] {
        let call = Call::new(to, Envelope::new("m")).unroutable_is_fine();
        on.publish_call(call).await?;
    }
    Ok(())
}
