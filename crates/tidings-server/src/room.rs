//! The waiting room of a subscription: what waits for its key, what waits for a lane, and until when.
//!
//! Plain data, locked for one expression at a time by [`Order`](crate::order::Order). Entries of keys leave with their
//! last message, so that the room is as large as what waits and no larger. Whatever leaves before its turn is handed
//! back to the caller: dropping a delivery calls into the transport, which must not happen under the lock.

use std::{
    collections::{BTreeMap, HashMap, VecDeque, hash_map::Entry},
    mem,
};

use tidings_core::lock::Lease;
use tokio::time::Instant;

/// Who waits, by key.
#[derive(Debug)]
pub(crate) struct Room<W> {
    /// What waits for each key. A key is here as long as a message of it is being handled, is ready for that, or the
    /// lock store is being asked for it.
    lines: HashMap<u64, VecDeque<Waiter<W>>>,
    ready: VecDeque<Waiter<Ready<W>>>,
    expiries: BTreeMap<(Instant, u64), Place>,
    tickets: u64,
    /// How many wait for their key.
    waiting: usize,
}

#[derive(Debug)]
struct Waiter<W> {
    item: W,
    ticket: u64,
    expires: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Line(u64),
    Ready,
}

/// What only waits for a lane.
#[derive(Debug)]
pub(crate) struct Ready<W> {
    pub(crate) item: W,
    pub(crate) key: Option<u64>,
    pub(crate) lease: Option<Lease>,
}

/// What the room says to a newcomer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Admitted<W> {
    /// Its key is free; it is busy from now on.
    Now(W),
    /// It waits.
    Later,
    /// Its key is free here and must be asked for at the lock store: it waits.
    Ask,
    /// There is no room.
    Full(W),
}

/// What left before its turn came, and keys whose line has to move on because of it.
#[derive(Debug)]
pub(crate) struct Expired<W> {
    pub(crate) items: Vec<W>,
    pub(crate) keys: Vec<u64>,
    /// When the next one leaves.
    pub(crate) next: Option<Instant>,
}

impl<W> Room<W> {
    pub(crate) fn new() -> Self {
        Self {
            lines: HashMap::new(),
            ready: VecDeque::new(),
            expiries: BTreeMap::new(),
            tickets: 0,
            waiting: 0,
        }
    }

    /// Lets a newcomer through or keeps it until its turn comes or it expires. At most `most` wait for their keys.
    pub(crate) fn admit(&mut self, item: W, key: u64, asks: bool, room: Admission) -> Admitted<W> {
        let full = self.waiting >= room.most;
        let (line, is_first) = match self.lines.entry(key) {
            Entry::Vacant(free) if !asks => {
                free.insert(VecDeque::new());
                return Admitted::Now(item);
            }
            Entry::Occupied(_) | Entry::Vacant(_) if full => return Admitted::Full(item),
            Entry::Vacant(free) => (free.insert(VecDeque::new()), true),
            Entry::Occupied(busy) => (busy.into_mut(), false),
        };
        self.tickets += 1;
        self.waiting += 1;
        line.push_back(Waiter {
            item,
            ticket: self.tickets,
            expires: room.expires,
        });
        if let Some(expires) = room.expires {
            let place = Place::Line(key);
            self.expiries.insert((expires, self.tickets), place);
        }
        if is_first {
            Admitted::Ask
        } else {
            Admitted::Later
        }
    }

    /// Ends a turn: the next of the same key, which stays busy, or `None`: then the key is free.
    pub(crate) fn next(&mut self, key: u64) -> Option<W> {
        let line = self.lines.get_mut(&key)?;
        let Some(waiter) = line.pop_front() else {
            self.lines.remove(&key);
            return None;
        };
        Some(self.left(waiter))
    }

    /// Until when the first in this line waits. `None` if nobody does: then the key is free.
    pub(crate) fn first_expires(&mut self, key: u64) -> Option<Option<Instant>> {
        let line = self.lines.get(&key)?;
        let first = line.front().map(|first| first.expires);
        if first.is_none() {
            self.lines.remove(&key);
        }
        first
    }

    /// The lock store has given the key to the first in its line. The lease comes back if nobody waits any more.
    pub(crate) fn grant(&mut self, key: u64, lease: Lease) -> Option<Lease> {
        let Some(item) = self.next(key) else {
            return Some(lease);
        };
        // Whoever has its key waits for a lane only, and not for long.
        self.push_ready(item, Some(key), Some(lease), None);
        None
    }

    /// Takes the first out of a line whose key cannot be had.
    pub(crate) fn refuse_first(&mut self, key: u64) -> Option<W> {
        let waiter = self.lines.get_mut(&key)?.pop_front()?;
        Some(self.left(waiter))
    }

