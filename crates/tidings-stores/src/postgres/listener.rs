//! Hears which keys were given back, in whatever process that was, and wakes those who wait for them here.
//!
//! It only makes waiting shorter: where it does not work, because a pooler between us and the database does not pass
//! notifications on, or while the connection is lost, those who wait ask again by themselves.

use std::time::Duration;

use sqlx::{PgPool, postgres::PgListener};
use tidings_core::tasks::Tasks;
use tracing::debug;

use super::sql::{LOCKS, REPLIES};
use crate::store::{Woken, jittered};

/// How long it waits before it tries to listen again.
const PAUSE: Duration = Duration::from_secs(5);

pub(super) fn start(tasks: &Tasks, pool: PgPool, woken: Woken) {
    let stopping = tasks.clone();
    tasks.spawn("listener", async move {
        tokio::select! {
            // Cancel-safe: what is not heard is found by asking.
            () = listen(pool, woken) => {}
            // Cancel-safe: it only looks.
            () = stopping.stopping() => {}
        }
    });
}

async fn listen(pool: PgPool, woken: Woken) {
    while !pool.is_closed() {
        if let Err(error) = hear(&pool, &woken).await {
            debug!(%error, "cannot listen to the database: those who wait ask by themselves");
        }
        tokio::time::sleep(jittered(PAUSE)).await;
    }
}

async fn hear(pool: &PgPool, woken: &Woken) -> sqlx::Result<()> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen_all([LOCKS, REPLIES]).await?;
    loop {
        let told = listener.recv().await?;
        match told.channel() {
            LOCKS => woken.locks.wake(told.payload()),
            _ => woken.replies.wake(told.payload()),
        }
    }
}
