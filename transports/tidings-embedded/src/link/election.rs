//! Who owns the file: an advisory lock beside it, which the kernel releases however its holder ends.
//!
//! The lock, not the socket, decides. A socket can be left over by a killed process; a lock cannot. The lock
//! file is never deleted, because two processes could then hold locks on two files of one name.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
};

use tidings_core::{Error, ErrorKind, Result};

use super::socket::MAX_PATH;

/// The places that belong to one durable file. The same for every process, however it spells the path.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The durable file.
    pub(super) file: PathBuf,
    /// Its lock.
    pub(super) lock: PathBuf,
    /// Where its owner listens.
    pub(super) socket: PathBuf,
}

impl Place {
    /// The places of the durable file `path`, whose directory must exist.
    pub(super) fn of(path: &Path) -> Result<Self> {
        let file = canonical(path).map_err(|source| {
            Error::new(
                ErrorKind::Unavailable,
                format!(
                    "cannot find the directory of `embedded:{}`: create it or use another path",
                    path.display()
                ),
            )
            .with_source(source)
        })?;
        Ok(Self {
            lock: beside(&file, ".lock"),
            socket: socket_of(&file),
            file,
        })
    }

    /// Takes the lock if nobody holds it.
    pub(super) fn try_own(&self) -> Result<Option<Lock>> {
        let denied = |source: io::Error| {
            // Not worth waiting for: it is somebody's decision.
            let kind = match source.kind() {
                io::ErrorKind::PermissionDenied => ErrorKind::Denied,
                _ => ErrorKind::Unavailable,
            };
            let context = format!(
                "cannot lock `{}`: every process that uses the file must be able to write it and its folder",
                self.lock.display()
            );
            Error::new(kind, context).with_source(source)
        };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&self.lock)
            .map_err(denied)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock {
                _file: file,
                socket: self.socket.clone(),
            })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(denied(source)),
        }
    }
}

/// The right to be the owner. Dropping it gives the right away: drop it after everything that writes the file.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
    socket: PathBuf,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Still under the lock, so it is ours. A socket that stays behind costs the next process a vain attempt.
        if let Err(error) = fs::remove_file(&self.socket)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::debug!(%error, socket = %self.socket.display(), "cannot remove the socket");
        }
    }
}

/// The one spelling of a path, also before the file exists.
fn canonical(path: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        found => return found,
    }
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path names no file"))?;
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    Ok(fs::canonicalize(directory)?.join(name))
}

fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Beside the file, or under a short name in the directory for temporary files if that would be too long for
/// a socket. The processes must then agree on that directory.
fn socket_of(file: &Path) -> PathBuf {
    let socket = beside(file, ".sock");
    if socket.as_os_str().len() <= MAX_PATH {
        return socket;
    }
    let hash = fnv1a(file.as_os_str().as_encoded_bytes());
    std::env::temp_dir().join(format!("tidings-{hash:016x}.sock"))
}

/// FNV-1a: every version of every process must find the same name, which the standard hasher does not promise.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(name: &str) -> PathBuf {
        let directory =
            std::env::temp_dir().join(format!("tidings-election-{name}-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        directory
    }

    #[test]
    fn one_of_two_wins_and_the_other_follows() {
        let place = Place::of(&directory("two").join("queue.db")).unwrap();
        let first = place.try_own().unwrap();
        assert!(first.is_some());
        assert!(place.try_own().unwrap().is_none());
        drop(first);
        assert!(place.try_own().unwrap().is_some());
    }

    #[test]
    fn every_spelling_of_a_path_is_one_place() {
        let directory = directory("spelling");
        let plain = Place::of(&directory.join("queue.db")).unwrap();
        let detour = Place::of(&directory.join(".").join("queue.db")).unwrap();
        assert_eq!(plain.lock, detour.lock);
        assert_eq!(plain.socket, beside(&plain.file, ".sock"));
    }

    #[test]
    fn a_long_path_gets_a_short_socket() {
        let directory = directory("long").join("d".repeat(MAX_PATH));
        fs::create_dir_all(&directory).unwrap();
        let place = Place::of(&directory.join("queue.db")).unwrap();
        assert!(
            place.socket.as_os_str().len() <= MAX_PATH,
            "{:?}",
            place.socket
        );
        let other = Place::of(&directory.join("other.db")).unwrap();
        assert_ne!(place.socket, other.socket);
    }

    #[test]
    fn a_missing_directory_is_named() {
        let error = Place::of(Path::new("/nowhere/at/all/queue.db")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(
            error.to_string().contains("/nowhere/at/all/queue.db"),
            "{error}"
        );
    }
}
