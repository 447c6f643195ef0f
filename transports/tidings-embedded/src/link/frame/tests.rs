//! Every frame survives the wire, and nothing else that comes over it does harm.

use std::time::Duration;

use proptest::prelude::{ProptestConfig, any, proptest};
use tidings_core::{
    Address, Envelope, Headers, Outcome,
    topology::{Binding, Exchange, ExchangeKind, Queue, Thing},
};

use super::*;

fn topology() -> Topology {
    let queue = Queue {
        arguments: Headers::new().with("x-max-priority", 9),
        ..Queue::new("main")
    };
    Topology::new()
        .exchange(Exchange::topic("events"))
        .exchange(Exchange::new("copies", ExchangeKind::Fanout))
        .queue(
            queue
                .with_ttl(Duration::from_millis(5_001))
                .with_dead_letter("events", "dead"),
        )
        .queue(Queue::exclusive("replies"))
        .bind("events", "main", "a.*.#")
}

fn call() -> Call {
    let headers = Headers::new()
        .with("redelivery_count", 3)
        .with("queue", "main");
    let envelope = Envelope::new(&b"payload"[..]).with_headers(headers);
    Call::new(Address::new("events", "a.b"), envelope).with_origin("main".into(), true)
}

fn requests() -> Vec<Request> {
    vec![
        Request::Hello {
            version: VERSION,
            client: 1 << 100,
        },
        Request::Declare {
            id: 1,
            topology: topology(),
        },
        Request::Delete {
            id: 2,
            topology: topology(),
        },
        Request::Publish {
            seq: 3,
            call: call(),
        },
        Request::Subscribe {
            id: 4,
            subscription: 5,
            to: Subscription::to("main").with_name("me"),
        },
        Request::Cancel { subscription: 5 },
        Request::Settle {
            id: 6,
            tag: 7,
            how: Settlement::Ack,
        },
        Request::Settle {
            id: 6,
            tag: 7,
            how: Settlement::Reject,
        },
        Request::Settle {
            id: 6,
            tag: 7,
            how: Settlement::Nack { delay: None },
        },
        Request::Settle {
            id: 6,
            tag: 7,
            how: Settlement::Nack {
                delay: Some(Duration::from_nanos(1)),
            },
        },
        Request::Abandon { tag: 7 },
        Request::Queues {
            id: 8,
            named: vec!["main".into(), "".into()],
        },
        Request::Close,
        Request::Compare {
            id: 9,
            topology: topology(),
        },
    ]
}

fn answers() -> Vec<Answer> {
    let error = || {
        Error::new(
            ErrorKind::Conflict,
            "queue `main` exists with other settings",
        )
    };
    let status = QueueStatus {
        name: "main".into(),
        ready: 1,
        unsettled: Some(2),
        consumers: 3,
        rates: None,
    };
    vec![
        Answer::Welcome { version: VERSION },
        Answer::Refused { error: error() },
        Answer::Published {
            seq: 1,
            result: Ok(()),
        },
        Answer::Published {
            seq: 1,
            result: Err(error().with_source("because")),
        },
        Answer::Done {
            id: 2,
            result: Err(error().with_outcome(Outcome::Defer(Duration::from_secs(1)))),
        },
        Answer::Queues {
            id: 3,
            result: Ok(vec![status]),
        },
        Answer::Queues {
            id: 3,
            result: Err(error()),
        },
        Answer::Delivery {
            subscription: 4,
            tag: 5,
            call: call(),
        },
        Answer::Ended {
            subscription: 4,
            error: None,
        },
        Answer::Ended {
            subscription: 4,
            error: Some(error()),
        },
        Answer::Goodbye,
        Answer::Differences {
            id: 6,
            result: Ok(differences()),
        },
        Answer::Differences {
            id: 6,
            result: Err(error()),
        },
    ]
}

fn differences() -> Vec<Difference> {
    vec![
        Difference::Missing(Thing::Exchange("events".into())),
        Difference::Missing(Thing::from(&Binding::new("events", "main", "a.*"))),
        Difference::Differs {
            thing: Thing::Queue("main".into()),
            setting: "message TTL".into(),
            has: "5000 ms".into(),
            wants: "none".into(),
        },
        Difference::Unknown {
            thing: Thing::Queue("replies".into()),
            why: "it is somebody else's".into(),
        },
    ]
}

/// Writes frames and cuts their lengths off again.
fn bodies<T>(frames: &[T], put: impl Fn(&T, &mut Vec<u8>) -> Result<()>) -> Vec<Bytes> {
    let body = |frame| {
        let mut wire = Vec::new();
        put(frame, &mut wire).unwrap();
        assert_eq!(
            wire[..4],
            u32::try_from(wire.len() - 4).unwrap().to_le_bytes()
        );
        Bytes::from(wire.split_off(4))
    };
    frames.iter().map(body).collect()
}

#[test]
fn every_request_and_every_answer_survives_the_wire() {
    for (request, body) in requests().iter().zip(bodies(&requests(), Request::put)) {
        let read = Request::read(body).unwrap();
        let without_origin =
            format!("{request:?}").replace(&format!("{:?}", call().origin), "None");
        assert_eq!(format!("{read:?}"), without_origin);
    }
    for (answer, body) in answers().iter().zip(bodies(&answers(), Answer::put)) {
        let read = Answer::read(body).unwrap();
        assert_eq!(format!("{read:?}"), format!("{answer:?}"));
    }
}

#[test]
fn a_frame_cut_short_or_prolonged_is_damage() {
    for body in bodies(&requests(), Request::put) {
        for len in 0..body.len() {
            // A payload has no length of its own: what is cut off from it shows only in the length of the frame.
            if let Ok(request) = Request::read(body.slice(..len)) {
                assert!(matches!(request, Request::Publish { .. }), "{request:?}");
            }
        }
    }
    for body in bodies(&answers(), Answer::put) {
        let prolonged = Bytes::from([&body[..], &[0]].concat());
        match Answer::read(prolonged) {
            Ok(answer) => assert!(matches!(answer, Answer::Delivery { .. }), "{answer:?}"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt),
        }
    }
}

#[test]
fn a_message_beyond_the_largest_frame_is_refused_and_leaves_no_trace() {
    let envelope = Envelope::new(vec![0; MAX_FRAME]);
    let mut wire = vec![7];
    let error = put_publish(&mut wire, 1, &Call::new(Address::queue("q"), envelope)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misuse);
    assert_eq!(wire, [7]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn garbage_is_damage_and_never_a_panic(name in 0_u8..12, rest: Vec<u8>) {
        let body = Bytes::from([&[name][..], &rest].concat());
        for error in [Request::read(body.clone()).err(), Answer::read(body).err()].into_iter().flatten() {
            assert_eq!(error.kind(), ErrorKind::Corrupt);
        }
    }

    #[test]
    fn one_wrong_byte_is_never_a_panic(which: proptest::sample::Index, at: proptest::sample::Index, byte in any::<u8>()) {
        let mut known = bodies(&requests(), Request::put);
        known.extend(bodies(&answers(), Answer::put));
        let mut body = which.get(&known).to_vec();
        let at = at.index(body.len());
        body[at] = byte;
        drop(Request::read(Bytes::from(body.clone())));
        drop(Answer::read(Bytes::from(body)));
    }
}
