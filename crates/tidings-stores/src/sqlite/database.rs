//! The statements of the stores, carried out by SQLite.

use std::time::Duration;

use sqlx::{Row, SqlitePool, sqlite::SqliteRow};
use tidings_core::{error::Result, transport::BoxFuture};

use super::sql;
use crate::store::{self, Found, Kept, Table, failed, millis};

/// The file.
#[derive(Debug)]
pub(super) struct Database {
    pub(super) pool: SqlitePool,
}

impl store::Database for Database {
    fn take<'a>(
        &'a self,
        table: Table,
        key: &'a str,
        lease: Duration,
    ) -> BoxFuture<'a, Result<Option<i64>>> {
        Box::pin(async move {
            // To its last row: a statement that is not run to its end is not committed.
            let tokens: Vec<i64> = sqlx::query_scalar(sql::take(table))
                .bind(key)
                .bind(millis(lease))
                .fetch_all(&self.pool)
                .await
                .map_err(|error| failed("cannot take a lease", error))?;
            Ok(tokens.first().copied())
        })
    }

    fn renew(
        &self,
        table: Table,
        tokens: Vec<i64>,
        lease: Duration,
    ) -> BoxFuture<'_, Result<Vec<i64>>> {
        Box::pin(async move {
            sqlx::query_scalar(sql::renew(table))
                .bind(json(&tokens))
                .bind(millis(lease))
                .fetch_all(&self.pool)
                .await
                .map_err(|error| failed("cannot renew leases", error))
        })
    }

    fn give_back(&self, table: Table, tokens: Vec<i64>) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            sqlx::query(sql::give_back(table))
                .bind(json(&tokens))
                .execute(&self.pool)
                .await
                .map_err(|error| failed("cannot give leases back", error))?;
            Ok(())
        })
    }

    fn find<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Found>>> {
        Box::pin(async move {
            let row = sqlx::query(sql::FIND)
                .bind(key)
                .fetch_optional(&self.pool)
                .await;
            row.and_then(|row| row.as_ref().map(found).transpose())
                .map_err(|error| failed("cannot look a reply up", error))
        })
    }

    fn keep(&self, kept: Kept) -> BoxFuture<'_, Result<bool>> {
        Box::pin(async move {
            let (content_type, bytes) = store::to_columns(kept.reply);
            let done = sqlx::query(sql::KEEP)
                .bind(kept.token)
                .bind(millis(kept.how_long))
                .bind(content_type)
                .bind(bytes)
                .execute(&self.pool)
                .await
                .map_err(|error| failed("cannot keep a reply", error))?;
            Ok(done.rows_affected() == 1)
        })
    }

    fn sweep(&self, replies: u32) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let locks = sqlx::query(sql::SWEEP_LOCKS);
            let expired = sqlx::query(sql::SWEEP_REPLIES);
            let oldest = sqlx::query(sql::SWEEP_OLDEST).bind(i64::from(replies));
            for statement in [locks, expired, oldest] {
                statement
                    .execute(&self.pool)
                    .await
                    .map_err(|error| failed("cannot remove what has expired", error))?;
            }
            Ok(())
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.pool.close())
    }
}

fn found(row: &SqliteRow) -> sqlx::Result<Found> {
    if !row.try_get::<bool, _>(0)? {
        return Ok(Found::Claimed);
    }
    let reply = store::from_columns(row.try_get(1)?, row.try_get(2)?);
    Ok(Found::Kept(reply))
}

/// Numbers as a list in JSON.
fn json(tokens: &[i64]) -> String {
    let numbers: Vec<_> = tokens.iter().map(ToString::to_string).collect();
    format!("[{}]", numbers.join(","))
}
