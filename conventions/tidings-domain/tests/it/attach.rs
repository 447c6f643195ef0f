//! Where subscribers find their messages, and which names are refused.

use std::{sync::Arc, time::Duration};

use tidings_core::{
    Contract, ContractInfo, ErrorKind, Event, Kind,
    convention::{Convention, Interest},
    error::Result,
    retry_policy::RetryPolicy,
};
use tidings_domain::{Domain, QueueRule};

const Q: &str = "acme.shop.2.event.order_placed.bill";

#[derive(Event, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[event(version = 2, crate = tidings_core)]
struct OrderPlaced {}

fn attach(interest: &Interest, retry: &RetryPolicy) -> Result<Arc<str>> {
    let domain = Domain::new("acme", "shop").unwrap();
    domain
        .attach("bill", interest, retry)
        .map(|attachment| attachment.queue)
}

fn order_placed() -> Interest {
    Interest::Contract(OrderPlaced::info())
}

fn named(name: &str) -> Interest {
    Interest::Queue {
        name: name.into(),
        kind: None,
    }
}

#[test]
fn every_interest_has_its_queue() {
    let check = |interest: Interest, queue: &str| {
        assert_eq!(&*attach(&interest, &RetryPolicy::default()).unwrap(), queue);
    };
    check(order_placed(), Q);
    check(
        Interest::Named {
            name: "order.placed".into(),
            version: 2,
            kind: Kind::Event,
        },
        Q,
    );
    check(
        Interest::Named {
            name: "UserCreated".into(),
            version: 1,
            kind: Kind::Command,
        },
        "acme.shop.1.command.UserCreated.bill",
    );
    check(Interest::All, "store");
    check(
        Interest::DeadLetters(Box::new(order_placed())),
        &format!("dead_letter.{Q}"),
    );
    check(
        Interest::DeadLetters(Box::new(Interest::All)),
        "dead_letter.store",
    );
    check(
        Interest::DeadLetters(Box::new(named("foo"))),
        "dead_letter.foo",
    );
    check(named("foo"), "foo");
    check(named("dead_letter.foo"), "dead_letter.foo");
}

#[test]
fn refuses_interests_without_a_queue() {
    let dead = Interest::DeadLetters(Box::new(order_placed()));
    let call = Interest::Contract(ContractInfo {
        name: "x",
        version: 1,
        kind: Kind::Call,
    });
    let wildcard = Interest::Named {
        name: "user.*".into(),
        version: 1,
        kind: Kind::Event,
    };
    let long = Interest::Named {
        name: "x".repeat(230),
        version: 1,
        kind: Kind::Event,
    };
    let check = |interest, expected: &str| {
        let error = attach(&interest, &RetryPolicy::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misuse);
        assert!(
            error.to_string().starts_with("subscriber `bill`: "),
            "{error}"
        );
        assert!(error.to_string().contains(expected), "{error}");
    };
    check(
        Interest::DeadLetters(Box::new(dead)),
        "holds dead letters already",
    );
    check(call, "events and commands only");
    check(wildcard, "contains '*'");
    check(long, "at most 255");
    check(named(""), "has no name");
    check(named("retry."), "has no name");
}

#[test]
fn refuses_names_that_would_break_routing() {
    let check = |organization: &str, service: &str, expected: &[&str]| {
        let error = Domain::new(organization, service).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misuse);
        for expected in expected {
            assert!(error.to_string().contains(expected), "{error}");
        }
    };
    check("", "", &["organization has no name", "service has no name"]);
    check(
        "ac.me",
        "sh op",
        &[
            "`ac.me` contains a dot",
            "the store would silently stop",
            "`sh op` contains ' '",
        ],
    );
    check(
        "retry",
        "store",
        &["organization `retry`", "service `store`"],
    );
    check("*", "#", &["contains '*'", "contains '#'"]);
    check(&"x".repeat(250), "y", &["exchange names of 268 bytes"]);

    let domain = Domain::new("acme", "shop").unwrap();
    for name in ["", "a.b", "a b", "*"] {
        let error = domain
            .attach(name, &Interest::All, &RetryPolicy::default())
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misuse, "{name:?}");
    }
}

#[test]
fn refuses_ttls_that_no_broker_accepts() {
    let years = Duration::from_secs(60 * 60 * 24 * 365);
    let error = Domain::builder("acme", "shop")
        .retry_ttl(Duration::from_micros(1_500))
        .queue_rule(QueueRule::new("*mail").with_main_ttl(years))
        .build()
        .unwrap_err();
    assert!(
        error.to_string().contains("retry TTL 1.5ms of `default`"),
        "{error}"
    );
    assert!(error.to_string().contains("of `*mail`"), "{error}");
}

/// Its own service declares it with the same words, so both agree.
#[test]
fn a_queue_of_another_service_keeps_its_exchanges() {
    let domain = Domain::new("acme", "shop").unwrap();
    let theirs = Domain::new("acme", "billing").unwrap();
    let interest = Interest::Named {
        name: "invoice.issued".into(),
        version: 1,
        kind: Kind::Event,
    };
    let their_place = theirs
        .attach("mail", &interest, &RetryPolicy::default())
        .unwrap();
    let our_place = domain
        .attach(
            "helper",
            &named(&their_place.queue),
            &RetryPolicy::default(),
        )
        .unwrap();
    assert_eq!(our_place.topology.exchanges, their_place.topology.exchanges);
    for queue in &our_place.topology.queues {
        assert!(
            their_place.topology.queues.contains(queue),
            "{}",
            queue.name
        );
    }
    assert_eq!(
        our_place.topology.queues.len(),
        2,
        "the main queue is theirs to declare"
    );
}

#[test]
fn every_step_of_a_policy_has_a_queue() {
    let steps = [0, 1_000, 60_000, 1_000].map(Duration::from_millis);
    let retry = RetryPolicy::new(9).with_steps(steps);
    let domain = Domain::new("acme", "shop").unwrap();
    let attachment = domain.attach("bill", &order_placed(), &retry).unwrap();
    let waiting: Vec<_> = attachment
        .topology
        .queues
        .iter()
        .filter(|queue| queue.name.starts_with(&format!("retry.{Q}.")))
        .map(|queue| {
            (
                queue.name.to_string(),
                queue.message_ttl.unwrap().as_millis(),
            )
        })
        .collect();
    let expected = [1, 1_000, 60_000].map(|step| (format!("retry.{Q}.{step}"), step));
    assert_eq!(waiting, expected);
    let error = attach(
        &order_placed(),
        &RetryPolicy::new(1).with_steps([Duration::MAX]),
    )
    .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misuse);
}
