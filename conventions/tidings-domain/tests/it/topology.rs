//! Exchanges, queues and bindings.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tidings_core::{
    ErrorKind, Kind,
    convention::{Attachment, Convention, Interest},
    retry_policy::RetryPolicy,
    topology::{ExchangeKind, Queue, Topology},
};
use tidings_domain::Domain;

use crate::golden::{json, string};

fn interests(subscriber: &Value) -> Vec<Interest> {
    if subscriber["all"] == true {
        return vec![Interest::All];
    }
    let messages = subscriber["messages"].as_array().unwrap();
    messages
        .iter()
        .map(|message| Interest::Named {
            name: string(message, "name").to_owned(),
            version: message["version"].as_i64().unwrap(),
            kind: if message["type"] == "command" {
                Kind::Command
            } else {
                Kind::Event
            },
        })
        .collect()
}

fn attachments(domain: &Domain) -> Vec<Attachment> {
    let subscribers = json("subscribers.json");
    let each = subscribers
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|subscriber| {
            interests(subscriber).into_iter().map(|interest| {
                let name = string(subscriber, "name");
                domain
                    .attach(name, &interest, &RetryPolicy::default())
                    .unwrap()
            })
        });
    each.collect()
}

fn everything(domain: &Domain) -> Topology {
    let mut topology = domain.topology();
    for attachment in attachments(domain) {
        topology.merge(attachment.topology);
    }
    topology.validate().unwrap();
    topology
}

fn queue(queue: &Queue) -> Value {
    assert!(queue.arguments.is_empty());
    let mut arguments = json!({});
    if let Some(dead_letter) = &queue.dead_letter {
        arguments["x-dead-letter-exchange"] = json!(&*dead_letter.exchange);
        arguments["x-dead-letter-routing-key"] = json!(dead_letter.key.as_deref());
    }
    if let Some(ttl) = queue.message_ttl {
        arguments["x-message-ttl"] = json!(u64::try_from(ttl.as_millis()).unwrap());
    }
    json!({"name": &*queue.name, "durable": queue.durable, "exclusive": queue.exclusive, "arguments": arguments})
}

/// One line for each thing, so that a difference is readable.
fn lines(values: impl IntoIterator<Item = Value>) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    for mut value in values {
        value.sort_all_objects();
        assert!(seen.insert(value.to_string()), "declared twice: {value}");
    }
    seen
}

fn measured(list: &str, forgotten: &[&str]) -> BTreeSet<String> {
    let topology = json("topology.json");
    let values = topology[list].as_array().unwrap().clone();
    lines(values.into_iter().map(|mut value| {
        let map = value.as_object_mut().unwrap();
        map.retain(|name, _| !forgotten.contains(&name.as_str()));
        let text = value
            .to_string()
            .replace("<ORG>", "acme")
            .replace("<SVC>", "shop");
        serde_json::from_str(&text).unwrap()
    }))
}

#[test]
fn declares_exactly_what_the_wire_declares() {
    let domain = Domain::builder("acme", "shop")
        .joining_existing()
        .build()
        .unwrap();
    let ours = everything(&domain);
    let exchanges = ours.exchanges.iter().map(|exchange| {
        assert_eq!(exchange.kind, ExchangeKind::Topic);
        json!({"name": &*exchange.name, "type": "topic"})
    });
    assert_eq!(
        lines(exchanges),
        measured(
            "exchanges",
            &["durable", "auto_delete", "internal", "arguments"]
        )
    );
    assert_eq!(
        lines(ours.queues.iter().map(queue)),
        measured("queues", &["auto_delete", "type"])
    );
    let bindings = ours.bindings.iter().map(|binding| {
        json!({"exchange": &*binding.exchange, "queue": &*binding.queue, "routing_key": &*binding.pattern})
    });
    assert_eq!(lines(bindings), measured("bindings", &["arguments"]));
}

#[test]
fn main_queues_wait_for_their_consumer_unless_told_otherwise() {
    let ours = everything(&Domain::new("acme", "shop").unwrap());
    for queue in &ours.queues {
        let is_retry = queue.name.starts_with("retry.");
        assert_eq!(queue.message_ttl.is_some(), is_retry, "{}", queue.name);
    }
}

