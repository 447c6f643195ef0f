//! What has become of the records: counted for metrics, and for whoever asks.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use metrics::{Counter, Gauge, counter, gauge};
use tidings_core::metric::{
    JOURNAL_DROPPED, JOURNAL_FOREIGN_IDS, JOURNAL_QUEUED, JOURNAL_SHIPPED, label,
};

/// What has become of the records of a [`Journal`](super::Journal).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Records that the log server has taken.
    pub shipped: u64,
    /// Records that no log server will ever have, for whatever reason.
    pub dropped: u64,
    /// Records with a correlation id that is no UUID v4. They are shipped like others.
    pub foreign_ids: u64,
    /// Records that wait.
    pub queued: u64,
}

/// Why a record was dropped.
#[derive(Clone, Copy, Debug)]
pub(super) enum Loss {
    /// Too many records, or bytes, wait already.
    Full,
    /// The request has no correlation id, without which there is no record.
    NoCorrelationId,
    /// The log server does not want it.
    Refused,
    /// The log server does not answer for it.
    Unanswered,
    /// The journal was closed.
    Closed,
}

impl Loss {
    fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::NoCorrelationId => "no_correlation_id",
            Self::Refused => "refused",
            Self::Unanswered => "unanswered",
            Self::Closed => "closed",
        }
    }
}

/// Counts.
#[derive(Debug)]
pub(super) struct Tally {
    shipped: AtomicU64,
    dropped: AtomicU64,
    foreign_ids: AtomicU64,
    queued: AtomicU64,
    meters: Meters,
}

struct Meters {
    shipped: Counter,
    foreign_ids: Counter,
    queued: Gauge,
}

impl Tally {
    pub(super) fn new() -> Self {
        Self {
            shipped: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            foreign_ids: AtomicU64::new(0),
            queued: AtomicU64::new(0),
            meters: Meters {
                shipped: counter!(JOURNAL_SHIPPED),
                foreign_ids: counter!(JOURNAL_FOREIGN_IDS),
                queued: gauge!(JOURNAL_QUEUED),
            },
        }
    }

    pub(super) fn counts(&self) -> Counts {
        Counts {
            shipped: self.shipped.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
            foreign_ids: self.foreign_ids.load(Relaxed),
            queued: self.queued.load(Relaxed),
        }
    }

    pub(super) fn queued(&self) {
        self.queued.fetch_add(1, Relaxed);
        self.meters.queued.increment(1.0);
    }

    pub(super) fn foreign_id(&self) {
        self.foreign_ids.fetch_add(1, Relaxed);
        self.meters.foreign_ids.increment(1);
    }

    /// A record that never came into the queue.
    pub(super) fn not_queued(&self, records: u64, why: Loss) {
        self.dropped.fetch_add(records, Relaxed);
        counter!(JOURNAL_DROPPED, label::REASON => why.as_str()).increment(records);
    }

    /// A record that has left the queue for the log server.
    pub(super) fn shipped(&self) {
        self.left(1);
        self.shipped.fetch_add(1, Relaxed);
        self.meters.shipped.increment(1);
    }

    /// A record that has left the queue for nowhere.
    pub(super) fn dropped(&self, why: Loss) {
        self.left(1);
        self.not_queued(1, why);
    }

    /// Nobody empties the queue any more.
    pub(super) fn abandoned(&self) {
        let rest = self.queued.load(Relaxed);
        self.left(rest);
        self.not_queued(rest, Loss::Closed);
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "no queue has more than 2^52 records in it"
    )]
    fn left(&self, records: u64) {
        self.queued.fetch_sub(records, Relaxed);
        self.meters.queued.decrement(records as f64);
    }
}

impl std::fmt::Debug for Meters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Meters").finish_non_exhaustive()
    }
}
