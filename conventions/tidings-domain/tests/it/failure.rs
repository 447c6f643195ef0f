//! What becomes of failed messages: as on the wire, and differently where the wire loses them.

use std::time::Duration;

use serde_json::Value;
use tidings_core::{
    Address, Call, Error, ErrorKind, HeaderValue, Headers, Outcome, Settlement,
    convention::{Attachment, Convention, Failed, Fate, Interest, Plan},
    headers,
    properties::Fields,
    retry_policy::RetryPolicy,
};

use crate::{
    failing::{
        Q, RK, attach, call, dead_letters, domain, forwarded, main_queue, now, reason, recover,
    },
    golden::{self, cases, of_the_wire, ordinary_failure, sorted, string},
};

/// The delivery of a vector. The recorder shows the headers after they were counted: this undoes it.
fn delivered(case: &Value) -> Call {
    let mut headers = golden::headers(&case["delivered_headers"]);
    if case["consumer_thread_dies_with"].is_null()
        && let Some(counted) = headers.int(headers::REDELIVERY_COUNT)
    {
        headers.remove(headers::REDELIVERY_COUNT);
        if counted > 1 {
            headers.set(headers::REDELIVERY_COUNT, counted - 1);
        }
    }
    call(string(case, "delivered_routing_key"), headers)
}

fn interest(case: &Value) -> Interest {
    if case["is_store"] == true {
        Interest::All
    } else if string(case, "delivered_routing_key").starts_with("dead_letter.") {
        dead_letters()
    } else {
        main_queue()
    }
}

fn policy(case: &Value) -> RetryPolicy {
    RetryPolicy::new(u32::try_from(case["max_retries"].as_i64().unwrap()).unwrap_or(0))
}

/// What the wire does in a case, as we say it; `None` if it does not publish.
fn published(case: &Value) -> Option<(Address, Headers)> {
    let publish = case["actions"].as_array()?.first()?.get("publish")?;
    let address = Address::new(string(publish, "exchange"), string(publish, "routing_key"));
    Some((address, golden::headers(&publish["headers"])))
}

/// The cases in which the wire loses the message, spins or dies: each has a test of its own below.
const TRAPS: [&str; 10] = [
    "foreign header only (message will be unroutable)",
    "foreign header, max_retries 0 (lands in dead_letter.store through the wildcard binding)",
    "x-death only (dead letter handler after TTL)",
    "dead letter handler, no headers (unroutable)",
    "dead letter handler, count > max (loops)",
    "store max_retries 0 (unroutable)",
    "count as string",
    "count null",
    "poison body",
    "bad id",
];

#[test]
fn forwards_as_the_wire_does() {
    let cases = cases("failure_vectors.json");
    assert_eq!(cases.len(), 28);
    let mut checked = 0;
    for case in &cases {
        let name = string(case, "case");
        if TRAPS.contains(&name) || case["result"] == "S" {
            continue;
        }
        let call = delivered(case);
        let attachment = attach(&interest(case), &policy(case));
        let (copy, _) = forwarded(recover(&attachment, &call, &ordinary_failure()));
        let (address, headers) = published(case).unwrap();
        assert_eq!(copy.address, address, "{name}");
        assert_eq!(
            sorted(&of_the_wire(&copy.envelope.headers)),
            sorted(&headers),
            "{name}"
        );
        assert_eq!(copy.envelope.payload, call.envelope.payload, "{name}");
        assert!(copy.envelope.persistent && copy.mandatory, "{name}");
        checked += 1;
    }
    assert_eq!(checked, 17);
}

fn trap(name: &str) -> (Attachment, Call) {
    let case = cases("failure_vectors.json")
        .into_iter()
        .find(|case| case["case"] == name)
        .unwrap();
    (attach(&interest(&case), &policy(&case)), delivered(&case))
}

#[test]
fn retries_a_message_with_foreign_headers_where_it_failed() {
    let (attachment, call) = trap(TRAPS[0]);
    let (copy, _) = forwarded(recover(&attachment, &call, &ordinary_failure()));
    assert_eq!(
        copy.address,
        Address::new("retry.o.s", format!("retry.{Q}"))
    );
    let headers = &copy.envelope.headers;
    assert_eq!(
        headers.text("traceparent"),
        Some("x"),
        "others' headers stay"
    );
    assert_eq!(headers.text(headers::QUEUE), Some(Q));

    let (attachment, call) = trap(TRAPS[1]);
    let (copy, fate) = forwarded(recover(&attachment, &call, &ordinary_failure()));
    assert_eq!(
        copy.address,
        Address::new("dead_letter.o.s", format!("dead_letter.{Q}"))
    );
    assert_eq!(reason(&fate), "max_retries");
}

