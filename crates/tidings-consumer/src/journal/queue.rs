//! What waits to be shipped: bounded in records and in bytes, entered without waiting.
//!
//! There is one lane for each connection. All records of one request go through the same lane, since the log server
//! refuses an answer to a request that it does not know yet.

use std::{
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use tidings_core::{Call, Payload};
use tokio::sync::{
    OwnedSemaphorePermit, Semaphore,
    mpsc::{self, OwnedPermit, Receiver, Sender, error::TrySendError},
};
use uuid::Uuid;

use super::{
    config::JournalConfig,
    record::{Content, Record},
    source::Source,
    tally::{Loss, Tally},
};

/// What a record weighs beside its body.
const OVERHEAD: usize = 512;

/// See [the module](self).
pub(super) struct Queue {
    lanes: Vec<Sender<Record>>,
    room: Arc<Semaphore>,
    tally: Arc<Tally>,
}

impl Queue {
    /// A queue and the other ends of its lanes.
    pub(super) fn new(config: &JournalConfig) -> (Self, Vec<Receiver<Record>>) {
        // A request and its answer at least.
        let length = (config.capacity / config.connections).max(2);
        let (lanes, ends) = (0..config.connections)
            .map(|_| mpsc::channel(length))
            .unzip();
        let queue = Self {
            lanes,
            room: Arc::new(Semaphore::new(
                config.most_bytes.min(Semaphore::MAX_PERMITS),
            )),
            tally: Arc::new(Tally::new()),
        };
        (queue, ends)
    }

    pub(super) fn tally(&self) -> &Arc<Tally> {
        &self.tally
    }

    /// Takes a request in and keeps a place for its answer; `None` if there is no room for both, or nothing by which
    /// the log server could tell them.
    pub(super) fn admit(&self, source: &Arc<Source>, call: &Call) -> Option<Ticket> {
        let id = call.envelope.properties.correlation_id();
        let Some(id) = id.filter(|id| !id.is_empty()) else {
            self.tally.not_queued(2, Loss::NoCorrelationId);
            return None;
        };
        let entered = self.enter(source, call, id);
        match entered {
            Ok(ticket) => {
                if !is_v4(id) {
                    self.tally.foreign_id();
                }
                Some(ticket)
            }
            Err(why) => {
                self.tally.not_queued(2, why);
                None
            }
        }
    }

    fn enter(&self, source: &Arc<Source>, call: &Call, id: &Arc<str>) -> Result<Ticket, Loss> {
        let lane = &self.lanes[self.lane(id)];
        let place = lane
            .clone()
            .try_reserve_owned()
            .map_err(|error| loss(&error))?;
        let room = self.weigh(call.envelope.payload.len())?;
        let record = Record {
            source: Arc::clone(source),
            exchange: Arc::clone(&call.address.exchange),
            id: Arc::clone(id),
            content: Content::Request(call.message().clone()),
            room,
        };
        lane.try_send(record).map_err(|error| loss(&error))?;
        self.tally.queued();
        Ok(Ticket {
            place,
            source: Arc::clone(source),
            exchange: Arc::clone(&call.address.exchange),
            id: Arc::clone(id),
            room: Arc::clone(&self.room),
            tally: Arc::clone(&self.tally),
        })
    }

    fn lane(&self, id: &str) -> usize {
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        let lanes = u64::try_from(self.lanes.len()).unwrap_or(1);
        usize::try_from(hasher.finish() % lanes).unwrap_or_default()
    }

    fn weigh(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Loss> {
        weigh(&self.room, bytes)
    }
}

/// The place that is kept for an answer. Dropping it gives it back.
pub(super) struct Ticket {
    place: OwnedPermit<Record>,
    source: Arc<Source>,
    exchange: Arc<str>,
    id: Arc<str>,
    room: Arc<Semaphore>,
    tally: Arc<Tally>,
}

impl Ticket {
    pub(super) fn source(&self) -> &Source {
        &self.source
    }

    /// Sends the answer after its request.
    pub(super) fn answered(self, payload: Payload, traceback: Option<String>) {
        let room = match weigh(&self.room, payload.len()) {
            Ok(room) => room,
            Err(why) => return self.tally.not_queued(1, why),
        };
        self.tally.queued();
        self.place.send(Record {
            source: self.source,
            exchange: self.exchange,
            id: self.id,
            content: Content::Answer { payload, traceback },
            room,
        });
    }
}

fn weigh(room: &Arc<Semaphore>, bytes: usize) -> Result<OwnedSemaphorePermit, Loss> {
    let bytes = u32::try_from(bytes.saturating_add(OVERHEAD)).map_err(|_| Loss::Full)?;
    let room = Arc::clone(room).try_acquire_many_owned(bytes);
    room.map_err(|_| Loss::Full)
}

fn loss<T>(error: &TrySendError<T>) -> Loss {
    match error {
        TrySendError::Full(_) => Loss::Full,
        TrySendError::Closed(_) => Loss::Closed,
    }
}

fn is_v4(id: &str) -> bool {
    Uuid::try_parse(id).is_ok_and(|id| id.get_version_num() == 4)
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("tally", &self.tally.counts())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
