//! Order per key, parallel across keys.
//!
//! A key is busy while one of its messages is being handled. Messages of a busy key wait in the [`Room`], in the order
//! of their delivery, and hold no lane. A lane that has handled a message takes the next one of the same key before it
//! looks for another, so the key's order is kept without blocking other keys.
//!
//! With a lock store, a key that is free here is asked for there, and only who has it gets a lane. Where messages are
//! answered, nobody waits longer than its caller does, nor longer than the server's patience, and the room is bounded:
//! who leaves or finds no place is a [`Refusal`]. Where nobody waits for answers, waiting has no end and no bound but
//! prefetch.

use std::{
    collections::HashSet,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tidings_core::{
    Deadline, Delivery,
    convention::{Attachment, Convention},
    lock::{Lease, LockStore},
    tasks::Tasks,
};
use tidings_router::OrderKey;
use tokio::{sync::Notify, time::Instant};
use tracing::error;

use crate::{
    refusal::Refusal,
    room::{Admission, Admitted, Ready, Room},
};

/// Which keys are busy, and what waits for them.
pub(crate) struct Order {
    rules: Rules,
    convention: Arc<dyn Convention>,
    attachment: Arc<Attachment>,
    answers: bool,
    tasks: Tasks,
    room: Mutex<Room<Delivery>>,
    refused: Mutex<Vec<Refusal>>,
    /// Tells the lane that waits for a delivery that something else is ready.
    pub(crate) lane: Notify,
    /// Tells the usher to look again.
    pub(crate) usher: Notify,
}

/// How a subscription keeps order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    pub(crate) key: Option<OrderKey>,
    pub(crate) locks: Option<Arc<dyn LockStore>>,
    /// What tells queues of the same name apart in the lock store.
    pub(crate) scope: Option<Arc<str>>,
    pub(crate) patience: Patience,
    /// `None` if the handlers are asked themselves.
    pub(crate) served: Option<Arc<Served>>,
}

/// What is handled here, by name, and what callers of everything else are told.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) names: HashSet<Arc<str>>,
    pub(crate) otherwise: fn(&str) -> String,
}

/// How long and how many may wait where messages are answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    pub(crate) wait: Option<Duration>,
    pub(crate) most: usize,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            wait: None,
            most: 1_024,
        }
    }
}

/// A delivery that may be handled now, and what it holds until it has been.
pub(crate) struct Turn {
    pub(crate) delivery: Delivery,
    pub(crate) hold: Hold,
}

/// The key that stays busy, and the lease on it.
#[derive(Debug, Default)]
pub(crate) struct Hold {
    key: Option<u64>,
    pub(crate) lease: Option<Lease>,
}

impl Order {
    pub(crate) fn new(
        rules: Rules,
        convention: Arc<dyn Convention>,
        attachment: Arc<Attachment>,
        tasks: Tasks,
    ) -> Self {
        Self {
            rules,
            answers: convention.answers(),
            convention,
            attachment,
            tasks,
            room: Mutex::new(Room::new()),
            refused: Mutex::default(),
            lane: Notify::new(),
            usher: Notify::new(),
        }
    }

    /// Whether messages can be ready although no lane has taken them.
    pub(crate) fn keeps_ready(&self) -> bool {
        self.answers || self.rules.locks.is_some()
    }

    /// Lets a delivery in if its key is free, else keeps it until its turn comes.
    #[inline]
    pub(crate) fn admit(self: &Arc<Self>, delivery: Delivery) -> Option<Turn> {
        if self.rules.key.is_none() && !self.answers {
            let hold = Hold::default();
            return Some(Turn { delivery, hold });
        }
        let delivery = if self.answers {
            self.arrived(delivery)
        } else {
            delivery
        };
        if let Some(text) = self.unserved(&delivery) {
            self.refuse(Refusal::unserved(delivery, text));
            return None;
        }
        let Some(key) = self.key_of(&delivery) else {
            let hold = Hold::default();
            return Some(Turn { delivery, hold });
        };
        let admission = self.admission(&delivery);
        let asks = self.rules.locks.is_some();
        let mut room = self.room();
        let mut admitted = room.admit(delivery, key, asks, admission);
        let mut lost = Vec::new();
        if let Admitted::Full(delivery) = admitted {
            // What waits for nothing any more takes the place of what has come in its stead.
            lost = room.discard(Delivery::is_lost);
            admitted = room.admit(delivery, key, asks, admission);
        }
        let is_soonest = admission.expires.is_some() && room.soonest() == admission.expires;
        drop(room);
        drop(lost); // Outside the lock: it calls into the transport.
        if is_soonest {
            self.usher.notify_one();
        }
        match admitted {
            Admitted::Now(delivery) => {
                let hold = Hold::of(key);
                return Some(Turn { delivery, hold });
            }
            Admitted::Later => {}
            Admitted::Ask => self.ask(key),
            Admitted::Full(delivery) => self.refuse(Refusal::full(delivery)),
        }
        None
    }

    /// Keeps a turn until a lane is free. Where messages are answered, it does not outlast its caller.
    pub(crate) fn keep(&self, turn: Turn) {
        let Turn { delivery, hold } = turn;
        let expires = delivery.call().deadline.instant();
        let mut room = self.room();
        room.push_ready(delivery, hold.key, hold.lease, expires);
        let is_soonest = expires.is_some() && room.soonest() == expires;
        drop(room);
        if is_soonest {
            self.usher.notify_one();
        }
        self.lane.notify_one();
    }

    /// Whether no more turns should be kept.
    pub(crate) fn is_full(&self) -> bool {
        self.room().ready() >= self.rules.patience.most
    }

    /// The turn that has waited longest for a lane.
    pub(crate) fn ready(&self) -> Option<Turn> {
        self.room().pop_ready().map(Turn::from)
    }

