//! The signals that end a service: the first drains it, the second does not wait.

use tidings_core::error::{Error, ErrorKind, Result};

/// Listens for SIGTERM and SIGINT from the moment it is made, for programs that run several servers.
pub struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    /// Starts to listen.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] if the operating system does not let it.
    #[cfg(unix)]
    pub fn listen() -> Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let terminate = signal(SignalKind::terminate()).map_err(cannot_listen)?;
        let interrupt = signal(SignalKind::interrupt()).map_err(cannot_listen)?;
        Ok(Self {
            terminate,
            interrupt,
        })
    }

    /// The next signal's name.
    ///
    /// # Cancel safety
    /// Yes: a signal that arrived is seen by the next call.
    #[cfg(unix)]
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM", // Cancel-safe: promised by `Signal::recv`.
            _ = self.interrupt.recv() => "SIGINT", // Cancel-safe: promised by `Signal::recv`.
        }
    }

    /// Starts to listen.
    ///
    /// # Errors
    /// Never here.
    #[cfg(not(unix))]
    pub fn listen() -> Result<Self> {
        Ok(Self {})
    }

    /// The next signal's name.
    #[cfg(not(unix))]
    pub async fn next(&mut self) -> &'static str {
        match tokio::signal::ctrl_c().await {
            Ok(()) => "Ctrl-C",
            Err(_) => std::future::pending().await,
        }
    }
}

#[cfg(unix)]
fn cannot_listen(error: std::io::Error) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "cannot listen for SIGTERM and SIGINT",
    )
    .with_source(error)
}

impl std::fmt::Debug for Signals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signals").finish_non_exhaustive()
    }
}
