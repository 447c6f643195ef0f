//! Where in a stream the deliveries of one channel lie.
//!
//! A stream has no memory of what a consumer has read: a new consumer begins where it says. After a reconnect that has to be
//! the first delivery that is not settled, or acked messages would come for ever and those in between never.

use std::collections::VecDeque;

use lapin::{
    message::Delivery,
    types::{AMQPValue, FieldTable},
};
use tidings_core::topology::arguments::STREAM_OFFSET;

/// The offsets of the deliveries that are not settled, and of the last one.
#[derive(Debug)]
pub(crate) struct Offsets {
    /// The tag of the first of `unsettled`.
    first: u64,
    unsettled: VecDeque<i64>,
    last: Option<i64>,
}

impl Default for Offsets {
    fn default() -> Self {
        Self {
            first: 1,
            unsettled: VecDeque::new(),
            last: None,
        }
    }
}

impl Offsets {
    /// Notes deliveries, and forgets those before the tag `first`, which are settled.
    pub(crate) fn note(&mut self, deliveries: &VecDeque<Delivery>, first: u64) {
        for delivery in deliveries {
            let headers = delivery.properties.headers().as_ref();
            let offset = headers.and_then(offset).or(self.last).unwrap_or_default();
            self.add(offset);
        }
        self.forget(first);
    }

    /// Where to go on when everything before the tag `first` is settled.
    pub(crate) fn resume_at(&mut self, first: u64) -> Option<i64> {
        self.forget(first);
        let unsettled = self.unsettled.front().copied();
        unsettled.or_else(|| self.last.map(|last| last.saturating_add(1)))
    }

    fn add(&mut self, offset: i64) {
        self.unsettled.push_back(offset);
        self.last = Some(offset);
    }

    fn forget(&mut self, first: u64) {
        while self.first < first && self.unsettled.pop_front().is_some() {
            self.first += 1;
        }
    }
}

/// Every delivery from a stream says where it lies.
fn offset(headers: &FieldTable) -> Option<i64> {
    match headers.inner().get(STREAM_OFFSET)? {
        AMQPValue::LongLongInt(offset) => Some(*offset),
        AMQPValue::LongInt(offset) => Some((*offset).into()),
        AMQPValue::LongUInt(offset) => Some((*offset).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_unsettled_delivery_is_where_to_go_on() {
        let mut offsets = Offsets::default();
        assert_eq!(offsets.resume_at(1), None, "nothing has come");
        for offset in [10, 11, 12, 20] {
            offsets.add(offset);
        }
        assert_eq!(offsets.resume_at(1), Some(10));
        assert_eq!(offsets.resume_at(3), Some(12));
        assert_eq!(offsets.resume_at(4), Some(20));
        assert_eq!(offsets.resume_at(5), Some(21), "after the last one");
        offsets.add(21);
        assert_eq!(offsets.resume_at(5), Some(21));
    }
}
