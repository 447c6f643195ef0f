//! Comparison: looking at what a topology would change before it does.
//!
//! Bindings may be invisible to a transport, which says so by [`Difference::Unknown`]; exchanges and queues
//! may not.

use std::time::Duration;

use tidings_core::{
    Address, ErrorKind,
    topology::{Difference, Exchange, ExchangeKind, Queue, Thing, Topology},
    transport::Capability,
};

use super::{
    topology::digits,
    trial::Trial,
    verdict::{Stop, Verdict, possible, refused},
};

pub(super) async fn comparing_changes_nothing(on: &mut Trial) -> Verdict {
    let topology = wanted(on);
    let missing = compare(on, &topology).await?;
    ensure!(!missing.is_empty(), "an empty broker differs in nothing");
    let status = on.transport().queues(&["new".into()]).await;
    refused(status, ErrorKind::NotFound, "new")?;
    ensure_eq!(
        compare(on, &topology).await?,
        missing,
        "the second comparison"
    );
    if has_exchanges(on) {
        let to = Address::new("x.new", "any");
        refused(on.publish(to, "m").await, ErrorKind::NotFound, "x.new")?;
    }
    on.declare(topology.clone()).await?;
    on.publish(Address::queue("new"), "kept").await?;
    let differences = compare(on, &topology).await?;
    let seen: Vec<_> = differences.iter().filter(|it| !is_unknown(it)).collect();
    ensure!(
        seen.is_empty(),
        "differs right after the declaration: {seen:?}"
    );
    on.reader("new", 1).await?.take_text("kept").await?;
    Ok(())
}

pub(super) async fn comparing_names_what_is_missing(on: &mut Trial) -> Verdict {
    let mut existing = Topology::new().queue(Queue::new("old"));
    let mut missing = vec![Thing::Queue("new".into())];
    let mut bindings = Vec::new();
    if has_exchanges(on) {
        existing = existing
            .exchange(Exchange::topic("x.old"))
            .bind("x.old", "old", "a.*");
        missing.insert(0, Thing::Exchange("x.new".into()));
        bindings = wanted(on).bindings.iter().map(Thing::from).collect();
    }
    on.declare(existing.clone()).await?;
    existing.merge(wanted(on));
    let differences = compare(on, &existing).await?;

    let (of_bindings, others): (Vec<_>, Vec<_>) = differences
        .into_iter()
        .partition(|it| matches!(it.thing(), Thing::Binding { .. }));
    let wanted: Vec<_> = missing.into_iter().map(Difference::Missing).collect();
    ensure_eq!(others, wanted, "differences of exchanges and queues");
    for binding in &bindings {
        let told = of_bindings.iter().find(|it| it.thing() == binding);
        ensure!(
            told.is_some_and(|it| !it.is_conflict()),
            "{binding} is missing, and the comparison says {told:?}"
        );
    }
    let wrong = of_bindings
        .iter()
        .find(|it| !bindings.contains(it.thing()) && !is_unknown(it));
    ensure_eq!(wrong, None, "a difference that is none");
    Ok(())
}

/// One entry per setting, so that somebody can put them right in one go.
pub(super) async fn comparing_names_every_difference_with_both_values(on: &mut Trial) -> Verdict {
    on.needs(&[
        Capability::Exchanges,
        Capability::QueueTtl,
        Capability::DeadLettering,
    ])?;
    let queue = |millis, key: &str, durable| Queue {
        durable,
        ..Queue::new("q")
            .with_ttl(Duration::from_millis(millis))
            .with_dead_letter("", key)
    };
    let of_kind = |kind| Exchange::new("x", kind);
    let existing = Topology::new()
        .exchange(of_kind(ExchangeKind::Topic))
        .queue(queue(1_000_001, "one", true));
    let wanted = Topology::new()
        .exchange(of_kind(ExchangeKind::Fanout))
        .queue(queue(5_000_002, "two", false))
        .queue(Queue::new("missing"));
    on.declare(existing.clone()).await?;
    let differences = compare(on, &wanted).await?;

    let (x, q) = (Thing::Exchange("x".into()), Thing::Queue("q".into()));
    differs(&differences, &x, "topic", "fanout")?;
    differs(&differences, &q, "1000001", "5000002")?;
    differs(&differences, &q, "one", "two")?;
    let conflicts = differences.iter().filter(|it| it.is_conflict()).count();
    // One of the exchange, three of the queue; a transport may know settings of its own that follow from them.
    ensure!(
        conflicts >= 4,
        "{conflicts} conflicts among {differences:?}"
    );
    let mut things: Vec<_> = differences.iter().map(Difference::thing).collect();
    things.dedup();
    let missing = Thing::Queue("missing".into());
    ensure_eq!(things, [&x, &q, &missing], "what differs, in order");
    ensure_eq!(compare(on, &existing).await?, [], "what was declared");
    Ok(())
}

pub(super) async fn what_cannot_be_declared_cannot_be_compared(on: &mut Trial) -> Verdict {
    compare(on, &wanted(on)).await?;
    let topology = Topology::new().queue(Queue::new("n".repeat(256)));
    let answer = on.transport().compare(&topology).await;
    refused(answer, ErrorKind::Misuse, "256")?;
    Ok(())
}

/// A queue, and where there are such things an exchange and a binding.
fn wanted(on: &Trial) -> Topology {
    let queue = Topology::new().queue(Queue::new("new"));
    if !has_exchanges(on) {
        return queue;
    }
    queue
        .exchange(Exchange::topic("x.new"))
        .bind("x.new", "new", "a.*")
}

fn has_exchanges(on: &Trial) -> bool {
    on.needs(&[Capability::Exchanges]).is_ok()
}

async fn compare(on: &Trial, topology: &Topology) -> Result<Vec<Difference>, Stop> {
    possible(on.transport().compare(topology).await, "comparison")
}

fn is_unknown(difference: &Difference) -> bool {
    matches!(difference, Difference::Unknown { .. })
}

/// Exactly one difference of this thing shows both values, as words or as numbers.
fn differs(all: &[Difference], of: &Thing, was: &str, is: &str) -> Verdict {
    let shows = |text: &str, part| text.contains(part) || digits(text).contains(part);
    let found = all.iter().filter(|difference| match difference {
        Difference::Differs {
            thing, has, wants, ..
        } => thing == of && shows(has, was) && shows(wants, is),
        _ => false,
    });
    ensure_eq!(
        found.count(),
        1,
        "differences of {of} from `{was}` to `{is}` in {all:?}"
    );
    Ok(())
}
