//! One queue: messages in the order of their publishing, those held back, and who waits for them.

use std::collections::{BTreeMap, VecDeque};

use tidings_core::topology;

use crate::broker::{ConnectionId, consumer::ConsumerId, entry::Entry};

/// A queue's identity: never used twice in one broker, and kept by the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct QueueId(pub(crate) u64);

/// A queue.
#[derive(Debug)]
pub(crate) struct Queue {
    /// As it was declared.
    pub(crate) settings: topology::Queue,
    /// Whose it is, if it is exclusive.
    pub(crate) owner: Option<ConnectionId>,
    /// What can be delivered now.
    pub(crate) ready: Ready,
    /// What was given back to come again later, with the time at which it may.
    pub(crate) delayed: BTreeMap<u64, (i64, Entry)>,
    /// How many are delivered and not settled.
    pub(crate) unsettled: u64,
    /// How many consumers it has.
    pub(crate) consumers: u32,
    /// Consumers with room that found nothing, longest waiting first.
    pub(crate) parked: VecDeque<ConsumerId>,
    /// How many consumers have been woken and have not come yet.
    pub(crate) woken: u32,
    /// Whether the journal keeps the queue and its persistent messages.
    pub(crate) stored: bool,
    /// Whether messages may be delivered: see [`Change::Attend`](crate::journal::Change::Attend).
    pub(crate) attended: bool,
}

impl Queue {
    pub(crate) fn new(
        settings: topology::Queue,
        owner: Option<ConnectionId>,
        stored: bool,
    ) -> Self {
        Self {
            settings,
            owner,
            ready: Ready::default(),
            delayed: BTreeMap::new(),
            unsettled: 0,
            consumers: 0,
            parked: VecDeque::new(),
            woken: 0,
            stored,
            attended: !stored,
        }
    }

    /// Whether a waiting consumer would take a message that comes now.
    pub(crate) fn delivers_at_once(&self) -> bool {
        self.attended && self.parked.len() > self.ready.len()
    }
}

/// Messages in the order of their ids. Usually a plain FIFO; one that comes back takes its old place, and one
/// that expires in the middle leaves a gap that is skipped later, so that no operation moves the whole queue.
#[derive(Debug, Default)]
pub(crate) struct Ready {
    slots: VecDeque<Slot>,
    live: usize,
}

#[derive(Debug)]
enum Slot {
    Live(Entry),
    Gone(u64),
}

impl Slot {
    fn id(&self) -> u64 {
        match self {
            Self::Live(entry) => entry.id,
            Self::Gone(id) => *id,
        }
    }
}

impl Ready {
    pub(crate) fn len(&self) -> usize {
        self.live
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// Puts a message in its place.
    pub(crate) fn insert(&mut self, entry: Entry) {
        self.live += 1;
        if self.slots.back().is_none_or(|last| last.id() < entry.id) {
            self.slots.push_back(Slot::Live(entry));
            return;
        }
        match self.slots.binary_search_by_key(&entry.id, Slot::id) {
            Ok(index) => self.slots[index] = Slot::Live(entry),
            Err(index) => self.slots.insert(index, Slot::Live(entry)),
        }
    }

    /// Takes the first message.
    pub(crate) fn pop(&mut self) -> Option<Entry> {
        while let Some(slot) = self.slots.pop_front() {
            if let Slot::Live(entry) = slot {
                self.live -= 1;
                return Some(entry);
            }
        }
        None
    }

    /// Takes this message.
    pub(crate) fn remove(&mut self, id: u64) -> Option<Entry> {
        let index = self.slots.binary_search_by_key(&id, Slot::id).ok()?;
        if matches!(self.slots[index], Slot::Gone(_)) {
            return None;
        }
        let slot = std::mem::replace(&mut self.slots[index], Slot::Gone(id));
        self.live -= 1;
        self.sweep();
        match slot {
            Slot::Live(entry) => Some(entry),
            Slot::Gone(_) => None,
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.slots.iter().filter_map(|slot| match slot {
            Slot::Live(entry) => Some(entry),
            Slot::Gone(_) => None,
        })
    }

    /// Drops gaps at the front, and all of them once they are the larger part.
    fn sweep(&mut self) {
        while matches!(self.slots.front(), Some(Slot::Gone(_))) {
            self.slots.pop_front();
        }
        if self.slots.len() > 64 && self.slots.len() > 2 * self.live {
            self.slots.retain(|slot| matches!(slot, Slot::Live(_)));
        }
    }
}

#[cfg(test)]
mod tests {
    use tidings_core::{Address, Call, Envelope};

    use super::*;

    fn entry(id: u64) -> Entry {
        Entry {
            id,
            message: Call::new(Address::queue("q"), Envelope::default()).into_message(),
            expires_at: None,
            history: None,
            stored: false,
            redelivered: false,
            immediate: false,
        }
    }

    fn ids(ready: &Ready) -> Vec<u64> {
        ready.iter().map(|entry| entry.id).collect()
    }

    #[test]
    fn keeps_the_order_of_ids_whatever_comes_back() {
        let mut ready = Ready::default();
        for id in [1, 2, 3, 5] {
            ready.insert(entry(id));
        }
        let first = ready.pop().unwrap();
        let second = ready.pop().unwrap();
        ready.insert(second);
        ready.insert(entry(4));
        ready.insert(first);
        assert_eq!(ids(&ready), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn removes_from_the_middle_and_fills_the_gap_again() {
        let mut ready = Ready::default();
        (1..=3).for_each(|id| ready.insert(entry(id)));
        let middle = ready.remove(2).unwrap();
        assert!(ready.remove(2).is_none());
        assert_eq!((ids(&ready), ready.len()), (vec![1, 3], 2));
        ready.insert(middle);
        assert_eq!((ids(&ready), ready.len()), (vec![1, 2, 3], 3));
        assert!(ready.remove(9).is_none());
    }

    #[test]
    fn gaps_do_not_pile_up() {
        let mut ready = Ready::default();
        (0..1_000).for_each(|id| ready.insert(entry(id)));
        (1..1_000).for_each(|id| assert!(ready.remove(id).is_some()));
        assert!(ready.slots.len() <= 64);
        assert_eq!(ids(&ready), [0]);
    }
}
