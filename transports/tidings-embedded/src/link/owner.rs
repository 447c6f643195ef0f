//! Becoming the owner of the file, and ceasing to be it.
//!
//! The order is everything. In: lock, recover, declare what only this process knows, hand over what waits,
//! listen. Out: listen no more, let the clients' publishes finish, close the engine, and give up the lock last,
//! so that there is never a second engine on the file.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
};

use futures_util::FutureExt;
use tidings_core::{Completion, Deadline, Result, tasks::Tasks, transport::BoxFuture};
use tokio::sync::oneshot;

use super::{
    client::{Connection, Found, PATIENCE, Pauses, attempt, follow, gave_up, may_pass},
    election::Lock,
    member::{Local, Member, lock},
    pending::AnswerTo,
    server::Server,
    socket::Listener,
};
use crate::broker::Broker;

/// Opens the engine on a file that nobody else has open. The engine holds the lock until it has closed the file.
pub(super) type Open =
    Arc<dyn Fn(PathBuf, Held) -> BoxFuture<'static, Result<Broker>> + Send + Sync>;

/// The lock, in the hands of the engine: only the thread that writes knows when the last commit is done.
#[derive(Debug)]
pub(crate) struct Held {
    _lock: Lock,
    /// Dropped after the lock, and seen from the other end.
    _released: oneshot::Sender<()>,
}

/// What an owner has and a client has not.
#[derive(Debug)]
struct Ownership {
    server: Server,
    broker: Broker,
    released: oneshot::Receiver<()>,
}

/// This process's seat among those that use the file: empty until it is the owner.
pub(super) struct Seat {
    open: Open,
    ownership: Mutex<Option<Ownership>>,
}

impl Seat {
    pub(super) fn new(open: Open) -> Self {
        Self {
            open,
            ownership: Mutex::new(None),
        }
    }

    /// Becomes the owner.
    ///
    /// # Errors
    /// Why the file or the socket cannot be used; the lock is then free again.
    pub(super) async fn take(&self, member: &Arc<Member>, won: Lock, tasks: &Tasks) -> Result<()> {
        let (let_go, released) = oneshot::channel();
        let held = Held {
            _lock: won,
            _released: let_go,
        };
        let broker = (self.open)(member.place.file.clone(), held).await?;
        let listener = match Listener::bind(&member.place.socket) {
            Ok(listener) => listener,
            Err(error) => {
                // Nothing has been handed over yet: closing cannot take long.
                broker.close(Deadline::after(PATIENCE)).await?;
                return Err(error);
            }
        };
        let local = Local {
            connection: broker.connect(),
            broker: broker.clone(),
        };
        declare_again(member, &local).await;
        let answers = member.go_local(local.clone());
        tasks.spawn(
            "embedded link hand-over",
            pass_on(Arc::clone(member), answers),
        );
        subscribe_again(member, &local);
        let server = Server::start(listener, broker.clone());
        *lock(&self.ownership) = Some(Ownership {
            server,
            broker,
            released,
        });
        Ok(())
    }

    /// Ceases to be the owner, if it is.
    ///
    /// # Errors
    /// `Timeout` if publishes were still unconfirmed at the deadline.
    pub(super) async fn leave(&self, deadline: Deadline) -> Result<()> {
        let taken = lock(&self.ownership).take();
        let Some(Ownership {
            server,
            broker,
            released,
        }) = taken
        else {
            return Ok(());
        };
        server.close(deadline).await;
        let closed = broker.close(deadline).await;
        // The file is closed now, in any case; the lock follows at once, and then this returns.
        drop(released.await);
        closed
    }

    /// Ceases to be the owner without waiting for anybody.
    pub(super) fn abandon(&self) {
        let Some(ownership) = lock(&self.ownership).take() else {
            return;
        };
        ownership.server.abort();
        // Polled once, it refuses new work; the engine finishes what it has, and lets go of the lock then. Without
        // a deadline it needs no timer, so no runtime either.
        drop(ownership.broker.close(Deadline::NEVER).now_or_never());
    }
}

/// Uses the file through its owner, and takes over when there is none, until this process is the owner or stops.
pub(super) async fn run(member: Arc<Member>, seat: Arc<Seat>, first: Connection, tasks: Tasks) {
    let mut connection = first;
    loop {
        let ended = follow(&member, connection, &tasks).await;
        if let Err(error) = &ended {
            tracing::warn!(
                error = error.chain(),
                "connection to the owner of an embedded file ended"
            );
        }
        if tasks.is_stopping() {
            return;
        }
        let mut pauses = Pauses::new();
        if ended.is_err() {
            // Whatever it was may happen again at once.
            pauses.pause().await;
        }
        match seek(&member, &seat, &tasks, &mut pauses).await {
            Some(found) => connection = found,
            None => return,
        }
    }
}

/// Looks for an owner for as long as it takes. `None` once this process is it, or stops.
async fn seek(
    member: &Arc<Member>,
    seat: &Seat,
    tasks: &Tasks,
    pauses: &mut Pauses,
) -> Option<Connection> {
    loop {
        let found = tokio::select! {
            found = attempt(member) => found,
            // An attempt leaves nothing behind: a lock or a connection that was found is dropped.
            () = tasks.stopping() => return None,
        };
        let error = match found {
            Ok(Found::Owner(connection)) => return Some(connection),
            // Not to be interrupted: an engine that was opened must be closed before the lock is given up.
            Ok(Found::Nobody(held)) => match seat.take(member, held, tasks).await {
                Ok(()) => return None,
                Err(error) => error,
            },
            Err(error) => error,
        };
        if !may_pass(&error) || pauses.elapsed() > PATIENCE {
            member.give_up(&gave_up(member, &error));
        }
        pauses.pause().await;
    }
}

/// Exclusive queues of this process went with the last owner.
async fn declare_again(member: &Member, local: &Local) {
    let Some(transient) = member.transient.all() else {
        return;
    };
    if let Err(error) = local.broker.declare(local.connection, &transient).await {
        tracing::warn!(
            error = error.chain(),
            "cannot declare exclusive queues again"
        );
    }
}

/// Subscriptions of this process go on with its own engine.
fn subscribe_again(member: &Member, local: &Local) {
    for (_, inbox) in member.established() {
        match local.broker.subscribe(local.connection, inbox.to.clone()) {
            Ok(subscriber) => inbox.go_local(Box::new(subscriber)),
            Err(error) => inbox.end(Some(error)),
        }
    }
}

/// Tells those who published while another process was the owner what became of it.
async fn pass_on(member: Arc<Member>, answers: Vec<(Completion, AnswerTo)>) {
    for (completion, answer) in answers {
        // Awaited one by one: they resolve in about this order, and all of them resolve.
        drop(answer.send(completion.await));
    }
    member.idle.notify_waiters();
}
