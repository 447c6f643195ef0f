//! What a failure of a database means.

use tidings_core::error::{Error, ErrorKind};

/// What could not be done, why, and what to do about it. Neither the address nor a value of a row is shown.
pub(crate) fn failed(what: &str, error: sqlx::Error) -> Error {
    let kind = kind(&error);
    let advice = match kind {
        ErrorKind::Unauthenticated => "check the user and its password",
        ErrorKind::Denied => "check the user's rights",
        ErrorKind::Misuse => "check the address",
        ErrorKind::Corrupt => "it is damaged, or something else than a store",
        ErrorKind::Full => "make room for the database",
        _ => "check that the database is up and can be reached",
    };
    Error::new(kind, format!("{what}: {advice}")).with_source(error)
}

fn kind(error: &sqlx::Error) -> ErrorKind {
    match error {
        sqlx::Error::Configuration(_) => ErrorKind::Misuse,
        sqlx::Error::PoolClosed => ErrorKind::Closed,
        sqlx::Error::Database(refusal) => match refusal.code().as_deref() {
            // PostgreSQL: a wrong password, a user that is not let in.
            Some("28P01" | "28000") => ErrorKind::Unauthenticated,
            // PostgreSQL: a missing right. SQLite: a file that cannot be opened, or only be read.
            Some("42501" | "8" | "14") => ErrorKind::Denied,
            // PostgreSQL: no disk, no memory. SQLite: no disk.
            Some("53100" | "53200" | "13") => ErrorKind::Full,
            // SQLite: damaged, or something else.
            Some("11" | "26") => ErrorKind::Corrupt,
            _ => ErrorKind::Unavailable,
        },
        _ => ErrorKind::Unavailable,
    }
}

/// The database did not answer.
pub(crate) fn too_slow(what: &str) -> Error {
    let context = format!("{what}: the database does not answer, check that it is up");
    Error::new(ErrorKind::Unavailable, context)
}

/// The store was closed while somebody waited.
pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the store has been closed")
}
