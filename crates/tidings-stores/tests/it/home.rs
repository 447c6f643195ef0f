//! A database of a test's own: a file, or a schema on the server that `cargo xtask test` starts.

use std::{path::PathBuf, sync::Arc, time::Duration};

use sqlx::{
    ConnectOptions, Connection, PgConnection, SqliteConnection, sqlite::SqliteConnectOptions,
};
use tidings_core::{lock::LockStore, reply_store::ReplyStore};
use tidings_stores::{Postgres, Settings, Sqlite};

/// Longer than anything here takes.
pub(crate) const LONG: Duration = Duration::from_secs(60);
/// A lease that is over soon.
pub(crate) const SHORT_LEASE: Duration = Duration::from_millis(600);

const VARIABLE: &str = "TIDINGS_TEST_POSTGRES_URL";

pub(crate) enum Home {
    Sqlite { folder: PathBuf },
    Postgres { server: String, name: String },
}

/// An open store.
#[derive(Clone, Debug)]
pub(crate) enum Store {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

/// A connection beside those of the stores.
pub(crate) enum Beside {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Home {
    pub(crate) fn sqlite() -> Self {
        let name = format!("tidings-stores-{}", uuid::Uuid::new_v4());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder).unwrap();
        Self::Sqlite { folder }
    }

    /// `None` where there is no server; then the test says so and ends, and on CI it fails.
    pub(crate) async fn postgres() -> Option<Self> {
        let Some(server) = variable(VARIABLE) else {
            let is_ci = variable("CI").is_some_and(|ci| ci != "0" && ci != "false");
            assert!(!is_ci, "{VARIABLE} is not set: run `cargo xtask test`");
            println!(
                "SKIPPED: PostgreSQL cannot be had: {VARIABLE} is not set, run `cargo xtask test`"
            );
            return None;
        };
        let name = format!("tidings_{}", uuid::Uuid::new_v4().simple());
        let home = Self::Postgres { server, name };
        home.as_administrator(&format!("CREATE SCHEMA {}", home.name()))
            .await;
        Some(home)
    }

    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Sqlite { .. } => "main",
            Self::Postgres { name, .. } => name,
        }
    }

    /// Where the store is. The name is that of the schema and that by which its connections are known.
    pub(crate) fn address(&self) -> String {
        match self {
            Self::Sqlite { folder } => folder.join("store.sqlite").display().to_string(),
            Self::Postgres { server, name } => {
                let and = if server.contains('?') { '&' } else { '?' };
                format!("{server}{and}application_name={name}&options[search_path]={name}")
            }
        }
    }

    pub(crate) async fn open(&self) -> Store {
        self.open_with(Settings::default()).await
    }

    pub(crate) async fn open_with(&self, settings: Settings) -> Store {
        let address = self.address();
        match self {
            Self::Sqlite { .. } => {
                Store::Sqlite(Sqlite::open_with(&address, settings).await.unwrap())
            }
            Self::Postgres { .. } => {
                Store::Postgres(Postgres::open_with(&address, settings).await.unwrap())
            }
        }
    }

    pub(crate) async fn beside(&self) -> Beside {
        match self {
            Self::Sqlite { .. } => {
                let options = SqliteConnectOptions::new().filename(self.address());
                let options = options.busy_timeout(Duration::from_secs(10));
                Beside::Sqlite(options.connect().await.unwrap())
            }
            Self::Postgres { .. } => {
                let address = self
                    .address()
                    .replace("application_name=", "application_name=beside_");
                Beside::Postgres(PgConnection::connect(&address).await.unwrap())
            }
        }
    }

    /// Cuts every connection of the stores.
    pub(crate) async fn cut(&self) {
        if let Self::Postgres { name, .. } = self {
            let all =
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name";
            self.as_administrator(&format!("{all} = '{name}'")).await;
        }
    }

    pub(crate) async fn remove(self) {
        self.as_administrator(&format!("DROP SCHEMA {} CASCADE", self.name()))
            .await;
    }

    async fn as_administrator(&self, statement: &str) {
        if let Self::Postgres { server, .. } = self {
            let mut connection = PgConnection::connect(server).await.unwrap();
            let statement = sqlx::AssertSqlSafe(statement.to_owned());
            sqlx::raw_sql(statement)
                .execute(&mut connection)
                .await
                .unwrap();
            connection.close().await.unwrap();
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Self::Sqlite { folder } = self {
            std::fs::remove_dir_all(folder).ok();
        }
    }
}

impl Store {
    pub(crate) fn locks(&self) -> Arc<dyn LockStore> {
        match self {
            Self::Sqlite(store) => store.locks(),
            Self::Postgres(store) => store.locks(),
        }
    }

    pub(crate) fn replies(&self) -> Arc<dyn ReplyStore> {
        match self {
            Self::Sqlite(store) => store.replies(),
            Self::Postgres(store) => store.replies(),
        }
    }

    pub(crate) async fn sweep(&self) {
        match self {
            Self::Sqlite(store) => store.sweep().await.unwrap(),
            Self::Postgres(store) => store.sweep().await.unwrap(),
        }
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(store) => store.close().await,
            Self::Postgres(store) => store.close().await,
        }
    }
}

impl Beside {
    pub(crate) async fn run(&mut self, statement: &'static str) {
        match self {
            Self::Sqlite(connection) => {
                sqlx::raw_sql(statement).execute(connection).await.unwrap();
            }
            Self::Postgres(connection) => {
                sqlx::raw_sql(statement).execute(connection).await.unwrap();
            }
        }
    }

    pub(crate) async fn number(&mut self, statement: &'static str) -> i64 {
        match self {
            Self::Sqlite(connection) => sqlx::query_scalar(statement)
                .fetch_one(connection)
                .await
                .unwrap(),
            Self::Postgres(connection) => sqlx::query_scalar(statement)
                .fetch_one(connection)
                .await
                .unwrap(),
        }
    }

    /// Keeps everybody else out of the tables until [`let_in`](Self::let_in).
    pub(crate) async fn keep_out(&mut self) {
        self.run(match self {
            Self::Sqlite(_) => "BEGIN EXCLUSIVE",
            Self::Postgres(_) => "BEGIN; LOCK TABLE tidings_locks, tidings_replies",
        })
        .await;
    }

    pub(crate) async fn let_in(&mut self) {
        self.run("COMMIT").await;
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "what the test run tells its tests is read here and nowhere else"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
