//! Every statement of the store in PostgreSQL.

use sqlx::{AssertSqlSafe, PgPool};

use crate::store::Table;

/// What must be there. The last one is made last, in the same transaction.
const ARE_THERE: &str = "SELECT to_regclass('tidings_replies') IS NOT NULL";

/// Several processes may open the store at the same time, and `IF NOT EXISTS` alone does not keep them apart. The number
/// is ours: it spells the name in ASCII.
const ALONE: &str = "SELECT pg_advisory_xact_lock(x'74696469'::int)";

/// A sequence never goes back. Rows of locks that were given back stay for a while, so that whoever asked at the same
/// time finds them and draws its token afterwards.
const TABLES: &str = "
    CREATE SEQUENCE IF NOT EXISTS tidings_lock_tokens;
    CREATE TABLE IF NOT EXISTS tidings_locks (
        key text PRIMARY KEY,
        token bigint NOT NULL UNIQUE,
        until timestamptz NOT NULL,
        freed timestamptz
    ) WITH (fillfactor = 50);
    CREATE SEQUENCE IF NOT EXISTS tidings_reply_tokens;
    CREATE TABLE IF NOT EXISTS tidings_replies (
        key text PRIMARY KEY,
        token bigint NOT NULL UNIQUE,
        until timestamptz NOT NULL,
        kept boolean NOT NULL DEFAULT false,
        content_type text,
        payload bytea
    );
    CREATE INDEX IF NOT EXISTS tidings_replies_until ON tidings_replies (until);
";

/// Makes the tables, unless they are there: then the user needs no right to make any.
pub(super) async fn migrate(pool: &PgPool) -> sqlx::Result<()> {
    if sqlx::query_scalar(ARE_THERE).fetch_one(pool).await? {
        return Ok(());
    }
    let mut transaction = pool.begin().await?;
    sqlx::query(ALONE).execute(&mut *transaction).await?;
    sqlx::raw_sql(AssertSqlSafe(TABLES))
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await
}

/// Parameters: key, lease in milliseconds. The token of a row that changes hands is drawn when that row is ours to
/// change, so that it is larger than that of whoever had it in the meantime.
pub(super) fn take(table: Table) -> &'static str {
    match table {
        Table::Locks => {
            "INSERT INTO tidings_locks AS held (key, token, until)
             VALUES ($1, nextval('tidings_lock_tokens'), clock_timestamp() + $2 * interval '1 millisecond')
             ON CONFLICT (key) DO UPDATE SET token = nextval('tidings_lock_tokens'), freed = NULL,
                 until = clock_timestamp() + $2 * interval '1 millisecond'
             WHERE held.freed IS NOT NULL OR held.until <= clock_timestamp()
             RETURNING token"
        }
        Table::Replies => {
            "INSERT INTO tidings_replies AS held (key, token, until)
             VALUES ($1, nextval('tidings_reply_tokens'), clock_timestamp() + $2 * interval '1 millisecond')
             ON CONFLICT (key) DO UPDATE SET token = nextval('tidings_reply_tokens'), kept = false,
                 content_type = NULL, payload = NULL,
                 until = clock_timestamp() + $2 * interval '1 millisecond'
             WHERE held.until <= clock_timestamp()
             RETURNING token"
        }
    }
}

/// Parameters: tokens, lease in milliseconds.
pub(super) fn renew(table: Table) -> &'static str {
    match table {
        Table::Locks => {
            "UPDATE tidings_locks SET until = clock_timestamp() + $2 * interval '1 millisecond'
             WHERE token = ANY($1) AND freed IS NULL RETURNING token"
        }
        Table::Replies => {
            "UPDATE tidings_replies SET until = clock_timestamp() + $2 * interval '1 millisecond'
             WHERE token = ANY($1) AND NOT kept RETURNING token"
        }
    }
}

/// Parameter: tokens. Those who wait for the keys are told.
pub(super) fn give_back(table: Table) -> &'static str {
    match table {
        Table::Locks => {
            "WITH free AS (UPDATE tidings_locks SET freed = clock_timestamp()
                 WHERE token = ANY($1) AND freed IS NULL RETURNING key)
             SELECT pg_notify('tidings.locks', key) FROM free"
        }
        Table::Replies => {
            "WITH free AS (DELETE FROM tidings_replies WHERE token = ANY($1) AND NOT kept RETURNING key)
             SELECT pg_notify('tidings.replies', key) FROM free"
        }
    }
}

/// The channels on which keys that were given back are told, by table.
pub(super) const LOCKS: &str = "tidings.locks";
pub(super) const REPLIES: &str = "tidings.replies";

/// Parameter: key.
pub(super) const FIND: &str = "SELECT kept, content_type, payload FROM tidings_replies
    WHERE key = $1 AND until > clock_timestamp()";

/// Parameters: token, how long in milliseconds, content type, payload. Those who wait for the reply are told.
pub(super) const KEEP: &str = "WITH kept AS (UPDATE tidings_replies
        SET kept = true, until = clock_timestamp() + $2 * interval '1 millisecond', content_type = $3, payload = $4
        WHERE token = $1 AND NOT kept RETURNING key)
    SELECT pg_notify('tidings.replies', key) FROM kept";

/// Long after anybody may still have been asking for the key with a token drawn before.
pub(super) const SWEEP_LOCKS: &str = "DELETE FROM tidings_locks
    WHERE coalesce(freed, until) < clock_timestamp() - interval '10 minutes'";

pub(super) const SWEEP_REPLIES: &str =
    "DELETE FROM tidings_replies WHERE until <= clock_timestamp()";

/// Parameter: how many are left. Tokens are given in order, so those that are this far behind are the oldest.
pub(super) const SWEEP_OLDEST: &str = "DELETE FROM tidings_replies
    WHERE kept AND token <= (SELECT max(token) FROM tidings_replies) - $1";
