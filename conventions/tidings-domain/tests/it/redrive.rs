//! From the dead letters back to the handler.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tidings_core::{
    Address, Call, Envelope, ErrorKind, Headers, Kind,
    convention::{Convention, Failed, Interest, Plan},
    headers,
    properties::Fields,
    retry_policy::RetryPolicy,
};
use tidings_domain::{Domain, names, redelivery_count, redrive, requeue};

use crate::golden::{captured, json, ordinary_failure};

#[test]
fn a_redriven_message_starts_afresh_in_its_queue() {
    let domain = Domain::new("petacc", "registration").unwrap();
    let interest = Interest::Named {
        name: "user.created".into(),
        version: 1,
        kind: Kind::Event,
    };
    let attachment = domain
        .attach("send_mail_on_user_created", &interest, &RetryPolicy::new(2))
        .unwrap();
    let dead = captured(&json("dead_letter_after_max_retries.json"));
    let error = ordinary_failure();
    let plan = |call: &Call| {
        let now = Timestamp::UNIX_EPOCH;
        domain.recover(&Failed {
            attachment: &attachment,
            call,
            error: &error,
            delayed_nack: true,
            now,
        })
    };
    let Plan::Forward { call: dead, .. } = plan(&dead) else {
        panic!("no dead letter")
    };
    assert!(dead.envelope.headers.get(headers::REASON).is_some());

    let call = redrive(&dead).unwrap();
    assert_eq!(call.address, Address::queue(attachment.queue.clone()));
    assert_eq!(call.envelope.payload, dead.envelope.payload);
    let expected = Headers::new().with(headers::QUEUE, attachment.queue.clone());
    assert_eq!(call.envelope.headers, expected);
    let Plan::Forward { call: copy, .. } = plan(&call) else {
        panic!("not retried")
    };
    assert_eq!(
        redelivery_count(&copy.envelope.headers),
        Ok(1),
        "it has all its attempts again"
    );
}

#[test]
fn redrives_dead_letters_of_the_store_and_of_other_keys() {
    let check = |queue: &str, key: &str, expected: &str| {
        let call = Call::new(Address::new("dead_letter.o.s", key), Envelope::new("{}"));
        let call = redrive(&call.with_origin(Arc::from(queue), false)).unwrap();
        assert_eq!(call.address, Address::queue(expected));
    };
    check("dead_letter.store", "dead_letter.o.s.1.event.x", "store");
    check("dead_letter.store", "dead_letter.store", "store");
    check("dead_letter.foo", "anything", "foo");
}

#[test]
fn keeps_what_others_wrote_but_no_expiration() {
    let headers = Headers::new()
        .with("traceparent", "x")
        .with(headers::REDELIVERY_COUNT, 6);
    let mut dead = Call::new(
        Address::new("dead_letter.o.s", "dead_letter.store"),
        Envelope::new("{}").with_headers(headers),
    );
    dead.envelope.properties = Fields {
        message_id: Some("m".into()),
        expiration: Some(Duration::from_secs(1)),
        ..Fields::default()
    }
    .into();
    let call = redrive(&dead).unwrap();
    assert_eq!(
        call.envelope.headers,
        Headers::new().with("traceparent", "x")
    );
    assert_eq!(
        call.envelope.properties.message_id().map(|id| &**id),
        Some("m")
    );
    assert_eq!(call.envelope.properties.expiration(), None);
}

#[test]
fn refuses_to_redrive_what_is_not_dead() {
    let call = Call::new(Address::new("o.s", "o.s.1.event.x"), Envelope::new("{}"));
    let error = redrive(&call.with_origin(Arc::from("store"), false)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misuse);
    assert!(
        error.to_string().contains("`store` holds no dead letters"),
        "{error}"
    );
}

#[test]
fn requeues_as_the_existing_tools_do() {
    let domain = Domain::new("petacc", "registration").unwrap();
    let dead = captured(&json("dead_letter_after_max_retries.json"));
    let key = names::retry(&dead.address.key);
    let call = requeue(&dead, &domain.names().retry_exchange, &key);
    assert_eq!(&*call.address.exchange, "retry.petacc.registration");
    assert_eq!(
        call.address.key.strip_prefix("retry."),
        dead.address.key.strip_prefix("dead_letter.")
    );
    assert!(call.envelope.headers.is_empty());
    assert_eq!(call.envelope.payload, dead.envelope.payload);
}