#[test]
fn a_header_that_names_another_queue_does_not_move_the_message() {
    let headers = Headers::new().with(headers::QUEUE, "o.s.1.event.user_created.somebody_else");
    let attachment = attach(&main_queue(), &RetryPolicy::default());
    let (copy, _) = forwarded(recover(
        &attachment,
        &call(RK, headers),
        &ordinary_failure(),
    ));
    assert_eq!(&*copy.address.key, format!("retry.{Q}"));
    assert_eq!(copy.envelope.headers.text(headers::QUEUE), Some(Q));
}

#[test]
fn a_failed_dead_letter_waits_before_it_comes_again() {
    for (name, outcome) in [
        (TRAPS[2], Outcome::Retry),
        (TRAPS[3], Outcome::Retry),
        (TRAPS[4], Outcome::Fatal),
    ] {
        let (attachment, call) = trap(name);
        assert_eq!(&*attachment.queue, format!("dead_letter.{Q}"));
        let error = ordinary_failure().with_outcome(outcome);
        let wait = Duration::from_secs(5);

        let failed = Failed {
            attachment: &attachment,
            call: &call,
            error: &error,
            delayed_nack: true,
            now: now(),
        };
        let Plan::Settle { settlement, fate } = domain().recover(&failed) else {
            panic!("{name}: not settled");
        };
        assert_eq!(settlement, Settlement::Nack { delay: Some(wait) }, "{name}");
        assert_eq!(fate, Fate::Deferred { delay: Some(wait) });

        let (copy, fate) = forwarded(recover(&attachment, &call, &error));
        assert_eq!(
            copy.address,
            Address::queue(format!("retry.dead_letter.{Q}")),
            "{name}"
        );
        assert_eq!(fate, Fate::Deferred { delay: Some(wait) });
        let count = |call: &Call| call.envelope.headers.int(headers::REDELIVERY_COUNT);
        assert_eq!(
            count(&copy),
            count(&call),
            "{name}: a dead letter's count does not grow"
        );
    }
}

#[test]
fn the_store_keeps_the_dead_letter_of_a_subscriber_without_retries() {
    let (attachment, call) = trap("store max_retries 0 (unroutable)");
    let (copy, fate) = forwarded(recover(&attachment, &call, &ordinary_failure()));
    assert_eq!(
        copy.address,
        Address::new("dead_letter.o.s", format!("dead_letter.{RK}"))
    );
    assert_eq!(reason(&fate), "max_retries");
}

#[test]
fn a_count_that_is_no_number_is_a_dead_letter() {
    for name in ["count as string", "count null"] {
        let (attachment, call) = trap(name);
        let (copy, fate) = forwarded(recover(&attachment, &call, &ordinary_failure()));
        assert_eq!(&*copy.address.key, format!("dead_letter.{Q}"), "{name}");
        assert_eq!(reason(&fate), "bad_redelivery_count");
        assert_eq!(
            copy.envelope.headers.int(headers::REDELIVERY_COUNT),
            Some(6),
            "a number again"
        );
    }
}

#[test]
fn what_can_never_succeed_is_a_dead_letter_on_the_first_delivery() {
    let check = |interest: &Interest, error: &Error, key: &str, expected: &str| {
        let attachment = attach(interest, &RetryPolicy::default());
        let (copy, fate) = forwarded(recover(&attachment, &call(RK, Headers::new()), error));
        assert_eq!(&*copy.address.key, key);
        assert_eq!(reason(&fate), expected);
        assert_eq!(copy.envelope.headers.text(headers::REASON), Some(expected));
        assert_eq!(copy.envelope.headers.int(headers::ATTEMPTS), Some(1));
    };
    let dead = format!("dead_letter.{Q}");
    let open = |body: &'static str| {
        let attachment = attach(&main_queue(), &RetryPolicy::default());
        domain()
            .open(&golden::arrived(body), &attachment)
            .map(|_| ())
            .unwrap_err()
    };
    check(&main_queue(), &open("not json"), &dead, "undecodable");
    check(
        &main_queue(),
        &open(r#"{"data": {"id": "not"}}"#),
        &dead,
        "undecodable",
    );
    check(
        &main_queue(),
        &Error::new(ErrorKind::Invalid, "x"),
        &dead,
        "invalid",
    );
    check(
        &main_queue(),
        &Error::new(ErrorKind::NoRoute, "x"),
        &dead,
        "no_route",
    );
    check(
        &main_queue(),
        &ordinary_failure().with_outcome(Outcome::Fatal),
        &dead,
        "fatal",
    );
    check(
        &Interest::All,
        &open("not json"),
        &format!("dead_letter.{RK}"),
        "undecodable",
    );
}

