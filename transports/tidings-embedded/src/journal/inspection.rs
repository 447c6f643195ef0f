//! A look at a file and its log before SQLite sees them, which would take an empty file for new and a damaged log for
//! a short one. Nothing is changed here.

use std::{
    fs::{self, File},
    io::Read,
    path::Path,
};

use rusqlite::{Connection, OpenFlags};
use tidings_core::Result;

use super::{
    failure::{damaged, unreadable, unusable},
    log::{self, Log},
    schema,
};

/// What there is.
#[derive(Debug)]
pub(super) struct Found {
    /// Of the file; zero if there is none.
    pub(super) size: u64,
    /// Beside it.
    pub(super) log: Log,
}

/// Looks at a file and its log.
///
/// # Errors
/// `Corrupt` for what is not SQLite's or is damaged, `Unavailable` for what cannot be read.
pub(super) fn inspect(path: &Path) -> Result<Found> {
    let mut header = Vec::new();
    let size = match File::open(path) {
        Ok(mut file) => {
            let read = file.by_ref().take(16).read_to_end(&mut header);
            read.and_then(|_| file.metadata())
                .map_err(|error| unreadable(path, error))?
                .len()
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
        Err(error) => return Err(unreadable(path, error)),
    };
    if size > 0 && header != b"SQLite format 3\0" {
        return Err(unusable(
            path,
            "is not an SQLite file",
            "choose another path, or move the file away",
        ));
    }
    let log = log::look(path).map_err(|error| unreadable(&log::path_of(path), error))?;
    if size == 0 && log != Log::Missing {
        return Err(damaged(
            path,
            "it is empty, and there is a log of changes to it",
        ));
    }
    if let Log::Broken { offset } = log {
        let log = log::path_of(path);
        if was_in_order(path) {
            return Err(damaged(
                &log,
                &format!(
                    "what is at byte {offset} does not fit, and changes that were complete come after it"
                ),
            ));
        }
        // A power cut takes the latest writes in any order; `normal` lets it take more than one transaction.
        tracing::warn!(log = %log.display(), offset, "the last changes before a power cut are lost, as sync=normal allows");
    }
    Ok(Found { size, log })
}

/// Whether every transaction in the log was certainly on the disk, or at least with the system that still runs, before
/// the next one was begun. The file says it as of its last checkpoint, so without its log.
fn was_in_order(path: &Path) -> bool {
    let written_by = || -> Option<(String, String)> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_URI
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let file = Connection::open_with_flags(without_log(path)?, flags).ok()?;
        file.query_row(schema::WHO_WRITES_LOG, [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .ok()
    };
    written_by().is_some_and(|(sync, of_writer)| {
        sync == "full" || (!of_writer.is_empty() && of_writer == boot())
    })
}

/// The name under which SQLite reads a file as if nobody could ever write it.
fn without_log(path: &Path) -> Option<String> {
    let path = fs::canonicalize(path).ok()?;
    let escaped = path
        .to_str()?
        .replace('%', "%25")
        .replace('?', "%3f")
        .replace('#', "%23");
    Some(format!("file:{escaped}?immutable=1"))
}

/// A name for the time since the system was started; empty where there is none.
pub(super) fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|boot| boot.trim().to_owned())
        .unwrap_or_default()
}
