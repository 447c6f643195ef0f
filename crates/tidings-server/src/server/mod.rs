//! A server from start to end: declared, consuming, draining, ended.

pub(crate) mod plan;
mod running;

use std::{sync::Arc, time::Duration};

use tidings_core::{
    Call, Deadline, Error, ErrorKind, Reply, convention::Convention, error::Result,
    transport::Transport,
};
use tidings_router::Router;
use tower_layer::Layer;
use tower_service::Service;
use tracing::{info, warn};

pub use self::running::{Drained, Running};
use crate::{builder::ServerBuilder, signals::Signals, stack::Innermost};

/// How long the transport may take to close when handlers had to be ended.
const IMPATIENT: Duration = Duration::from_secs(1);

/// Runs a router's subscribers over a transport, as a convention says.
#[derive(Clone, Copy, Debug)]
pub struct Server;

impl Server {
    /// The settings of a server over this transport and convention.
    #[must_use]
    pub fn builder(transport: Arc<dyn Transport>, convention: impl Convention) -> ServerBuilder {
        ServerBuilder::new(transport, Arc::new(convention))
    }
}

impl<L> ServerBuilder<L> {
    /// Starts, runs until SIGTERM or SIGINT, drains, and closes the transport. A second signal does not wait
    /// for handlers: their messages come again.
    ///
    /// # Errors
    /// What [`start`](Self::start) says; [`ErrorKind::Timeout`] if handlers had to be ended at the end of the
    /// grace period or by a second signal.
    ///
    /// # Cancel safety
    /// Dropping the future ends the handlers at once; their messages come again.
    pub async fn run(self, router: Router) -> Result<()>
    where
        L: Layer<Innermost> + 'static,
        L::Service:
            Service<Call, Response = Reply, Error = Error, Future: Send> + Clone + Send + 'static,
    {
        // Listen before starting: a signal during the start must not kill the process half-way.
        let mut signals = Signals::listen()?;
        let running = tokio::select! {
            running = self.start(router) => running?,
            signal = signals.next() => return Err(interrupted(signal)),
        };
        running.until(signals).await
    }
}

impl Running {
    /// Waits for SIGTERM or SIGINT, drains, and closes the transport: the second half of
    /// [`ServerBuilder::run`], for services that need the server itself before or meanwhile. A signal that
    /// comes before this is called ends the process at once; nothing is lost by that.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`] if handlers had to be ended at the end of the grace period or by a second signal.
    ///
    /// # Cancel safety
    /// Yes: the server goes on as it is.
    pub async fn until_signal(&self) -> Result<()> {
        self.until(Signals::listen()?).await
    }

    async fn until(&self, mut signals: Signals) -> Result<()> {
        let grace = self.grace();
        info!("ready");
        let signal = signals.next().await;
        info!(signal, ?grace, "draining; a second signal does not wait");
        let drained = tokio::select! {
            drained = self.drain(grace) => drained,
            signal = signals.next() => {
                warn!(signal, "ended by a second signal; unfinished messages come again");
                self.abort()
            }
        };
        // Whoever does not wait for handlers any more does not wait for the transport either.
        let patience = if drained.complete { grace } else { IMPATIENT };
        tokio::select! {
            closed = self.transport().close(Deadline::after(patience)) => closed?,
            signal = signals.next() => warn!(signal, "ended while the transport was closing"),
        }
        drained.into_result()
    }
}

fn interrupted(signal: &str) -> Error {
    Error::new(
        ErrorKind::Closed,
        format!("{signal} before the server had started"),
    )
}
