//! SIGINT and SIGTERM: the first asks a command to end and give everything back, the second does not wait.

use anyhow::{Result, bail};
use tidings::server::Signals;
use tokio::sync::watch;

/// Whether the command was asked to end. Cloning is cheap.
#[derive(Clone, Debug)]
pub(crate) struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Resolves once the command was asked to end.
    ///
    /// # Cancel safety
    /// Yes: what was asked stays asked.
    pub(crate) async fn requested(&self) {
        if self.0.clone().wait_for(|asked| *asked).await.is_err() {
            // Nobody can ask any more.
            std::future::pending::<()>().await;
        }
    }

    /// Whether the command was asked to end.
    pub(crate) fn is_requested(&self) -> bool {
        *self.0.borrow()
    }
}

/// Runs a command and tells it of the first signal.
pub(crate) async fn on_signals<T, F>(command: impl FnOnce(Stop) -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let mut signals = Signals::listen()?;
    let (ask, asked) = watch::channel(false);
    let mut command = Box::pin(command(Stop(asked)));
    loop {
        tokio::select! {
            done = &mut command => return done, // Cancel-safe: polled again by the next round.
            _ = signals.next() => {} // Cancel-safe: promised by `Signals::next`.
        }
        if ask.send_replace(true) {
            bail!("ended by a second signal: what was not settled comes again");
        }
    }
}
