//! Retry policies beyond the wire: steps, jitter, classes of errors, deferring and requeueing.

use std::time::Duration;

use tidings_core::{
    Address, Error, ErrorKind, Headers, Outcome, Settlement,
    convention::{Convention, Failed, Fate, Interest, Plan},
    headers,
    retry_policy::RetryPolicy,
};

use crate::{
    failing::{
        Q, RK, attach, call, dead_letters, domain, forwarded, main_queue, now, reason, recover,
    },
    golden::{of_the_wire, ordinary_failure},
};

#[test]
fn steps_wait_in_queues_of_their_own() {
    let policy = RetryPolicy::new(3).with_steps([1, 10].map(Duration::from_secs));
    let check = |interest: &Interest, count: i64, queue: &str, wait: u64| {
        let headers = Headers::new()
            .with(headers::QUEUE, Q)
            .with(headers::REDELIVERY_COUNT, count);
        let attachment = attach(interest, &policy);
        let (copy, fate) = forwarded(recover(
            &attachment,
            &call(RK, headers),
            &ordinary_failure(),
        ));
        assert_eq!(copy.address, Address::queue(queue));
        let attempts = u32::try_from(count + 1).unwrap();
        assert_eq!(
            fate,
            Fate::Retried {
                attempts,
                delay: Some(Duration::from_secs(wait))
            }
        );
        assert_eq!(copy.envelope.properties.expiration(), None);
    };
    check(&main_queue(), 0, &format!("retry.{Q}.1000"), 1);
    check(&main_queue(), 1, &format!("retry.{Q}.10000"), 10);
    check(&main_queue(), 2, &format!("retry.{Q}.10000"), 10);
    check(&Interest::All, 0, "retry.store.1000", 1);
}

#[test]
fn jitter_shortens_waits() {
    for policy in [
        RetryPolicy::new(3),
        RetryPolicy::new(3).with_steps([Duration::from_secs(5)]),
    ] {
        let attachment = attach(&main_queue(), &policy.with_jitter(0.5));
        let mut seen = Vec::new();
        for _ in 0..50 {
            let (copy, _) = forwarded(recover(
                &attachment,
                &call(RK, Headers::new()),
                &ordinary_failure(),
            ));
            seen.push(copy.envelope.properties.expiration().unwrap());
        }
        assert!(
            seen.iter()
                .all(|wait| (2_500..=5_000).contains(&wait.as_millis())),
            "{seen:?}"
        );
        assert!(
            seen.iter().any(|wait| *wait != seen[0]),
            "always {:?}",
            seen[0]
        );
    }
}

#[test]
fn the_policy_decides_by_class() {
    let parse = || "x".parse::<u8>().unwrap_err();
    let policy = RetryPolicy::new(3).classify::<std::num::ParseIntError>(Outcome::Fatal);
    let attachment = attach(&main_queue(), &policy);
    let error = Error::new(ErrorKind::Handler, "the handler failed").with_source(parse());
    let (_, fate) = forwarded(recover(&attachment, &call(RK, Headers::new()), &error));
    assert_eq!(reason(&fate), "fatal");
}

#[test]
fn requeues_untouched() {
    let attachment = attach(&dead_letters(), &RetryPolicy::default());
    let error = ordinary_failure().with_outcome(Outcome::Requeue);
    match recover(&attachment, &call(RK, Headers::new()), &error) {
        Plan::Settle { settlement, fate } => {
            assert_eq!(settlement, Settlement::Nack { delay: None });
            assert_eq!(fate, Fate::Requeued);
        }
        other @ Plan::Forward { .. } => panic!("{other:?}"),
    }
}

#[test]
fn deferring_counts_nothing_and_holds_until_it_is_time() {
    let attachment = attach(&main_queue(), &RetryPolicy::default());
    let hour = Duration::from_secs(3_600);
    let error = ordinary_failure().with_outcome(Outcome::Defer(hour));
    let (copy, fate) = forwarded(recover(&attachment, &call(RK, Headers::new()), &error));
    assert_eq!(
        copy.address,
        Address::new("retry.o.s", format!("retry.{Q}"))
    );
    assert_eq!(fate, Fate::Deferred { delay: Some(hour) });
    assert_eq!(
        of_the_wire(&copy.envelope.headers),
        Headers::new().with(headers::QUEUE, Q)
    );

    let soon = now() + Duration::from_secs(5);
    let left = domain().held_back(&copy, soon);
    assert_eq!(left, Some(Duration::from_secs(3_595)));
    assert_eq!(domain().held_back(&copy, now() + hour), None);
    assert_eq!(domain().held_back(&call(RK, Headers::new()), now()), None);

    let (retried, _) = forwarded(recover(&attachment, &copy, &ordinary_failure()));
    assert_eq!(
        domain().held_back(&retried, soon),
        None,
        "a retry is not held back"
    );
}

#[test]
fn deferring_uses_the_transports_own_delay_or_the_fittest_queue() {
    let minute = Duration::from_secs(60);
    let steps = RetryPolicy::new(3).with_steps([1, 30, 300].map(Duration::from_secs));
    let check = |delay: Duration, key: &str, expiration: Option<Duration>| {
        let attachment = attach(&main_queue(), &steps);
        let error = ordinary_failure().with_outcome(Outcome::Defer(delay));
        let (copy, _) = forwarded(recover(&attachment, &call(RK, Headers::new()), &error));
        assert_eq!(&*copy.address.key, key);
        assert_eq!(copy.envelope.properties.expiration(), expiration);
    };
    check(minute, &format!("retry.{Q}.30000"), None);
    check(minute * 10, &format!("retry.{Q}.300000"), None);
    check(Duration::from_secs(2), &format!("retry.{Q}.1000"), None);
    check(
        Duration::ZERO,
        &format!("retry.{Q}"),
        Some(Duration::from_millis(1)),
    );

    let attachment = attach(&main_queue(), &steps);
    let error = ordinary_failure().with_outcome(Outcome::Defer(minute));
    let call = call(RK, Headers::new());
    let failed = Failed {
        attachment: &attachment,
        call: &call,
        error: &error,
        delayed_nack: true,
        now: now(),
    };
    assert!(matches!(
        domain().recover(&failed),
        Plan::Settle { settlement: Settlement::Nack { delay: Some(delay) }, .. } if delay == minute
    ));
}
