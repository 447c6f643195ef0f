//! Stores in one file of SQLite, for the processes of one machine.

mod database;
mod sql;

use std::{fs, path::Path, sync::Arc, time::Duration};

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use tidings_core::{
    error::{Error, ErrorKind, Result},
    lock::LockStore,
    reply_store::ReplyStore,
    tasks::Tasks,
};

use self::database::Database;
use crate::store::{Settings, Store, Woken, failed};

/// How long a process waits for another one to end its writing.
const BUSY: Duration = Duration::from_secs(5);

/// Locks and replies in a file. Cloning it gives another handle on the same store.
///
/// The file is made if it is not there, for its owner only. It must be on a disk of this machine: SQLite cannot tell
/// processes apart over a network. Its clock is that of the machine; a clock that is set back lets leases and replies
/// last longer by as much.
#[derive(Clone, Debug)]
pub struct Sqlite {
    store: Store,
    settings: Settings,
}

impl Sqlite {
    /// Opens the store in this file, with the usual settings.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] if the file cannot be opened or written, [`ErrorKind::Corrupt`] if it is something else.
    ///
    /// # Cancel safety
    /// Yes: opening it again goes on where this was left.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(path, Settings::default()).await
    }

    /// Opens the store in this file.
    ///
    /// # Errors
    /// As [`open`](Self::open), and [`ErrorKind::Misuse`] for settings that make no sense.
    ///
    /// # Cancel safety
    /// Yes: opening it again goes on where this was left.
    pub async fn open_with(path: impl AsRef<Path>, settings: Settings) -> Result<Self> {
        let (path, settings) = (path.as_ref(), settings.check()?);
        make(path)?;
        let what = format!("cannot open the store in `{}`", path.display());
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            // A fencing token that a power failure takes back could be given to two holders.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY);
        // One connection: the writers of a process then wait in line, and only processes compete.
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(BUSY)
            .connect_with(options)
            .await
            .map_err(|error| failed(&what, error))?;
        sql::migrate(&pool)
            .await
            .map_err(|error| failed(&what, error))?;
        let database = Arc::new(Database { pool });
        Ok(Self {
            store: Store::start(database, &settings, Tasks::new(), Woken::default()),
            settings,
        })
    }

    /// The locks, for `ServerBuilder::locks`.
    #[must_use]
    pub fn locks(&self) -> Arc<dyn LockStore> {
        self.store.locks()
    }

    /// The remembered replies, for the idempotency layer.
    #[must_use]
    pub fn replies(&self) -> Arc<dyn ReplyStore> {
        self.store.replies()
    }

    /// Removes what has expired now; the store does so every minute anyway.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] if the database cannot be reached.
    pub async fn sweep(&self) -> Result<()> {
        self.store.sweep(self.settings.replies).await
    }

    /// Gives back what was dropped and closes the file. What is still held runs out after [`Settings::lease`].
    ///
    /// # Cancel safety
    /// Yes: calling it again goes on closing.
    pub async fn close(&self) {
        self.store.close().await;
    }
}

/// Makes the file so that only its owner can read it, before SQLite makes it for everybody. One that is there is left
/// as it is.
fn make(path: &Path) -> Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    match for_the_owner(&mut options).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => {
            let context = format!(
                "cannot make the store in `{}`: check that its folder exists and can be written",
                path.display()
            );
            Err(Error::new(ErrorKind::Denied, context).with_source(error))
        }
    }
}

#[cfg(unix)]
fn for_the_owner(options: &mut fs::OpenOptions) -> &mut fs::OpenOptions {
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600)
}

#[cfg(not(unix))]
fn for_the_owner(options: &mut fs::OpenOptions) -> &mut fs::OpenOptions {
    options
}
