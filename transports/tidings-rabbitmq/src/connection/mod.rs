//! A connection that is made again for as long as somebody wants it.
//!
//! lapin's own recovery is left off: it does not bring back channels that the broker closed, nor consumers that it
//! cancelled, and it does not say when a connection is down. Here a connection is a series of *generations*. Each is one
//! lapin connection; when it ends, everything that belongs to it (channels, delivery tags) is dead, and whoever used it
//! waits for the next one with [`Supervised::up`].

mod backoff;
pub(crate) mod dial;
mod generation;
mod probe;
mod reactor;
pub(crate) mod server;
mod supervisor;
mod tls;

use std::sync::Arc;

use tidings_core::{Result, transport::BoxFuture};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub(crate) use self::{
    backoff::Backoff,
    generation::{Alarm, Generation},
    probe::Probe,
    reactor::Reactor,
};
use crate::{config::RabbitMqConfig, error};

/// What a connection is for. Two directions on one connection would let a broker that is short of memory, which
/// stops reading from publishers, stop the acks as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Consuming, declaring.
    Inbound,
    /// Publishing, and replies to requests that go out on it.
    Outbound,
}

/// What is done with a new generation before anybody else gets it.
pub(crate) type Restore = Arc<dyn Fn(Generation) -> BoxFuture<'static, Result<()>> + Send + Sync>;

/// A handle on one supervised connection.
#[derive(Clone, Debug)]
pub(crate) struct Supervised {
    role: Role,
    state: watch::Receiver<State>,
    stop: CancellationToken,
}

/// What a supervised connection is doing.
#[derive(Clone, Debug)]
pub(crate) enum State {
    /// Connected.
    Up(Generation),
    /// Being made again.
    Down {
        /// How many attempts there were since it last stayed up for a while.
        attempts: u32,
        /// Why it ended, or why the last attempt failed.
        reason: String,
    },
    /// Closed for good.
    Closed,
}

impl Supervised {
    /// Connects for the first time, and from then on whenever the connection is lost. Runs on the reactor.
    pub(crate) async fn open(
        config: Arc<RabbitMqConfig>,
        role: Role,
        restore: Restore,
        alarm: &Alarm,
        reactor: &Reactor,
    ) -> Result<Self> {
        supervisor::open(config, role, restore, alarm, reactor).await
    }

    /// The generation that is up, waiting for one if need be.
    ///
    /// # Errors
    /// [`Closed`](tidings_core::ErrorKind::Closed) once the connection has been closed for good.
    ///
    /// # Cancel safety
    /// Yes: it only looks.
    pub(crate) async fn up(&self) -> Result<Generation> {
        let mut state = self.state.clone();
        let found = state
            .wait_for(|state| match state {
                State::Up(generation) => !generation.is_over(),
                State::Closed => true,
                State::Down { .. } => false,
            })
            .await;
        match found.as_deref() {
            Ok(State::Up(generation)) => Ok(generation.clone()),
            _ => Err(error::closed()),
        }
    }

    /// What keeps it from working, in one line; `None` if nothing does.
    pub(crate) fn impairment(&self) -> Option<String> {
        let role = self.role;
        match &*self.state.borrow() {
            State::Up(generation) => generation.blocked().map(|reason| {
                let seconds = generation.blocked_for().unwrap_or_default().as_secs();
                format!("the {role} connection to RabbitMQ is blocked by the broker for {seconds} s: {reason}")
            }),
            State::Down { attempts, reason } => Some(format!(
                "the {role} connection to RabbitMQ is down and being made again (attempt {}): {reason}",
                attempts + 1
            )),
            State::Closed => Some(format!("the {role} connection to RabbitMQ is closed")),
        }
    }

    /// Whether the broker does not read from the connection that is up.
    pub(crate) fn is_blocked(&self) -> bool {
        matches!(&*self.state.borrow(), State::Up(generation) if generation.blocked().is_some())
    }

    /// Resolves once it has been closed for good.
    ///
    /// # Cancel safety
    /// Yes: it only looks.
    pub(crate) async fn closed(&self) {
        let mut state = self.state.clone();
        // An error means that the supervisor is gone, which is closed enough.
        let _said_so = state
            .wait_for(|state| matches!(state, State::Closed))
            .await
            .is_ok();
    }

    /// Closes it for good: the supervisor says goodbye to the broker and ends.
    pub(crate) fn close(&self) {
        self.stop.cancel();
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        })
    }
}
