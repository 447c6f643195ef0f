//! SIGTERM and SIGINT: the first asks a role to drain, the second ends it at once.

use anyhow::{Result, bail};
use tidings::server::Signals;
use tokio::sync::watch;

/// Whether a role was asked to end. Cloning is cheap.
#[derive(Clone, Debug)]
pub(crate) struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Resolves once the role was asked to end.
    ///
    /// # Cancel safety
    /// Yes: what was asked stays asked.
    pub(crate) async fn requested(&self) {
        if self.0.clone().wait_for(|asked| *asked).await.is_err() {
            // Nobody can ask any more.
            std::future::pending::<()>().await;
        }
    }

    /// Whether the role was asked to end.
    pub(crate) fn is_requested(&self) -> bool {
        *self.0.borrow()
    }
}

/// Runs a role and tells it of the first signal. A second one does not wait for it.
pub(crate) async fn on_signals<T, F>(role: impl FnOnce(Stop) -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let mut signals = Signals::listen()?;
    let (ask, asked) = watch::channel(false);
    let mut role = Box::pin(role(Stop(asked)));
    loop {
        tokio::select! {
            done = &mut role => return done, // Cancel-safe: polled again by the next round.
            _ = signals.next() => {} // Cancel-safe: promised by `Signals::next`.
        }
        if ask.send_replace(true) {
            bail!("ended by a second signal before it had drained");
        }
    }
}
