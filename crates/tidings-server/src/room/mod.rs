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
mod tests;
