//! Every statement of the store in SQLite. Times are milliseconds since the Unix epoch.

use sqlx::{AssertSqlSafe, SqlitePool};

use crate::store::Table;

/// The clock of the machine, in a statement.
macro_rules! now {
    () => {
        "CAST(unixepoch('subsec') * 1000 AS INTEGER)"
    };
}

/// `AUTOINCREMENT` never gives a number twice, also after its row is gone.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS tidings_locks (
        token INTEGER PRIMARY KEY AUTOINCREMENT,
        key TEXT NOT NULL UNIQUE,
        until INTEGER NOT NULL
    );
    CREATE TABLE IF NOT EXISTS tidings_replies (
        token INTEGER PRIMARY KEY AUTOINCREMENT,
        key TEXT NOT NULL UNIQUE,
        until INTEGER NOT NULL,
        kept INTEGER NOT NULL DEFAULT 0,
        content_type TEXT,
        payload BLOB
    );
    CREATE INDEX IF NOT EXISTS tidings_replies_until ON tidings_replies (until);
";

/// Makes the tables, unless they are there.
pub(super) async fn migrate(pool: &SqlitePool) -> sqlx::Result<()> {
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::raw_sql(AssertSqlSafe(TABLES))
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await
}

/// Parameters: key, lease. The row that it replaces is one whose time is over.
pub(super) fn take(table: Table) -> &'static str {
    match table {
        Table::Locks => concat!(
            "INSERT OR REPLACE INTO tidings_locks (key, until) SELECT ?1, ",
            now!(),
            " + ?2 WHERE NOT EXISTS (SELECT 1 FROM tidings_locks WHERE key = ?1 AND until > ",
            now!(),
            ") RETURNING token"
        ),
        Table::Replies => concat!(
            "INSERT OR REPLACE INTO tidings_replies (key, until) SELECT ?1, ",
            now!(),
            " + ?2 WHERE NOT EXISTS (SELECT 1 FROM tidings_replies WHERE key = ?1 AND until > ",
            now!(),
            ") RETURNING token"
        ),
    }
}

/// Parameters: tokens as JSON, lease.
pub(super) fn renew(table: Table) -> &'static str {
    match table {
        Table::Locks => concat!(
            "UPDATE tidings_locks SET until = ",
            now!(),
            " + ?2 WHERE token IN (SELECT value FROM json_each(?1)) RETURNING token"
        ),
        Table::Replies => concat!(
            "UPDATE tidings_replies SET until = ",
            now!(),
            " + ?2 WHERE token IN (SELECT value FROM json_each(?1)) AND NOT kept RETURNING token"
        ),
    }
}

/// Parameter: tokens as JSON.
pub(super) fn give_back(table: Table) -> &'static str {
    match table {
        Table::Locks => {
            "DELETE FROM tidings_locks WHERE token IN (SELECT value FROM json_each(?1))"
        }
        Table::Replies => {
            "DELETE FROM tidings_replies WHERE token IN (SELECT value FROM json_each(?1)) AND NOT kept"
        }
    }
}

/// Parameter: key.
pub(super) const FIND: &str = concat!(
    "SELECT kept, content_type, payload FROM tidings_replies WHERE key = ?1 AND until > ",
    now!()
);

/// Parameters: token, how long, content type, payload.
pub(super) const KEEP: &str = concat!(
    "UPDATE tidings_replies SET kept = 1, until = ",
    now!(),
    " + ?2, content_type = ?3, payload = ?4 WHERE token = ?1 AND NOT kept"
);

pub(super) const SWEEP_LOCKS: &str = concat!("DELETE FROM tidings_locks WHERE until <= ", now!());

pub(super) const SWEEP_REPLIES: &str =
    concat!("DELETE FROM tidings_replies WHERE until <= ", now!());

/// Parameter: how many are left. Tokens are given in order, so those that are this far behind are the oldest.
pub(super) const SWEEP_OLDEST: &str = "DELETE FROM tidings_replies WHERE kept
    AND token <= (SELECT max(token) FROM tidings_replies) - ?1";
