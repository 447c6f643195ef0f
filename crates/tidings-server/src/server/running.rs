//! A server at work.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use tidings_client::Client;
use tidings_core::{Error, ErrorKind, error::Result, tasks::Tasks, transport::Transport};

use crate::{control::Handle, health::Health};

/// A started server. Dropping it ends its handlers at once; their messages come again.
pub struct Running {
    client: Client,
    tasks: Tasks,
    transport: Arc<dyn Transport>,
    subscriptions: Vec<Handle>,
    grace: Duration,
    shortcomings: Vec<String>,
    draining: AtomicBool,
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Whether every handler had finished in time. Messages of the others come again.
    pub complete: bool,
}

impl Drained {
    pub(crate) fn into_result(self) -> Result<()> {
        if self.complete {
            return Ok(());
        }
        let context = "handlers were still at work at the end of the grace period and were ended; their messages come again";
        Err(Error::new(ErrorKind::Timeout, context))
    }
}

impl Running {
    pub(crate) fn new(
        client: Client,
        tasks: Tasks,
        transport: Arc<dyn Transport>,
        grace: Duration,
    ) -> Self {
        Self {
            client,
            tasks,
            transport,
            subscriptions: Vec::new(),
            grace,
            shortcomings: Vec::new(),
            draining: AtomicBool::new(false),
        }
    }

    pub(crate) fn with_subscriptions(mut self, subscriptions: Vec<Handle>) -> Self {
        self.subscriptions = subscriptions;
        self
    }

    pub(crate) fn with_shortcomings(mut self, shortcomings: Vec<String>) -> Self {
        self.shortcomings = shortcomings;
        self
    }

    /// How long a drain waits for handlers unless said otherwise.
    pub(crate) fn grace(&self) -> Duration {
        self.grace
    }

    /// Resolves once every subscription has been tried.
    pub(crate) async fn tried(&self) {
        join_all(self.subscriptions.iter().map(Handle::tried)).await;
    }

    /// A client that publishes through this server's transport, or through what
    /// [`publish_through`](crate::ServerBuilder::publish_through) has put around it.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The transport.
    #[must_use]
    pub fn transport(&self) -> &Arc<dyn Transport> {
        &self.transport
    }

    /// Whether it lives and is ready, and why not.
    #[must_use]
    pub fn health(&self) -> Health {
        let subscriptions = self.subscriptions.iter().map(Handle::health).collect();
        Health::of(
            subscriptions,
            self.transport.impairments(),
            &self.shortcomings,
            self.draining.load(Ordering::Relaxed),
        )
    }

    /// Stops consuming a queue, or all queues of a subscriber, and resolves once it has stopped. Messages wait
    /// in the queue, also those that were delivered and had not begun; handlers at work finish.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is no such queue or subscriber here; the error lists those there are.
    pub async fn pause(&self, queue_or_subscriber: &str) -> Result<()> {
        self.switch(queue_or_subscriber, true).await
    }

    /// Consumes again what was paused. Resolves once it is not paused any more; [`health`](Self::health) says
    /// whether it consumes.
    ///
    /// # Errors
    /// As [`pause`](Self::pause).
    pub async fn resume(&self, queue_or_subscriber: &str) -> Result<()> {
        self.switch(queue_or_subscriber, false).await
    }

    async fn switch(&self, name: &str, paused: bool) -> Result<()> {
        let called = self
            .subscriptions
            .iter()
            .filter(|handle| handle.is_called(name));
        let handles: Vec<_> = called.collect();
        if handles.is_empty() {
            return Err(self.unknown(name));
        }
        for handle in &handles {
            handle.set_paused(paused);
        }
        join_all(handles.iter().map(|handle| handle.follows(paused))).await;
        Ok(())
    }

    fn unknown(&self, name: &str) -> Error {
        let known: Vec<_> = self
            .subscriptions
            .iter()
            .map(|handle| format!("`{}`", handle.queue))
            .collect();
        let context = format!(
            "this server consumes no queue and has no subscriber `{name}`; it consumes {}",
            known.join(", ")
        );
        Error::new(ErrorKind::NotFound, context)
    }

    /// Stops receiving, lets handlers finish for as long as `grace`, and ends the rest. The transport stays open.
    ///
    /// # Cancel safety
    /// Yes: what has stopped stays stopped; calling it again goes on waiting.
    pub async fn drain(&self, grace: Duration) -> Drained {
        self.draining.store(true, Ordering::Relaxed);
        Drained {
            complete: self.tasks.stop(grace).await,
        }
    }

    /// Ends all handlers at once. Their messages come again.
    pub fn abort(&self) -> Drained {
        let complete = self.tasks.is_empty();
        self.tasks.abort();
        Drained { complete }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.tasks.abort();
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("health", &self.health())
            .finish_non_exhaustive()
    }
}