#[test]
fn a_dead_letter_says_why() {
    let attachment = attach(&main_queue(), &RetryPolicy::new(2));
    let mut call = call(RK, Headers::new());
    let (first, _) = forwarded(recover(&attachment, &call, &ordinary_failure()));
    assert_eq!(
        first.envelope.headers.text(headers::FIRST_FAILED_AT),
        Some("2026-01-02T03:04:05Z")
    );
    assert_eq!(
        first.envelope.headers.get(headers::REASON),
        None,
        "a retry has no reason yet"
    );

    call.envelope = first.envelope.clone();
    let (second, _) = forwarded(recover(&attachment, &call, &ordinary_failure()));
    call.envelope = second.envelope.clone();
    let later = now() + Duration::from_secs(60);
    let error = ordinary_failure();
    let failed = Failed {
        attachment: &attachment,
        call: &call,
        error: &error,
        delayed_nack: true,
        now: later,
    };
    let (dead, fate) = forwarded(domain().recover(&failed));
    assert_eq!(reason(&fate), "max_retries");
    let headers = &dead.envelope.headers;
    assert_eq!(headers.text(headers::REASON), Some("max_retries"));
    assert_eq!(
        headers.text(headers::ERROR),
        Some("the handler failed: no connection")
    );
    assert_eq!(headers.int(headers::ATTEMPTS), Some(3));
    assert_eq!(
        headers.text(headers::FIRST_FAILED_AT),
        Some("2026-01-02T03:04:05Z")
    );
    assert_eq!(
        headers.text(headers::LAST_FAILED_AT),
        Some("2026-01-02T03:05:05Z")
    );
    assert_eq!(
        headers.text(headers::SUBSCRIBER),
        Some("send_mail_on_user_created")
    );
    assert_eq!(headers.text(headers::HOST), Some("box"));
}

#[test]
fn long_errors_fit_into_a_header() {
    let attachment = attach(&main_queue(), &RetryPolicy::new(0));
    let error = Error::new(ErrorKind::Handler, "é".repeat(100_000));
    let (dead, _) = forwarded(recover(&attachment, &call(RK, Headers::new()), &error));
    let text = dead.envelope.headers.text(headers::ERROR).unwrap();
    assert!(
        text.len() < 5_000 && text.ends_with("é…"),
        "{} bytes",
        text.len()
    );
}

#[test]
fn properties_travel_but_dead_letters_do_not_expire() {
    let fields = Fields {
        correlation_id: Some("c-1".into()),
        expiration: Some(Duration::from_secs(1)),
        ..Fields::default()
    };
    let mut call = call(RK, Headers::new());
    call.envelope.properties = fields.into();
    let retried = attach(&main_queue(), &RetryPolicy::default());
    let (copy, _) = forwarded(recover(&retried, &call, &ordinary_failure()));
    assert_eq!(copy.envelope.properties, call.envelope.properties);
    let exhausted = attach(&main_queue(), &RetryPolicy::new(0));
    let (copy, _) = forwarded(recover(&exhausted, &call, &ordinary_failure()));
    assert_eq!(
        copy.envelope.properties.correlation_id().map(|id| &**id),
        Some("c-1")
    );
    assert_eq!(copy.envelope.properties.expiration(), None);
}

fn expired_in(queue: &str) -> Headers {
    let death: Headers = [("reason", "expired"), ("queue", queue)]
        .into_iter()
        .collect();
    Headers::new()
        .with(
            headers::X_DEATH,
            HeaderValue::List(vec![HeaderValue::Table(death)]),
        )
        .with(headers::X_FIRST_DEATH_QUEUE, queue)
        .with("x-last-death-queue", queue)
        .with("traceparent", "x")
}

/// The broker drops a message that would return to a queue in which it has already expired.
#[test]
fn a_history_that_would_lose_the_copy_is_forgotten() {
    let check = |interest: &Interest, expired: &str, kept: bool| {
        let attachment = attach(interest, &RetryPolicy::default());
        let (copy, _) = forwarded(recover(
            &attachment,
            &call("store", expired_in(expired)),
            &ordinary_failure(),
        ));
        for name in [
            headers::X_DEATH,
            headers::X_FIRST_DEATH_QUEUE,
            "x-last-death-queue",
        ] {
            assert_eq!(
                copy.envelope.headers.get(name).is_some(),
                kept,
                "{name} of {expired}"
            );
        }
        assert!(copy.envelope.headers.get("traceparent").is_some());
    };
    check(&main_queue(), Q, false);
    check(&main_queue(), &format!("retry.{Q}"), true);
    check(&Interest::All, "store", false);
    check(&Interest::All, "retry.store", true);
    check(&dead_letters(), Q, true);
    check(&dead_letters(), &format!("dead_letter.{Q}"), false);
}
