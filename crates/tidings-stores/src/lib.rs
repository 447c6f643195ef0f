//! Stores that the processes of a service share: locks with leases, and replies that are remembered.
//!
//! `Postgres` keeps them in a PostgreSQL database, `Sqlite` in a file for the processes of one machine. Both have
//! one face: open it, then give `locks` to the server and `replies` to the
//! idempotency layer. The tables are made at the first opening.
//!
//! ```no_run
//! # #[cfg(feature = "sqlite")]
//! # async fn open() -> tidings_core::Result<()> {
//! let store = tidings_stores::Sqlite::open("/var/lib/shop/store.sqlite").await?;
//! let (locks, replies) = (store.locks(), store.replies());
//! # Ok(()) }
//! ```
//!
//! **Locks.** A lock is a row with a lease, by the clock of the database. One task renews the leases of a process, so a
//! process that dies is forgotten within `Settings::lease`. Every holder gets a fencing token, which is larger than
//! that of every holder of the key before it. In one process whoever asks first gets a key first; between processes it
//! goes to whoever asks first after it was given back, and PostgreSQL tells those who wait when that is.
//!
//! **Replies** are kept as they were sent, so they may hold secrets; lock keys hold the values that requests are locked
//! by. Let nobody read the tables who may not read the requests. Replies are bounded in size and number, and go when
//! their time is over.
//!
//! This crate deliberately holds no data of users, and knows no server and no convention.

#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod store;

#[cfg(feature = "postgres")]
pub use crate::postgres::Postgres;
#[cfg(feature = "sqlite")]
pub use crate::sqlite::Sqlite;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use crate::store::Settings;
