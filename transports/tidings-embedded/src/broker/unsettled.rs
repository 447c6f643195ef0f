//! Deliveries that are out, by their tag.
//!
//! A tag carries a generation besides its place, so one that comes twice or after its connection ended finds
//! nothing instead of somebody else's delivery.

use crate::broker::{ConnectionId, consumer::ConsumerId, entry::Entry, queue::QueueId};

/// A message that somebody has and has not settled.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) entry: Entry,
    pub(crate) queue: QueueId,
    pub(crate) consumer: ConsumerId,
    pub(crate) connection: ConnectionId,
}

/// All leases of a broker.
#[derive(Debug, Default)]
pub(crate) struct Unsettled {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    lease: Option<Lease>,
}

impl Unsettled {
    /// Keeps a lease and returns its tag.
    pub(crate) fn insert(&mut self, lease: Lease) -> u64 {
        if let Some(index) = self.free.pop() {
            let slot = &mut self.slots[index as usize];
            slot.lease = Some(lease);
            return tag(slot.generation, index);
        }
        // Prefetch bounds this: 2^32 deliveries cannot be out, they would not fit into memory.
        let index = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        self.slots.push(Slot {
            generation: 0,
            lease: Some(lease),
        });
        tag(0, index)
    }

    /// Ends a lease, unless it has ended already.
    pub(crate) fn remove(&mut self, tag: u64) -> Option<Lease> {
        let index = tag & u64::from(u32::MAX);
        let slot = self.slots.get_mut(usize::try_from(index).ok()?)?;
        if u64::from(slot.generation) != tag >> 32 {
            return None;
        }
        let lease = slot.lease.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.extend(u32::try_from(index));
        Some(lease)
    }

    /// Ends all leases for which `ends` is true, oldest message first.
    pub(crate) fn remove_where(&mut self, ends: impl Fn(&Lease) -> bool) -> Vec<Lease> {
        let ending = |(index, slot): (usize, &Slot)| {
            let lease = slot.lease.as_ref()?;
            ends(lease).then(|| tag(slot.generation, u32::try_from(index).unwrap_or(u32::MAX)))
        };
        let tags: Vec<u64> = self.slots.iter().enumerate().filter_map(ending).collect();
        let mut leases: Vec<_> = tags
            .into_iter()
            .filter_map(|tag| self.remove(tag))
            .collect();
        leases.sort_unstable_by_key(|lease| lease.entry.id);
        leases
    }
}

fn tag(generation: u32, index: u32) -> u64 {
    u64::from(generation) << 32 | u64::from(index)
}
