//! Turns in the order of arrival, and nobody waits for longer than is agreed.

use std::time::Duration;

use tidings_core::{
    lock::{FencingToken, Held},
    transport::BoxFuture,
};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn patient() -> Admission {
    Admission {
        most: 3,
        expires: None,
    }
}

fn until(expires: Instant) -> Admission {
    Admission {
        expires: Some(expires),
        ..patient()
    }
}

fn is_empty<W>(room: &Room<W>) -> bool {
    room.lines.is_empty() && room.ready.is_empty() && room.expiries.is_empty() && room.waiting == 0
}

struct Free;

impl Held for Free {
    fn lost(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }

    fn release(&self) {}
}

fn lease() -> Lease {
    Lease::new(FencingToken(1), Box::new(Free))
}

#[test]
fn a_line_moves_in_the_order_of_arrival() {
    let mut room = Room::new();
    assert_eq!(room.admit("a", 1, false, patient()), Admitted::Now("a"));
    assert_eq!(room.admit("b", 1, false, patient()), Admitted::Later);
    assert_eq!(room.admit("c", 1, false, patient()), Admitted::Later);
    assert_eq!(room.admit("z", 2, false, patient()), Admitted::Now("z"));
    let order = [room.next(1), room.next(1), room.next(1), room.next(2)];
    assert_eq!(order, [Some("b"), Some("c"), None, None]);
    assert!(is_empty(&room));
}

#[test]
fn keys_that_come_once_leave_nothing_behind() {
    let mut room = Room::new();
    for key in 0..100_000 {
        let expires = Instant::now() + SECOND;
        assert_eq!(
            room.admit((), key, false, until(expires)),
            Admitted::Now(())
        );
        if key % 2 == 0 {
            assert_eq!(room.admit((), key, false, until(expires)), Admitted::Later);
            assert_eq!(room.next(key), Some(()));
        }
        assert_eq!(room.next(key), None);
    }
    assert!(is_empty(&room));
    assert!(room.lines.capacity() < 100);
}

#[test]
fn the_room_is_bounded_for_all_keys_together_and_free_keys_need_none() {
    let mut room = Room::new();
    for key in 0..3 {
        assert_eq!(
            room.admit("first", key, false, patient()),
            Admitted::Now("first")
        );
        assert_eq!(room.admit("second", key, false, patient()), Admitted::Later);
    }
    assert_eq!(
        room.admit("third", 0, false, patient()),
        Admitted::Full("third")
    );
    assert_eq!(room.admit("new", 9, false, patient()), Admitted::Now("new"));
    assert_eq!(
        room.admit("asks", 10, true, patient()),
        Admitted::Full("asks")
    );
    assert_eq!(room.next(0), Some("second"));
    assert_eq!(room.admit("third", 0, false, patient()), Admitted::Later);
}

#[test]
fn who_expires_leaves_and_the_others_keep_their_order() {
    let start = Instant::now();
    let mut room = Room::new();
    room.admit("a", 1, false, until(start));
    room.admit("b", 1, false, until(start + 2 * SECOND));
    room.admit("c", 1, false, until(start + SECOND));
    room.admit("d", 1, false, patient());
    assert_eq!(room.soonest(), Some(start + SECOND));
    let expired = room.expire(start + SECOND);
    assert_eq!(expired.items, ["c"]);
    assert_eq!(expired.next, Some(start + 2 * SECOND));
    assert_eq!(room.next(1), Some("b"));
    assert!(room.expire(start + 9 * SECOND).items.is_empty());
    assert_eq!((room.next(1), room.next(1)), (Some("d"), None));
    assert!(is_empty(&room));
}

#[test]
fn what_is_gone_makes_room_and_the_others_keep_their_order() {
    let now = Instant::now();
    let mut room = Room::new();
    room.admit(0, 1, false, patient());
    for item in 1..=3 {
        assert_eq!(room.admit(item, 1, false, until(now)), Admitted::Later);
    }
    assert_eq!(room.admit(4, 1, false, patient()), Admitted::Full(4));
    assert_eq!(room.discard(|item| item % 2 == 1), [1, 3]);
    assert_eq!(room.admit(4, 1, false, patient()), Admitted::Later);
    assert_eq!((room.next(1), room.next(1)), (Some(2), Some(4)));
    assert_eq!(room.next(1), None);
    assert!(is_empty(&room));
}

#[test]
fn who_waits_for_a_lane_expires_too_and_its_key_moves_on() {
    let start = Instant::now();
    let mut room = Room::new();
    room.push_ready("a", Some(1), None, Some(start));
    room.push_ready("b", None, None, Some(start + SECOND));
    let expired = room.expire(start);
    assert_eq!((expired.items, expired.keys), (vec!["a"], vec![1]));
    assert_eq!(room.pop_ready().map(|ready| ready.item), Some("b"));
    assert!(is_empty(&room));
}

#[test]
fn a_key_of_the_store_is_asked_for_once_and_given_to_whoever_is_first_then() {
    let start = Instant::now();
    let mut room = Room::new();
    assert_eq!(room.admit("a", 1, true, until(start)), Admitted::Ask);
    assert_eq!(room.admit("b", 1, true, patient()), Admitted::Later);
    assert_eq!(room.first_expires(1), Some(Some(start)));
    assert_eq!(room.expire(start).items, ["a"]);
    assert_eq!(room.first_expires(1), Some(None));
    assert!(room.grant(1, lease()).is_none());
    let ready = room.pop_ready().unwrap();
    assert_eq!((ready.item, ready.key), ("b", Some(1)));
    assert!(ready.lease.is_some());
    assert_eq!(room.first_expires(1), None, "nobody waits any more");
    assert!(is_empty(&room));
    assert!(room.grant(1, lease()).is_some(), "a lease for nobody");
}

#[test]
fn clearing_leaves_the_keys_of_what_is_at_work() {
    let mut room = Room::new();
    room.admit("working", 1, false, patient());
    room.admit("waiting", 1, false, until(Instant::now()));
    room.admit("asking", 2, true, patient());
    assert!(room.grant(2, lease()).is_none());
    let cleared = room.clear();
    assert_eq!((cleared.items, cleared.ready.len()), (vec!["waiting"], 1));
    assert_eq!(room.admit("again", 1, false, patient()), Admitted::Later);
    assert_eq!(room.admit("asking", 2, true, patient()), Admitted::Ask);
    assert_eq!(room.next(1), Some("again"));
    assert_eq!(room.next(1), None);
    assert_eq!(room.refuse_first(2), Some("asking"));
    assert_eq!(room.first_expires(2), None);
    assert!(is_empty(&room));
}
