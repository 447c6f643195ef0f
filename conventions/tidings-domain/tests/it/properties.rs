//! What must hold for every message, every body and every failure.

use std::time::Duration;

use jiff::Timestamp;
use proptest::{collection::vec, prelude::*, sample::Index};
use serde::de::IgnoredAny;
use serde_json::{Map, Value};
use tidings_core::{
    Address, Call, Envelope, Error, ErrorKind, HeaderValue, Headers, Kind, Outcome,
    codec::Format,
    convention::{Attachment, Convention, Failed, Interest, Outgoing, Plan},
    headers,
    retry_policy::RetryPolicy,
    topology::{Queue, Topology},
};
use tidings_domain::Domain;

use crate::golden::arrived;
use crate::routing::{reached, reached_by_expiry};

fn domain() -> Domain {
    Domain::new("o", "s").unwrap()
}

fn event() -> Interest {
    Interest::Named {
        name: "user.created".into(),
        version: 1,
        kind: Kind::Event,
    }
}

fn attach(interest: &Interest, retry: &RetryPolicy) -> Attachment {
    domain().attach("sub", interest, retry).unwrap()
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        // Eighths are exact in every notation.
        any::<i32>().prop_map(|n| Value::from(f64::from(n) / 8.0)),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((any::<String>(), inner), 0..4)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

fn any_object() -> impl Strategy<Value = Map<String, Value>> {
    vec((any::<String>(), any_value()), 0..5).prop_map(|pairs| pairs.into_iter().collect())
}

fn sealed(
    name: &str,
    version: i64,
    at: Timestamp,
    fields: &Map<String, Value>,
    meta: &Map<String, Value>,
) -> Call {
    let outgoing = Outgoing {
        name,
        version,
        kind: Kind::Event,
        id: None,
        occurred_at: Some(at),
        meta,
        secrets: &[],
        body: &|format: Format, out: &mut Vec<u8>| format.encode(fields, out),
    };
    domain().seal(&outgoing).unwrap()
}

proptest! {
    #[test]
    fn what_is_sealed_opens_as_it_was(
        name in ".{0,40}",
        version in any::<i64>(),
        micros in -62_135_596_800_000_000_i64..253_402_207_200_000_000,
        fields in any_object(),
        meta in any_object(),
    ) {
        let at = Timestamp::from_microsecond(micros).unwrap();
        let call = sealed(&name, version, at, &fields, &meta);
        prop_assert!(call.envelope.payload.bytes.is_ascii());
        let opened = domain().open(&call, &attach(&Interest::All, &RetryPolicy::default())).unwrap();
        prop_assert_eq!(&*opened.name, &*name);
        prop_assert_eq!(opened.version, version);
        prop_assert_eq!(opened.occurred_at, at);
        prop_assert_eq!(&*opened.kind, "domain_event");
        prop_assert_eq!(serde_json::from_slice::<Map<String, Value>>(&opened.body).unwrap(), fields);
        prop_assert_eq!(opened.to_metadata().meta, Value::Object(meta));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..200)) {
        let delivery = arrived(bytes);
        if let Err(error) = domain().open(&delivery, &attach(&event(), &RetryPolicy::default())) {
            prop_assert_eq!(error.kind(), ErrorKind::Decode);
        }
    }

    #[test]
    fn no_mutation_makes_it_panic(
        fields in any_object(),
        edits in vec((any::<Index>(), prop_oneof![any::<u8>(), proptest::sample::select(&b"{}[]\",:\\u0d8NaI-+.e \x00"[..])], 0..3_u8), 1..8),
    ) {
        let mut bytes = sealed("user.created", 1, Timestamp::UNIX_EPOCH, &fields, &fields).envelope.payload.bytes.to_vec();
        for (at, byte, edit) in edits {
            let at = at.index(bytes.len().max(1)).min(bytes.len().saturating_sub(1));
            match edit {
                0 => bytes.insert(at, byte),
                1 if bytes.len() > 1 => { bytes.remove(at); }
                _ => bytes[at] = byte,
            }
        }
        let is_json = serde_json::from_slice::<IgnoredAny>(&bytes).is_ok();
        let delivery = arrived(bytes);
        match domain().open(&delivery, &attach(&event(), &RetryPolicy::default())) {
            Ok(opened) => {
                prop_assert!(serde_json::from_slice::<IgnoredAny>(&opened.body).is_ok());
                prop_assert!(serde_json::from_str::<IgnoredAny>(&opened.meta).is_ok());
            }
            Err(error) => {
                prop_assert_eq!(error.kind(), ErrorKind::Decode);
                prop_assert!(!(is_json && error.to_string().contains("not JSON")), "{}", error);
            }
        }
    }

    #[test]
    fn no_failure_loses_a_message(
        interest in any_interest(),
        retry in any_policy(),
        headers in any_headers(),
        key in proptest::sample::select(KEYS),
        outcome in any_outcome(),
        delayed_nack in any::<bool>(),
    ) {
        let attachment = attach(&interest, &retry);
        let topology = declared(&attachment);
        let call = Call::new(Address::new("o.s", key), Envelope::new("{}").with_headers(headers));
        let error = Error::new(ErrorKind::Handler, "x").with_outcome(outcome);
        let now = Timestamp::UNIX_EPOCH;
        let failed = Failed { attachment: &attachment, call: &call, error: &error, delayed_nack, now };
        if let Plan::Forward { call: copy, .. } = domain().recover(&failed) {
            let queues = reached(&topology, &copy.address);
            prop_assert_eq!(queues.len(), 1, "{} reaches {:?}", copy.address, queues);
            prop_assert_ne!(&*queues[0], &*attachment.queue, "a hot loop");
            let is_dead = queues[0].starts_with("dead_letter.");
            let after = reached_by_expiry(&topology, &queues[0]);
            if is_dead {
                prop_assert!(after.is_empty() && copy.envelope.properties.expiration().is_none());
            } else {
                prop_assert_eq!(after, [attachment.queue.to_string()]);
                let ttl = topology.queues.iter().find(|queue| *queue.name == *queues[0]).unwrap().message_ttl;
                prop_assert!(ttl.is_some() || copy.envelope.properties.expiration().is_some(), "stuck");
            }
        }
    }
}

