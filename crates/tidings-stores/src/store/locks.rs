//! Locks as leases in a table.

use std::{sync::Arc, time::Duration};

use tidings_core::{
    Deadline,
    error::{Error, ErrorKind, Result},
    lock::{FencingToken, Held, Lease, LockStore},
    tasks::Tasks,
    transport::BoxFuture,
};
use tokio::sync::oneshot;

use super::{
    error,
    keeper::{Handle, Hold},
    key::column,
    turns::{Turn, Turns},
};

/// How long the first pause between two questions for a key is, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// The locks of a store.
#[derive(Clone, Debug)]
pub(crate) struct Locks {
    pub(crate) keeper: Handle,
    pub(crate) turns: Turns,
    pub(crate) tasks: Tasks,
}

impl LockStore for Locks {
    fn acquire<'a>(&'a self, key: &'a str, deadline: Deadline) -> BoxFuture<'a, Result<Lease>> {
        let place = self.turns.enter(&column(key));
        Box::pin(async move {
            tokio::select! {
                biased;
                // Cancel-safe: who leaves the line leaves nothing behind, and a lease that nobody receives is released.
                lease = async { self.ask(place.turn().await).await } => lease,
                // Cancel-safe: it only looks at the clock.
                () = deadline.passed() => Err(too_late()),
            }
        })
    }
}

impl Locks {
    /// Asks until the key is free. In a task of its own, so that a question is never left without an answer.
    async fn ask(&self, turn: Turn) -> Result<Lease> {
        let (tell, answer) = oneshot::channel();
        let (keeper, stopping) = (self.keeper.clone(), self.tasks.clone());
        self.tasks.spawn("lock", async move {
            tokio::select! {
                // Not in the middle of a question, but then the store is being closed, and a lease runs out.
                () = insist(keeper, turn, tell) => {}
                // Cancel-safe: it only looks.
                () = stopping.stopping() => {}
            }
        });
        answer.await.unwrap_or_else(|_| Err(error::closed()))
    }
}

/// Asks for a key until it is free or nobody waits for it any more.
async fn insist(keeper: Handle, turn: Turn, mut tell: oneshot::Sender<Result<Lease>>) {
    let key = Arc::clone(turn.place().key());
    let mut turn = Some(turn);
    let mut pause = FIRST_PAUSE;
    loop {
        let answer = match keeper.take(&key, turn.take()).await {
            Ok(Err(not_yet)) => {
                turn = not_yet;
                None
            }
            Ok(Ok(hold)) => Some(Ok(lease(hold))),
            Err(error) => Some(Err(error)),
        };
        if let Some(answer) = answer {
            // Whoever asked may have gone: then the lease is dropped here, and so given back.
            drop(tell.send(answer));
            return;
        }
        let Some(place) = turn.as_ref().map(Turn::place) else {
            return;
        };
        tokio::select! {
            // Cancel-safe: at worst we ask later.
            () = place.pause(jittered(pause)) => {}
            // Cancel-safe: it only looks.
            () = tell.closed() => return,
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Between half and one and a half of it, so that processes do not ask in step.
pub(crate) fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(0.5 + fastrand::f64())
}

fn lease(hold: Hold) -> Lease {
    let token = u64::try_from(hold.token()).unwrap_or_default();
    Lease::new(FencingToken(token), Box::new(InTable(hold)))
}

fn too_late() -> Error {
    let context = "the lock was not free before the deadline: somebody else held it all the time";
    Error::new(ErrorKind::Timeout, context)
}

/// A lock as a row.
#[derive(Debug)]
struct InTable(Hold);

impl Held for InTable {
    fn lost(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.0.lost())
    }

    fn release(&self) {
        self.0.release();
    }
}
