//! Which changes depend on others that could not be written yet.

use super::inbox::Op;
use crate::broker::{
    change::{Change, TopologyChange},
    queue::QueueId,
};

/// What exists in the broker and not yet in the file: a message in a queue that the file does not know would make
/// the file unusable.
pub(super) struct Promised {
    any: bool,
    queues: Vec<QueueId>,
}

impl Promised {
    pub(super) fn by(owed: &[Op]) -> Self {
        let changes = owed.iter().filter_map(|op| match &op.change {
            Change::Topology(changes) => Some(changes),
            _ => None,
        });
        let queues = changes.clone().flatten().filter_map(|change| match change {
            TopologyChange::Queue(id, _) => Some(*id),
            _ => None,
        });
        Self {
            queues: queues.collect(),
            any: changes.count() > 0,
        }
    }

    /// Whether a change makes sense only after what is owed.
    pub(super) fn concerns(&self, change: &Change) -> bool {
        match change {
            Change::Publish { rows, .. } | Change::Bury { rows, .. } => {
                rows.iter().any(|(queue, _)| self.queues.contains(queue))
            }
            Change::Attend(queue) => self.queues.contains(queue),
            // What comes and goes does so in order.
            Change::Topology(_) => self.any,
            // What it asks about may be among those that fail.
            Change::Confirm(_) => true,
            Change::Forget { .. } | Change::Hide { .. } | Change::Close { .. } => false,
        }
    }
}
