//! Retry policies beyond the wire: steps, jitter, classes of errors, deferring and requeueing.

use std::time::Duration;

use tidings_core::{
    Address, Call, Error, ErrorKind, Headers, Outcome, Settlement,
    convention::{Attachment, Convention, Failed, Fate, Interest, Plan, TooEarly},
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
    for interest in [main_queue(), Interest::All] {
        let attachment = attach(&interest, &RetryPolicy::default());
        let error = ordinary_failure().with_outcome(Outcome::Requeue);
        match recover(&attachment, &call(RK, Headers::new()), &error) {
            Plan::Settle { settlement, fate } => {
                assert_eq!(settlement, Settlement::Nack { delay: None });
                assert_eq!(fate, Fate::Requeued);
            }
            other @ Plan::Forward { .. } => panic!("{other:?}"),
        }
    }
}

/// Nobody else waits for it, so giving it back at once would only be a loop.
#[test]
fn a_dead_letter_that_is_given_back_waits_as_one_that_failed() {
    let pause = Duration::from_secs(5);
    let attachment = attach(&dead_letters(), &RetryPolicy::default());
    let dead = call(RK, Headers::new().with(headers::REDELIVERY_COUNT, 6));
    for outcome in [Outcome::Requeue, Outcome::Retry, Outcome::Fatal] {
        let error = ordinary_failure().with_outcome(outcome);
        let (copy, fate) = forwarded(recover(&attachment, &dead, &error));
        let waiting = format!("retry.dead_letter.{Q}");
        assert_eq!(copy.address, Address::queue(waiting), "{outcome:?}");
        assert_eq!(fate, Fate::Deferred { delay: Some(pause) });
        let count = copy.envelope.headers.int(headers::REDELIVERY_COUNT);
        assert_eq!(count, Some(6), "nothing is counted");
        assert_eq!(nacked_dead(&attachment, &dead, &error), pause);
    }
}

/// The delay of the nack on a transport that can delay one.
fn nacked_dead(attachment: &Attachment, dead: &Call, error: &Error) -> Duration {
    let failed = Failed {
        attachment,
        call: dead,
        error,
        delayed_nack: true,
        now: now(),
    };
    match domain().recover(&failed) {
        Plan::Settle {
            settlement: Settlement::Nack { delay: Some(delay) },
            ..
        } => delay,
        other => panic!("{other:?}"),
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
        Some(Duration::from_millis(250)),
    );

    assert_eq!(nacked(&steps, minute), minute);
}

/// The delay with which a deferred message is nacked on a transport that can do that.
fn nacked(policy: &RetryPolicy, delay: Duration) -> Duration {
    let attachment = attach(&main_queue(), policy);
    let error = ordinary_failure().with_outcome(Outcome::Defer(delay));
    let call = call(RK, Headers::new());
    let failed = Failed {
        attachment: &attachment,
        call: &call,
        error: &error,
        delayed_nack: true,
        now: now(),
    };
    match domain().recover(&failed) {
        Plan::Settle {
            settlement: Settlement::Nack { delay: Some(delay) },
            fate,
        } => {
            assert_eq!(fate, Fate::Deferred { delay: Some(delay) });
            delay
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn deferring_by_nothing_is_no_hot_loop() {
    let shortest = Duration::from_millis(250);
    let policy = RetryPolicy::default();
    assert_eq!(nacked(&policy, Duration::ZERO), shortest);

    let error = ordinary_failure().with_outcome(Outcome::Defer(Duration::ZERO));
    for interest in [main_queue(), dead_letters(), Interest::All] {
        let attachment = attach(&interest, &policy);
        let (copy, fate) = forwarded(recover(&attachment, &call(RK, Headers::new()), &error));
        let delay = Some(shortest);
        assert_eq!(fate, Fate::Deferred { delay });
        assert_eq!(copy.envelope.properties.expiration(), delay);
        assert_eq!(domain().held_back(&copy, now()), delay);
    }
}

/// However short the detours are: what is left of the time is never made longer.
#[test]
fn what_is_left_of_a_deferral_is_not_prolonged() {
    let left = Duration::from_millis(50);
    for interest in [main_queue(), dead_letters(), Interest::All] {
        let attachment = attach(&interest, &RetryPolicy::default());
        let error = ordinary_failure()
            .with_outcome(Outcome::Defer(left))
            .with_source(TooEarly);
        let (copy, fate) = forwarded(recover(&attachment, &call(RK, Headers::new()), &error));
        assert_eq!(fate, Fate::Deferred { delay: Some(left) });
        assert_eq!(copy.envelope.properties.expiration(), Some(left));
        assert_eq!(domain().held_back(&copy, now()), Some(left));
    }
}

#[test]
fn a_time_that_is_too_far_ahead_does_not_hide_a_message() {
    let check = |ahead: i64, expected: Option<Duration>| {
        let until = now().as_millisecond().saturating_add(ahead);
        let call = call(RK, Headers::new().with(headers::NOT_BEFORE, until));
        assert_eq!(domain().held_back(&call, now()), expected, "{ahead} ms");
    };
    let hour = 3_600_000;
    check(hour, Some(Duration::from_secs(3_600)));
    check(24 * hour, Some(Duration::from_secs(24 * 3_600)));
    check(26 * hour, None);
    check(i64::MAX, None);
    check(-hour, None);
    check(i64::MIN, None);
}

#[test]
fn a_long_deferral_returns_after_a_day_or_the_longest_detour() {
    let day = Duration::from_secs(24 * 3_600);
    let check = |policy: &RetryPolicy, interest: &Interest, delay: Duration, expected: Duration| {
        let attachment = attach(interest, policy);
        let error = ordinary_failure().with_outcome(Outcome::Defer(delay));
        let (copy, fate) = forwarded(recover(&attachment, &call(RK, Headers::new()), &error));
        let delay = Some(expected);
        assert_eq!(fate, Fate::Deferred { delay });
        let until = copy.envelope.headers.int(headers::NOT_BEFORE).unwrap();
        let ahead = u64::try_from(until - now().as_millisecond()).unwrap();
        assert_eq!(Duration::from_millis(ahead), expected);
    };
    let usual = RetryPolicy::default();
    check(&usual, &main_queue(), day, day);
    check(&usual, &main_queue(), Duration::MAX, day);
    let stepped = RetryPolicy::new(3).with_steps([day * 3]);
    check(&stepped, &main_queue(), Duration::MAX, day * 3);
    check(&stepped, &main_queue(), day * 2, day);
    check(&stepped, &dead_letters(), Duration::MAX, day);

    let behind = now() - Duration::from_secs(60);
    let attachment = attach(&main_queue(), &usual);
    let error = ordinary_failure().with_outcome(Outcome::Defer(day));
    let (copy, _) = forwarded(recover(&attachment, &call(RK, Headers::new()), &error));
    let left = domain().held_back(&copy, behind);
    assert_eq!(left, Some(day + Duration::from_secs(60)), "clocks differ");
}