    /// Ends a turn and returns the next one for this lane, if there is one at hand.
    pub(crate) fn next(self: &Arc<Self>, ended: Hold) -> Option<Turn> {
        let Hold { key, lease } = ended;
        let key = key?;
        drop(lease);
        if self.rules.locks.is_some() {
            // Another process may have waited for the key for longer.
            let asks = self.room().first_expires(key).is_some();
            if asks {
                self.ask(key);
            }
            return None;
        }
        let mut room = self.room();
        let delivery = room.next(key)?;
        if room.ready() > 0 {
            // Others have waited for a lane before this one had its key.
            let expires = delivery.call().deadline.instant();
            room.push_ready(delivery, Some(key), None, expires);
            return room.pop_ready().map(Turn::from);
        }
        let hold = Hold::of(key);
        Some(Turn { delivery, hold })
    }

    /// Gives everything that waits back to the broker. Keys stay busy with what is being handled.
    pub(crate) fn give_back(&self) {
        let waiting = self.room().clear();
        let refused = mem::take(&mut *self.refused());
        // Outside the locks: dropping a delivery calls into the transport.
        drop((waiting, refused));
    }

    /// Everything that is to be refused by now, and when to look again.
    pub(crate) fn refusals(self: &Arc<Self>) -> (Vec<Refusal>, Option<Instant>) {
        let mut refused = mem::take(&mut *self.refused());
        let expired = self.room().expire(Instant::now());
        refused.extend(expired.items.into_iter().map(Refusal::late));
        for key in expired.keys {
            if let Some(turn) = self.next(Hold::of(key)) {
                self.keep(turn);
            }
        }
        // Nobody is to be told twice.
        refused.retain(|refusal| !refusal.delivery.is_lost());
        (refused, expired.next)
    }

    /// When the caller stops waiting counts from now, however long the message waits here.
    fn arrived(&self, delivery: Delivery) -> Delivery {
        let (mut call, acker) = delivery.split();
        call.deadline = call.deadline.earlier(self.convention.deadline(&call));
        Delivery::new(call, acker)
    }

    /// What whoever waits for this is told, if nobody here handles it.
    fn unserved(&self, delivery: &Delivery) -> Option<String> {
        let served = self.rules.served.as_ref().filter(|_| self.answers)?;
        let name = self.convention.name(delivery.call())?;
        let is_served = served.names.contains(name);
        (!is_served).then(|| (served.otherwise)(name))
    }

    fn admission(&self, delivery: &Delivery) -> Admission {
        if !self.answers {
            return Admission {
                most: usize::MAX,
                expires: None,
            };
        }
        let Patience { wait, most } = self.rules.patience;
        let patience = wait.map_or(Deadline::NEVER, Deadline::after);
        let expires = delivery.call().deadline.earlier(patience).instant();
        Admission { most, expires }
    }

    fn refuse(&self, refusal: Refusal) {
        self.refused().push(refusal);
        self.usher.notify_one();
    }

    /// Asks the lock store for a key, for whoever is first in its line.
    fn ask(self: &Arc<Self>, key: u64) {
        let Some(locks) = &self.rules.locks else {
            return;
        };
        let (order, locks) = (Arc::clone(self), Arc::clone(locks));
        self.tasks.spawn("lock", async move {
            let name = order.lock_name(key);
            tokio::select! {
                () = order.asking(key, &name, &*locks) => {} // Cancel-safe: who waits stays in its line.
                () = order.tasks.stopping() => {} // Cancel-safe: it only looks at a flag.
            }
        });
    }

    /// What a key is called in the lock store.
    fn lock_name(&self, key: u64) -> String {
        let queue = &self.attachment.queue;
        match &self.rules.scope {
            Some(scope) => format!("{scope}:{queue}:{key:016x}"),
            None => format!("{queue}:{key:016x}"),
        }
    }

    async fn asking(&self, key: u64, name: &str, locks: &dyn LockStore) {
        // Whoever is first may leave meanwhile, and the next one has more time.
        while let Some(expires) = self.first_expires(key) {
            let deadline = expires.map_or(Deadline::NEVER, Deadline::at);
            match locks.acquire(name, deadline).await {
                Ok(lease) => {
                    let spare = self.room().grant(key, lease);
                    drop(spare); // Outside the lock: a release may take its time.
                    self.lane.notify_one();
                    return;
                }
                Err(_) if self.first_expires(key) != Some(expires) => {}
                Err(error) => {
                    let first = self.room().refuse_first(key);
                    if let Some(first) = first {
                        self.refuse(Refusal::unlocked(first, error, self.answers));
                    }
                }
            }
        }
    }

    fn first_expires(&self, key: u64) -> Option<Option<Instant>> {
        self.room().first_expires(key)
    }

    fn key_of(&self, delivery: &Delivery) -> Option<u64> {
        let key = self.rules.key.as_ref()?;
        let of = || key.of(delivery.call(), &*self.convention, &self.attachment);
        // The user's function must not end the lane. A message whose key cannot be told has none.
        catch_unwind(AssertUnwindSafe(of)).unwrap_or_else(|_| {
            error!(
                queue = &*self.attachment.queue,
                "the function that orders messages panicked"
            );
            None
        })
    }

    fn room(&self) -> MutexGuard<'_, Room<Delivery>> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refused(&self) -> MutexGuard<'_, Vec<Refusal>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hold {
    fn of(key: u64) -> Self {
        let key = Some(key);
        Self { key, lease: None }
    }
}

impl From<Ready<Delivery>> for Turn {
    fn from(ready: Ready<Delivery>) -> Self {
        let Ready { item, key, lease } = ready;
        Self {
            delivery: item,
            hold: Hold { key, lease },
        }
    }
}