#[test]
fn does_without_a_store() {
    let domain = Domain::builder("acme", "shop")
        .without_store()
        .build()
        .unwrap();
    let topology = domain.topology();
    assert_eq!(topology.exchanges.len(), 3);
    assert!(topology.queues.is_empty() && topology.bindings.is_empty());
    for interest in [
        Interest::All,
        Interest::Queue {
            name: "dead_letter.store".into(),
            kind: None,
        },
    ] {
        let error = domain
            .attach("all", &interest, &RetryPolicy::default())
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misuse);
        assert!(error.to_string().contains("without a store"), "{error}");
    }
}

#[test]
fn clears_subscribers_or_everything() {
    let domain = Domain::new("acme", "shop").unwrap();
    let attachments = attachments(&domain);
    let declared = everything(&domain);
    let names = |topology: &Topology| -> BTreeSet<String> {
        topology
            .queues
            .iter()
            .map(|queue| queue.name.to_string())
            .collect()
    };

    // Whoever handles dead letters has made these, and need not be one of the subscribers.
    let mains = attachments.iter().filter(|it| &*it.queue != "store");
    let pauses = mains.map(|it| format!("retry.dead_letter.{}", it.queue));
    let of_subscribers: BTreeSet<_> = names(&declared)
        .into_iter()
        .filter(|name| !name.ends_with("store"))
        .chain(pauses)
        .collect();
    let of_store = [
        "store",
        "retry.store",
        "dead_letter.store",
        "retry.dead_letter.store",
    ];

    let all = domain.clear(&attachments);
    let everything = of_store.map(str::to_owned).into_iter();
    let everything: BTreeSet<_> = everything.chain(of_subscribers.clone()).collect();
    assert_eq!(names(&all), everything);
    assert_eq!(all.exchanges.len(), declared.exchanges.len());

    let subscribers = domain.clear_subscribers(&attachments);
    assert!(subscribers.exchanges.is_empty() && subscribers.bindings.is_empty());
    assert_eq!(names(&subscribers), of_subscribers);
}

#[test]
fn clearing_leaves_what_is_somebody_elses() {
    let domain = Domain::new("acme", "shop").unwrap();
    let theirs = Interest::Queue {
        name: "acme.billing.1.event.invoice_issued.mail".into(),
        kind: None,
    };
    let retry = RetryPolicy::new(2).with_steps([std::time::Duration::from_secs(1)]);
    let attachment = domain.attach("helper", &theirs, &retry).unwrap();
    let cleared = domain.clear_subscribers(&[attachment]).queues;
    let names: Vec<_> = cleared.iter().map(|queue| &*queue.name).collect();
    assert_eq!(
        names,
        ["retry.acme.billing.1.event.invoice_issued.mail.1000"]
    );
}

#[test]
fn additions_are_what_no_other_system_declares() {
    let domain = Domain::new("acme", "shop").unwrap();
    let interest = Interest::Named {
        name: "order.placed".into(),
        version: 1,
        kind: Kind::Event,
    };
    let check = |interest: &Interest, retry: &RetryPolicy, expected: &[&str]| {
        let attachment = domain.attach("bill", interest, retry).unwrap();
        let added = domain.additions(&attachment);
        assert!(added.exchanges.is_empty() && added.bindings.is_empty());
        let names: Vec<_> = added.queues.iter().map(|queue| &*queue.name).collect();
        assert_eq!(names, expected);
        for queue in &added.queues {
            assert!(attachment.topology.queues.contains(queue), "{}", queue.name);
        }
    };
    let stepped = RetryPolicy::new(2).with_steps([std::time::Duration::from_secs(1)]);
    let plain = RetryPolicy::default();
    let step = "retry.acme.shop.1.event.order_placed.bill.1000";
    let pause = "retry.dead_letter.acme.shop.1.event.order_placed.bill";
    let dead = Interest::DeadLetters(Box::new(interest.clone()));
    check(&interest, &plain, &[]);
    check(&interest, &stepped, &[step]);
    check(&dead, &plain, &[pause]);
    check(&Interest::All, &stepped, &["retry.store.1000"]);
}
