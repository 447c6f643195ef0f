//! What can be wrong with a file, in words: the thing, the cause and the next step.
//!
//! Here it is only said; that a file which is refused stays as it is, is up to those who say it.

use std::path::Path;

use tidings_core::{Error, ErrorKind};

pub(super) fn unreadable(path: &Path, error: std::io::Error) -> Error {
    let context = format!(
        "cannot read the broker's file `{}`: check that its folder exists and may be read",
        path.display()
    );
    Error::new(ErrorKind::Unavailable, context).with_source(error)
}

/// For files that must not be touched.
pub(super) fn unusable(path: &Path, what: &str, next: &str) -> Error {
    let path = path.display();
    Error::new(
        ErrorKind::Corrupt,
        format!("`{path}` {what}: {next}; it has not been changed"),
    )
}

pub(super) fn damaged(path: &Path, how: &str) -> Error {
    unusable(
        path,
        &format!("is damaged: {how}"),
        "restore a backup, or save what `sqlite3 FILE .recover` finds",
    )
}

/// What an error of SQLite means for whoever opens the file.
pub(super) fn failed(path: &Path, doing: &str, error: rusqlite::Error) -> Error {
    use rusqlite::ErrorCode::{CannotOpen, DatabaseCorrupt, DiskFull, NotADatabase};

    match error.sqlite_error_code() {
        Some(DatabaseCorrupt | NotADatabase) => {
            damaged(path, &error.to_string()).with_source(error)
        }
        code => {
            let kind = if code == Some(DiskFull) {
                ErrorKind::Full
            } else {
                ErrorKind::Unavailable
            };
            let next = match code {
                Some(DiskFull) => "make room on the disk or raise `max_size_mb`",
                Some(CannotOpen) => "check that its folder exists and may be written",
                _ => "check the disk and who else uses the file",
            };
            Error::new(
                kind,
                format!(
                    "cannot {doing} the broker's file `{}`: {next}",
                    path.display()
                ),
            )
            .with_source(error)
        }
    }
}
