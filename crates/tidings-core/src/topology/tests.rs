//! What every broker would refuse, and what merging keeps.

use super::*;

const MAX_TTL: Duration = Duration::from_millis(u32::MAX as u64);

fn accepts(topology: &Topology) {
    assert!(topology.validate().is_ok(), "{topology:?}");
}

fn refuses(topology: &Topology, expected: &str) {
    let error = topology.validate().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misuse);
    let text = error.to_string();
    assert!(text.contains(expected), "no {expected:?} in {text:?}");
}

fn queue(queue: Queue) -> Topology {
    Topology::new().queue(queue)
}

#[test]
fn names_are_neither_empty_nor_long() {
    let (fits, long) = ("é".repeat(127), "é".repeat(128));
    accepts(&queue(Queue::new(&*fits)));
    accepts(&Topology::new().exchange(Exchange::topic(&*fits)));
    accepts(&Topology::new().bind(&*fits, &*fits, &*fits));
    accepts(&Topology::new().bind("x", "q", ""));

    refuses(&queue(Queue::new("")), "a queue needs a name");
    refuses(&queue(Queue::new(&*long)), "is 256 bytes long");
    let unnamed = Topology::new().exchange(Exchange::topic(""));
    refuses(&unnamed, "an exchange needs a name");
    refuses(
        &Topology::new().bind("", "q", "#"),
        "an exchange needs a name",
    );
    refuses(&Topology::new().bind("x", "", "#"), "a queue needs a name");
    refuses(&Topology::new().bind("x", "q", &*long), "binding pattern");
    refuses(
        &queue(Queue::new("q").with_dead_letter(&*long, "k")),
        "dead-letter exchange",
    );
    refuses(
        &queue(Queue::new("q").with_dead_letter("x", &*long)),
        "dead-letter key",
    );
}

#[test]
fn a_ttl_is_whole_milliseconds_and_fits_every_broker() {
    for ttl in [Duration::ZERO, Duration::from_millis(1), MAX_TTL] {
        accepts(&queue(Queue::new("q").with_ttl(ttl)));
    }
    accepts(&queue(Queue::new("q").with_ttl(None)));
    for ttl in [
        Duration::from_micros(1500),
        Duration::from_nanos(1),
        MAX_TTL + Duration::from_millis(1),
        Duration::MAX,
    ] {
        refuses(&queue(Queue::new("q").with_ttl(ttl)), "whole milliseconds");
    }
}

#[test]
fn a_name_has_one_definition() {
    let twice = queue(Queue::new("q")).queue(Queue::new("q"));
    accepts(&twice);
    refuses(
        &queue(Queue::new("q")).queue(Queue::new("q").with_ttl(MAX_TTL)),
        "queue `q` is declared twice",
    );
    let direct = Exchange::direct("x");
    let clash = Topology::new()
        .exchange(Exchange::topic("x"))
        .exchange(direct);
    refuses(&clash, "exchange `x` is declared twice");
    accepts(&queue(Queue::new("x")).exchange(Exchange::topic("x")));
}

#[test]
fn merging_adds_what_is_new_and_keeps_the_order() {
    let mut all = queue(Queue::new("a")).bind("x", "a", "#");
    let other = queue(Queue::new("b"))
        .queue(Queue::new("a"))
        .exchange(Exchange::topic("x"))
        .bind("x", "a", "#")
        .bind("x", "b", "#");
    all.merge(other.clone());
    all.merge(other);
    let names: Vec<_> = all.queues.iter().map(|queue| &*queue.name).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!((all.exchanges.len(), all.bindings.len()), (1, 2));
}

#[test]
fn merging_a_contradiction_does_not_hide_it() {
    let mut all = queue(Queue::new("a"));
    all.merge(queue(Queue::exclusive("a")));
    refuses(&all, "queue `a` is declared twice");
}
