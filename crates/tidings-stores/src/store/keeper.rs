//! Keeps the leases of one process in one table: renews what is held, gives back what was dropped.
//!
//! One task does it for all leases together, so that a thousand leases cost as many statements as one. What is dropped
//! is only marked, which neither blocks nor can fail; the task gives it back, and goes on trying until the lease would
//! have run out anyway. A lease that could not be renewed in time is lost, and whoever holds it is told so by this
//! process's own clock: the database may be out of reach.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tidings_core::error::Result;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, MissedTickBehavior, interval_at, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{
    database::{Database, Table},
    error,
    turns::Turn,
};

/// A database that does not answer in this time is out of reach.
const PATIENCE: Duration = Duration::from_secs(5);

/// The leases of one process in one table. It lives as long as somebody holds a [`Handle`].
pub(crate) struct Keeper {
    database: Arc<dyn Database>,
    table: Table,
    lease: Duration,
    held: Mutex<HashMap<i64, Held>>,
    /// Something was dropped.
    dropped: Notify,
    /// Nobody holds a handle any more.
    ended: CancellationToken,
}

/// A lease of this process.
struct Held {
    /// Until when it lasts, by our clock; `None` tells that it was lost.
    until: watch::Sender<Option<Instant>>,
    stage: Stage,
    /// Lets the next one in this process ask, once this is over.
    _turn: Option<Turn>,
}

/// What becomes of a lease next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It is renewed.
    Held,
    /// Its row is becoming something else.
    Settling,
    /// It is given back.
    Dropped,
}

impl Held {
    fn lasts(&self, now: Instant) -> bool {
        self.until.borrow().is_some_and(|until| until > now)
    }
}

/// Keeps a [`Keeper`] at work.
#[derive(Clone, Debug)]
pub(crate) struct Handle(Arc<Alive>);

#[derive(Debug)]
struct Alive(Arc<Keeper>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.ended.cancel();
    }
}

/// A key that this process holds. Dropping it gives the key back.
#[derive(Debug)]
pub(crate) struct Hold {
    handle: Handle,
    token: i64,
    until: watch::Receiver<Option<Instant>>,
}

impl Keeper {
    pub(crate) fn start(
        database: Arc<dyn Database>,
        table: Table,
        lease: Duration,
    ) -> (Handle, Arc<Self>) {
        let keeper = Arc::new(Self {
            database,
            table,
            lease,
            held: Mutex::default(),
            dropped: Notify::new(),
            ended: CancellationToken::new(),
        });
        (Handle(Arc::new(Alive(Arc::clone(&keeper)))), keeper)
    }

    /// Renews and gives back until nobody needs it, or until it is told to stop.
    pub(crate) async fn run(self: Arc<Self>, stopping: impl Future<Output = ()>) {
        let third = self.lease / 3;
        let mut renewal = interval_at(Instant::now() + third, third);
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stopping = std::pin::pin!(stopping);
        loop {
            tokio::select! {
                // Cancel-safe: a notification that is not received stays.
                () = self.dropped.notified() => {}
                // Cancel-safe: a tick that is not received comes again.
                _ = renewal.tick() => {
                    if !self.renew().await {
                        // Sooner than usual: what is not renewed is lost soon.
                        renewal.reset_after(third / 4);
                    }
                }
                // Cancel-safe: both only look.
                () = self.ended.cancelled() => break,
                () = &mut stopping => break,
            }
            self.give_back().await;
        }
        self.give_back().await;
    }

    /// Renews everything that is held, and finds out what was lost; `false` if the database does not answer.
    async fn renew(&self) -> bool {
        let asked = Instant::now();
        let tokens = self.tokens(Stage::Held);
        if tokens.is_empty() {
            return true;
        }
        let renewed = self.database.renew(self.table, tokens.clone(), self.lease);
        let renewed = self.in_time(renewed, "cannot renew leases").await;
        match &renewed {
            Ok(still_held) => {
                let still_held = still_held.iter().copied().collect();
                self.renewed(&tokens, &still_held, asked + self.lease);
            }
            Err(error) => warn!(
                error = error.chain(),
                leases = tokens.len(),
                "leases could not be renewed"
            ),
        }
        self.forget_lost();
        renewed.is_ok()
    }

