//! One message from its publish to its dead letter, compared with what was captured on a broker.

use jiff::Timestamp;
use tidings_core::{
    Address, Call, Kind,
    convention::{Convention, Failed, Interest, Plan},
    retry_policy::RetryPolicy,
};
use tidings_domain::Domain;

use crate::golden::{captured, json, of_the_wire, ordinary_failure, sorted};

const RK: &str = "petacc.registration.1.event.user_created";

/// The copy that is published after `call` failed.
fn copy(interest: &Interest, subscriber: &str, call: &Call) -> Call {
    let domain = Domain::new("petacc", "registration").unwrap();
    let attachment = domain
        .attach(subscriber, interest, &RetryPolicy::new(2))
        .unwrap();
    let error = ordinary_failure();
    let now = Timestamp::UNIX_EPOCH;
    let failed = Failed {
        attachment: &attachment,
        call,
        error: &error,
        delayed_nack: false,
        now,
    };
    match domain.recover(&failed) {
        Plan::Forward { call, .. } => *call,
        other @ Plan::Settle { .. } => panic!("not forwarded: {other:?}"),
    }
}

fn check(copy: &Call, capture: &Call) {
    assert_eq!(copy.address, capture.address);
    assert_eq!(copy.envelope.payload, capture.envelope.payload);
    assert_eq!(
        sorted(&of_the_wire(&copy.envelope.headers)),
        sorted(&capture.envelope.headers)
    );
}

/// What the broker delivers after the detour: the history that the next capture shows, under the retry key.
fn after_detour(copy: &Call, next: &Call) -> Call {
    let mut delivered = copy.clone();
    delivered.address = Address::new("petacc.registration", copy.address.key.clone());
    for (name, value) in next
        .envelope
        .headers
        .iter()
        .filter(|(name, _)| name.starts_with("x-"))
    {
        delivered
            .envelope
            .headers
            .set(name.to_owned(), value.clone());
    }
    delivered
}

#[test]
fn retries_and_dead_letters_as_captured() {
    let event = Interest::Named {
        name: "user.created".into(),
        version: 1,
        kind: Kind::Event,
    };
    let subscriber = "send_mail_on_user_created";
    let captures = [
        "retry_1.json",
        "retry_2.json",
        "dead_letter_after_max_retries.json",
    ]
    .map(|file| captured(&json(file)));
    let mut delivered = captures[0].clone();
    delivered.address = Address::new("petacc.registration", RK);
    delivered.envelope.headers = tidings_core::Headers::new();
    for (index, capture) in captures.iter().enumerate() {
        let copy = copy(&event, subscriber, &delivered);
        check(&copy, capture);
        if let Some(next) = captures.get(index + 1) {
            delivered = after_detour(&copy, next);
        }
    }
}

#[test]
fn retries_in_the_store_as_captured() {
    let capture = captured(&json("store_retry_1.json"));
    let mut delivered = capture.clone();
    delivered.address = Address::new("petacc.registration", RK);
    delivered.envelope.headers = tidings_core::Headers::new();
    check(
        &copy(&Interest::All, "store_on_message", &delivered),
        &capture,
    );
}
