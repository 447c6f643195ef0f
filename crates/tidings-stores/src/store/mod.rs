//! What both databases have in common once they are open: locks, replies, and the tasks that keep them.

mod database;
mod error;
mod keeper;
mod key;
mod locks;
mod replies;
mod settings;
mod turns;

use std::{sync::Arc, time::Duration};

use tidings_core::{error::Result, lock::LockStore, reply_store::ReplyStore, tasks::Tasks};
use tracing::{debug, warn};

pub use self::settings::Settings;
pub(crate) use self::{
    database::{Database, Found, Kept, Table, from_columns, millis, to_columns},
    error::failed,
    locks::jittered,
    turns::Turns,
};
use self::{keeper::Keeper, locks::Locks, replies::Replies};

/// How often rows that have expired are removed.
const SWEEP: Duration = Duration::from_secs(60);
/// How long closing waits for what is under way.
const GRACE: Duration = Duration::from_secs(5);

/// An open store.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    database: Arc<dyn Database>,
    locks: Arc<Locks>,
    replies: Arc<Replies>,
    tasks: Tasks,
}

impl Store {
    /// Starts the store's tasks in a group that may have others. `woken` are the keys of each table that wait in this
    /// process.
    pub(crate) fn start(
        database: Arc<dyn Database>,
        settings: &Settings,
        tasks: Tasks,
        woken: Woken,
    ) -> Self {
        let keep = |table| {
            let (handle, keeper) = Keeper::start(Arc::clone(&database), table, settings.lease);
            let stopping = tasks.clone();
            tasks.spawn("leases", async move {
                keeper.run(stopping.stopping()).await;
            });
            handle
        };
        let locks = Arc::new(Locks {
            keeper: keep(Table::Locks),
            turns: woken.locks,
            tasks: tasks.clone(),
        });
        let replies = Arc::new(Replies {
            database: Arc::clone(&database),
            keeper: keep(Table::Replies),
            turns: woken.replies,
            tasks: tasks.clone(),
            largest: settings.reply_bytes,
        });
        let weak = Arc::downgrade(&database);
        let (stopping, keep) = (tasks.clone(), settings.replies);
        tasks.spawn("sweep", async move {
            while !stopped(&stopping).await {
                let Some(database) = weak.upgrade() else {
                    return;
                };
                if let Err(error) = database.sweep(keep).await {
                    warn!(
                        error = error.chain(),
                        "cannot remove what has expired from the store"
                    );
                }
            }
        });
        Self {
            database,
            locks,
            replies,
            tasks,
        }
    }

    pub(crate) fn locks(&self) -> Arc<dyn LockStore> {
        Arc::clone(&self.locks) as Arc<dyn LockStore>
    }

    pub(crate) fn replies(&self) -> Arc<dyn ReplyStore> {
        Arc::clone(&self.replies) as Arc<dyn ReplyStore>
    }

    pub(crate) async fn sweep(&self, replies: u32) -> Result<()> {
        self.database.sweep(replies).await
    }

    /// Gives back what was dropped, and ends the tasks and the connections.
    pub(crate) async fn close(&self) {
        if !self.tasks.stop(GRACE).await {
            debug!("a store was closed while it was at work");
        }
        self.database.close().await;
    }
}

/// Those who wait in this process, by table; a database that hears of keys given back elsewhere wakes them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Woken {
    pub(crate) locks: Turns,
    pub(crate) replies: Turns,
}

/// Waits for the next sweep; true if there will be none.
async fn stopped(tasks: &Tasks) -> bool {
    tokio::select! {
        // Cancel-safe: it only looks at the clock.
        () = tokio::time::sleep(jittered(SWEEP)) => false,
        // Cancel-safe: it only looks.
        () = tasks.stopping() => true,
    }
}