    fn renewed(&self, asked: &[i64], still_held: &HashSet<i64>, until: Instant) {
        let leases = self.held();
        for token in asked {
            let Some(held) = leases.get(token) else {
                continue;
            };
            if still_held.contains(token) {
                held.until.send_replace(Some(until));
            } else {
                held.until.send_replace(None);
            }
        }
    }

    /// Leases that ran out are nobody's, whatever the database says later.
    fn forget_lost(&self) {
        let now = Instant::now();
        self.held().retain(|token, held| {
            let lasts = held.lasts(now);
            if !lasts {
                held.until.send_replace(None);
                if held.stage == Stage::Held {
                    warn!(token, "a lease was lost: somebody else may hold its key");
                }
            }
            lasts
        });
    }

    /// Gives back what was dropped. What cannot be given back is tried again, until it has run out.
    async fn give_back(&self) {
        let tokens = self.tokens(Stage::Dropped);
        if tokens.is_empty() {
            return;
        }
        let given = self.database.give_back(self.table, tokens.clone());
        match self.in_time(given, "cannot give leases back").await {
            Ok(()) => {
                let mut leases = self.held();
                for token in &tokens {
                    leases.remove(token);
                }
            }
            Err(error) => {
                debug!(
                    error = error.chain(),
                    leases = tokens.len(),
                    "leases could not be given back"
                );
                self.forget_lost();
            }
        }
    }

    async fn in_time<T>(&self, answer: impl Future<Output = Result<T>>, what: &str) -> Result<T> {
        let patience = PATIENCE.min(self.lease / 3);
        let answer = timeout(patience, answer).await;
        answer.unwrap_or_else(|_| Err(error::too_slow(what)))
    }

    fn tokens(&self, stage: Stage) -> Vec<i64> {
        let leases = self.held();
        let chosen = leases.iter().filter(|(_, held)| held.stage == stage);
        chosen.map(|(token, _)| *token).collect()
    }

    fn held(&self) -> MutexGuard<'_, HashMap<i64, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handle {
    /// Takes a key if nobody holds it. With a turn, the next one in this process has to wait until it is given back.
    ///
    /// Dropping the future may leave a lease that nobody renews: run it to its end.
    pub(crate) async fn take(
        &self,
        key: &str,
        turn: Option<Turn>,
    ) -> Result<Result<Hold, Option<Turn>>> {
        let keeper = &self.0.0;
        let asked = Instant::now();
        let taken = keeper.database.take(keeper.table, key, keeper.lease);
        let taken = timeout(PATIENCE, taken).await;
        let taken = taken.unwrap_or_else(|_| Err(error::too_slow("cannot take a lease")));
        let Some(token) = taken? else {
            return Ok(Err(turn));
        };
        let (until, seen) = watch::channel(Some(asked + keeper.lease));
        let held = Held {
            until,
            stage: Stage::Held,
            _turn: turn,
        };
        keeper.held().insert(token, held);
        Ok(Ok(Hold {
            handle: self.clone(),
            token,
            until: seen,
        }))
    }
}

impl Hold {
    pub(crate) fn token(&self) -> i64 {
        self.token
    }

    /// Resolves when the lease was lost.
    ///
    /// # Cancel safety
    /// Yes: it only looks.
    pub(crate) async fn lost(&self) {
        let mut until = self.until.clone();
        loop {
            let known = *until.borrow_and_update();
            let Some(at) = known.filter(|at| *at > Instant::now()) else {
                return;
            };
            tokio::select! {
                // Cancel-safe: it only looks at the clock.
                () = tokio::time::sleep_until(at) => {}
                // Cancel-safe: a change that is not seen is seen later.
                changed = until.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Says that the row is becoming something else, so that it is not renewed.
    pub(crate) fn settle(&self) {
        self.enter(Stage::Settling);
    }

    /// Forgets the lease, because the row has become something else.
    pub(crate) fn forget(&self) {
        self.handle.0.0.held().remove(&self.token);
    }

    /// Marks the lease as dropped; the keeper's task does the rest.
    pub(crate) fn release(&self) {
        if self.enter(Stage::Dropped) {
            self.handle.0.0.dropped.notify_one();
        }
    }

    fn enter(&self, stage: Stage) -> bool {
        let mut leases = self.handle.0.0.held();
        let Some(held) = leases.get_mut(&self.token) else {
            return false;
        };
        held.stage = stage;
        true
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.release();
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper")
            .field("table", &self.table)
            .field("lease", &self.lease)
            .finish_non_exhaustive()
    }
}
