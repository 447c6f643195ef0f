//! Stores in a PostgreSQL database.

mod database;
mod listener;
mod sql;

use std::{str::FromStr, sync::Arc, time::Duration};

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tidings_core::{
    error::{Error, ErrorKind, Result},
    lock::LockStore,
    reply_store::ReplyStore,
    tasks::Tasks,
};

use self::database::Database;
use crate::store::{Settings, Store, Woken, failed};

/// How many connections a process may have; one of them listens.
const CONNECTIONS: u32 = 8;
/// How long somebody waits for a connection.
const PATIENCE: Duration = Duration::from_secs(5);
const WHAT: &str = "cannot open the store in PostgreSQL";

/// Locks and replies in a database. Cloning it gives another handle on the same store.
///
/// The address is that of `libpq`: `postgres://user:password@host:5432/database`, with `sslmode=verify-full` and
/// `sslrootcert=FILE` where the network is not to be trusted: without them the connection is encrypted if the server
/// can, and the server is not checked. `options[search_path]=name` puts the tables into a schema.
#[derive(Clone, Debug)]
pub struct Postgres {
    store: Store,
    settings: Settings,
}

impl Postgres {
    /// Opens the store in this database, with the usual settings.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`] if the address makes no sense, [`ErrorKind::Unauthenticated`] if the user is not let in,
    /// [`ErrorKind::Denied`] if it may not use the database, [`ErrorKind::Unavailable`] if that cannot be reached.
    ///
    /// # Cancel safety
    /// Yes: opening it again goes on where this was left.
    pub async fn open(url: &str) -> Result<Self> {
        Self::open_with(url, Settings::default()).await
    }

    /// Opens the store in this database.
    ///
    /// # Errors
    /// As [`open`](Self::open), and [`ErrorKind::Misuse`] for settings that make no sense.
    ///
    /// # Cancel safety
    /// Yes: opening it again goes on where this was left.
    pub async fn open_with(url: &str, settings: Settings) -> Result<Self> {
        let settings = settings.check()?;
        let options = options(url)?;
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(PATIENCE)
            .connect_with(options)
            .await
            .map_err(|error| failed(WHAT, error))?;
        sql::migrate(&pool)
            .await
            .map_err(|error| failed(WHAT, error))?;
        let (tasks, woken) = (Tasks::new(), Woken::default());
        listener::start(&tasks, pool.clone(), woken.clone());
        let database = Arc::new(Database { pool });
        let store = Store::start(database, &settings, tasks, woken);
        Ok(Self { store, settings })
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

    /// Gives back what was dropped and ends the connections. What is still held runs out after [`Settings::lease`].
    ///
    /// # Cancel safety
    /// Yes: calling it again goes on closing.
    pub async fn close(&self) {
        self.store.close().await;
    }
}

fn options(url: &str) -> Result<PgConnectOptions> {
    // A missing scheme is read as one, and what follows as a host: say so instead.
    if !["postgres://", "postgresql://"]
        .iter()
        .any(|scheme| url.starts_with(scheme))
    {
        let context = "the address of a PostgreSQL store begins with `postgres://`: user, password, host and database follow";
        return Err(Error::new(ErrorKind::Misuse, context));
    }
    let options = PgConnectOptions::from_str(url).map_err(|error| failed(WHAT, error))?;
    Ok(match options.get_application_name() {
        Some(_) => options,
        None => options.application_name("tidings"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_makes_no_sense_is_refused_and_not_shown() {
        for url in [
            "localhost/secret",
            "postgres://u:secret@h:port/d",
            "mysql://u:secret@h/d",
        ] {
            let error = options(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Misuse, "{url}");
            assert!(!error.chain().contains("secret"), "{}", error.chain());
        }
        assert!(options("postgresql://h/d?sslmode=require").is_ok());
    }
}