    /// Keeps what only waits for a lane.
    pub(crate) fn push_ready(
        &mut self,
        item: W,
        key: Option<u64>,
        lease: Option<Lease>,
        expires: Option<Instant>,
    ) {
        self.tickets += 1;
        let ticket = self.tickets;
        if let Some(expires) = expires {
            self.expiries.insert((expires, ticket), Place::Ready);
        }
        let item = Ready { item, key, lease };
        self.ready.push_back(Waiter {
            item,
            ticket,
            expires,
        });
    }

    /// What has waited longest for a lane.
    pub(crate) fn pop_ready(&mut self) -> Option<Ready<W>> {
        let waiter = self.ready.pop_front()?;
        if let Some(expires) = waiter.expires {
            self.expiries.remove(&(expires, waiter.ticket));
        }
        Some(waiter.item)
    }

    /// How many wait for a lane.
    pub(crate) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// When the next one leaves unless its turn comes before.
    pub(crate) fn soonest(&self) -> Option<Instant> {
        self.expiries.keys().next().map(|(expires, _)| *expires)
    }

    /// Takes out everything whose time has come.
    pub(crate) fn expire(&mut self, now: Instant) -> Expired<W> {
        let (mut items, mut keys) = (Vec::new(), Vec::new());
        while let Some(first) = self.expiries.first_entry() {
            let (expires, ticket) = *first.key();
            if expires > now {
                break;
            }
            match first.remove() {
                Place::Line(key) => items.extend(self.take_from_line(key, ticket)),
                Place::Ready => {
                    if let Some(ready) = take(&mut self.ready, ticket) {
                        keys.extend(ready.key);
                        items.push(ready.item);
                    }
                }
            }
        }
        let next = self.soonest();
        Expired { items, keys, next }
    }

    fn take_from_line(&mut self, key: u64, ticket: u64) -> Option<W> {
        let item = take(self.lines.get_mut(&key)?, ticket)?;
        self.waiting -= 1;
        Some(item)
    }

    /// Takes everything out of the lines that this says is gone.
    pub(crate) fn discard(&mut self, is_gone: impl Fn(&W) -> bool) -> Vec<W> {
        let Self {
            lines,
            expiries,
            waiting,
            ..
        } = self;
        let mut gone = Vec::new();
        for line in lines.values_mut() {
            for waiter in mem::take(line) {
                if !is_gone(&waiter.item) {
                    line.push_back(waiter);
                    continue;
                }
                *waiting -= 1;
                if let Some(expires) = waiter.expires {
                    expiries.remove(&(expires, waiter.ticket));
                }
                gone.push(waiter.item);
            }
        }
        gone
    }

    /// Empties the room. Keys stay busy with what is being handled or asked for.
    pub(crate) fn clear(&mut self) -> Cleared<W> {
        self.expiries.clear();
        self.waiting = 0;
        let ready = mem::take(&mut self.ready);
        let mut cleared = Cleared {
            items: Vec::new(),
            ready: ready.into_iter().map(|waiter| waiter.item).collect(),
        };
        for line in self.lines.values_mut() {
            let waiting = mem::take(line).into_iter();
            cleared.items.extend(waiting.map(|waiter| waiter.item));
        }
        for key in cleared.ready.iter().filter_map(|ready| ready.key) {
            self.lines.remove(&key);
        }
        cleared
    }

    fn left(&mut self, waiter: Waiter<W>) -> W {
        self.waiting -= 1;
        if let Some(expires) = waiter.expires {
            self.expiries.remove(&(expires, waiter.ticket));
        }
        waiter.item
    }
}

/// How a newcomer is admitted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Admission {
    /// How many may wait for their keys.
    pub(crate) most: usize,
    /// When it leaves.
    pub(crate) expires: Option<Instant>,
}

/// What was in a room.
#[derive(Debug)]
pub(crate) struct Cleared<W> {
    pub(crate) items: Vec<W>,
    pub(crate) ready: Vec<Ready<W>>,
}

/// Takes the waiter with this ticket out of a queue whose tickets ascend.
fn take<T>(queue: &mut VecDeque<Waiter<T>>, ticket: u64) -> Option<T> {
    let place = queue.binary_search_by_key(&ticket, |waiter| waiter.ticket);
    let waiter = queue.remove(place.ok()?)?;
    Some(waiter.item)
}

#[cfg(test)]
mod tests {
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
        room.lines.is_empty()
            && room.ready.is_empty()
            && room.expiries.is_empty()
            && room.waiting == 0
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
}
