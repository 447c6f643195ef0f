//! The socket between the processes of one machine: a unix socket where there is one.
//!
//! The only file of the link that knows the operating system. Elsewhere than on unix a file can be used by one
//! process at a time: its owner finds nothing to listen on, and a second process is told so.

use std::path::Path;

use tidings_core::{Error, ErrorKind};

#[cfg(unix)]
pub(super) use self::unix::{Listener, Stream, connect};

#[cfg(not(unix))]
pub(super) use self::elsewhere::{Listener, Stream, connect};

/// The longest path that every unix accepts for a socket (104 bytes with the final zero on some).
pub(super) const MAX_PATH: usize = 100;

#[cfg(unix)]
fn unavailable(what: &str, path: &Path, source: std::io::Error) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        format!(
            "cannot {what} the socket `{}` of an embedded broker",
            path.display()
        ),
    )
    .with_source(source)
}

#[cfg(unix)]
mod unix {
    //! Unix sockets, for their owner only (mode 0600).

    use std::{
        fs, io,
        os::unix::fs::{MetadataExt, PermissionsExt},
        path::Path,
    };

    use tidings_core::{Error, ErrorKind, Result};
    use tokio::net::{UnixListener, UnixStream};

    use super::unavailable;

    /// One connection.
    pub(in crate::link) type Stream = UnixStream;

    /// Where the other processes knock.
    #[derive(Debug)]
    pub(in crate::link) struct Listener(UnixListener);

    impl Listener {
        /// Listens at `path`, replacing what a dead process left there.
        ///
        /// Call it only while holding the lock: whatever is at `path` then belongs to nobody. The socket gets
        /// its mode under another name, so nobody can connect before the mode is set.
        pub(in crate::link) fn bind(path: &Path) -> Result<Self> {
            let fresh = path.with_extension("sock~");
            let bind = || -> io::Result<UnixListener> {
                match fs::remove_file(&fresh) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
                let listener = UnixListener::bind(&fresh)?;
                fs::set_permissions(&fresh, fs::Permissions::from_mode(0o600))?;
                fs::rename(&fresh, path)?;
                Ok(listener)
            };
            bind()
                .map(Self)
                .map_err(|source| unavailable("listen on", path, source))
        }

        /// The next connection.
        pub(in crate::link) async fn accept(&self) -> io::Result<Stream> {
            self.0.accept().await.map(|(stream, _)| stream)
        }
    }

    /// Connects to the owner of the file whose lock is `lock`.
    ///
    /// The process at the other end must belong to the user of the lock file (or to root): a socket in a
    /// directory for everybody could be anybody's.
    pub(in crate::link) async fn connect(path: &Path, lock: &Path) -> Result<Stream> {
        let stream = UnixStream::connect(path)
            .await
            .map_err(|source| unavailable("connect to", path, source))?;
        let trusted = || -> io::Result<bool> {
            let peer = stream.peer_cred()?.uid();
            Ok(peer == 0 || peer == fs::metadata(lock)?.uid())
        };
        if trusted().map_err(|source| unavailable("identify the owner of", path, source))? {
            return Ok(stream);
        }
        Err(Error::new(
            ErrorKind::Denied,
            format!(
                "the socket `{}` belongs to another user than `{}`: remove it, or use the file as its user",
                path.display(),
                lock.display()
            ),
        ))
    }
}

#[cfg(not(unix))]
mod elsewhere {
    //! No sockets: one process at a time.

    use std::{future::pending, io, path::Path};

    use tidings_core::{Error, ErrorKind, Result};

    /// One connection, which never comes about.
    pub(in crate::link) type Stream = tokio::io::DuplexStream;

    /// Where nobody knocks.
    #[derive(Debug)]
    pub(in crate::link) struct Listener;

    impl Listener {
        /// Always succeeds: the owner needs nobody.
        pub(in crate::link) fn bind(_path: &Path) -> Result<Self> {
            Ok(Self)
        }

        /// Never returns.
        pub(in crate::link) async fn accept(&self) -> io::Result<Stream> {
            pending().await
        }
    }

    /// Always fails.
    #[expect(clippy::unused_async, reason = "has the signature of its unix twin")]
    pub(in crate::link) async fn connect(_path: &Path, lock: &Path) -> Result<Stream> {
        Err(Error::new(
            ErrorKind::Unavailable,
            format!(
                "another process holds `{}`, and on this operating system one process at a time may use an embedded file",
                lock.display()
            ),
        ))
    }
}