const KEYS: &[&str] = &[
    "o.s.1.event.user_created",
    "o.s.1.event.user_created.sub",
    "retry.o.s.1.event.user_created.sub",
    "dead_letter.o.s.1.event.user_created.sub",
    "retry.store",
    "store",
    "dead_letter.store",
    "other.service.7.command.x",
    "foo",
    "",
    "....",
    "a.b.c.event.",
];

fn any_interest() -> impl Strategy<Value = Interest> {
    let queue = |name: &'static str| Interest::Queue {
        name: name.into(),
        kind: None,
    };
    let dead = |of: Interest| Interest::DeadLetters(Box::new(of));
    proptest::sample::select(vec![
        event(),
        Interest::All,
        dead(event()),
        dead(Interest::All),
        dead(queue("foo")),
        queue("foo"),
        queue("store"),
        queue("dead_letter.store"),
        queue("dead_letter.foo"),
        queue("other.service.1.event.x.somebody"),
    ])
}

fn any_policy() -> impl Strategy<Value = RetryPolicy> {
    (0..4_u32, vec(0..100_000_u64, 0..3), 0.0..1.0).prop_map(|(max, steps, jitter)| {
        RetryPolicy::new(max)
            .with_steps(steps.into_iter().map(Duration::from_micros))
            .with_jitter(jitter)
    })
}

fn any_headers() -> impl Strategy<Value = Headers> {
    let name = proptest::sample::select(vec![
        headers::QUEUE,
        headers::REDELIVERY_COUNT,
        headers::X_DEATH,
        headers::NOT_BEFORE,
        headers::FIRST_FAILED_AT,
        "traceparent",
    ]);
    let value = prop_oneof![
        Just(HeaderValue::Null),
        (-2..8_i64).prop_map(HeaderValue::Int),
        any::<i64>().prop_map(HeaderValue::Int),
        proptest::sample::select(KEYS).prop_map(HeaderValue::from),
        Just(HeaderValue::List(vec![
            HeaderValue::Int(1),
            HeaderValue::Table(Headers::new().with("queue", "store"))
        ])),
    ];
    vec((name, value), 0..5).prop_map(|pairs| pairs.into_iter().collect())
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(Outcome::Retry),
        Just(Outcome::Fatal),
        Just(Outcome::Requeue),
        (0..10_000_000_u64).prop_map(|micros| Outcome::Defer(Duration::from_micros(micros))),
        Just(Outcome::Defer(Duration::MAX)),
    ]
}

/// Everything that exists: what is declared, and the queue that a subscriber found by its name.
fn declared(attachment: &Attachment) -> Topology {
    let mut topology = domain().topology();
    topology.merge(attachment.topology.clone());
    let interest = match &attachment.interest {
        Interest::DeadLetters(of) => of,
        other => other,
    };
    if let Interest::Queue { name, .. } = interest
        && !topology.queues.iter().any(|queue| queue.name == *name)
    {
        topology = topology.queue(Queue::new(name.clone()));
    }
    topology
}
