//! The real service in a test: same router, same layers, same broker, in memory and in virtual time.
//!
//! ```
//! # use schemars::JsonSchema;
//! # use serde::{Deserialize, Serialize};
//! use tidings::{Domain, Event, HandlerError, Router, testing::TestServer};
//!
//! # #[derive(Event, Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
//! # struct UserCreated { email: String }
//! async fn refuse(event: UserCreated) -> Result<(), HandlerError> {
//!     Err(HandlerError::fatal(format!("{} is banned", event.email)))
//! }
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> tidings::Result<()> {
//! let test = TestServer::start(Domain::new("acme", "registration")?, Router::new().on("refuse", refuse)).await?;
//! test.client().publish(&UserCreated { email: "eve@example.com".into() }).await?;
//! test.rest().await?;
//! assert_eq!(test.dead_letters("refuse")[0].reason, "fatal");
//! # Ok(())
//! # }
//! ```
//!
//! Start the test's runtime with `start_paused = true`: waits of seconds and hours then pass at once.

mod journal;
mod recording;

use std::{sync::Arc, time::Duration};

use serde_json::Value;
use tidings_core::{
    Contract, Error, ErrorKind,
    convention::Convention,
    error::Result,
    transport::{QueueStatus, Transport},
};
use tidings_router::Router;
use tidings_server::{Running, Server, ServerBuilder};

pub use self::journal::{DeadLetter, Handled};
use self::{
    journal::{Journal, JournalLayer},
    recording::Recording,
};

/// How long, in the runtime's time, a service may be at work before [`TestServer::rest`] gives up.
const PATIENCE: Duration = Duration::from_secs(24 * 60 * 60);

/// A service under test.
#[derive(Debug)]
pub struct TestServer {
    running: Running,
    transport: Arc<Recording>,
    journal: Arc<Journal>,
    convention: Arc<dyn Convention>,
}

impl TestServer {
    /// Starts a router on a fresh broker in memory.
    ///
    /// # Errors
    /// As [`ServerBuilder::start`].
    pub async fn start<C: Convention + Clone>(convention: C, router: Router) -> Result<Self> {
        Self::start_with(convention, router, |builder| builder).await
    }

    /// Starts a router with settings of its own.
    ///
    /// # Errors
    /// As [`ServerBuilder::start`].
    pub async fn start_with<C: Convention + Clone>(
        convention: C,
        router: Router,
        settings: impl FnOnce(ServerBuilder) -> ServerBuilder,
    ) -> Result<Self> {
        let transport = Arc::new(Recording::new(Arc::new(
            tidings_embedded::Embedded::memory(),
        )));
        let journal = Arc::new(Journal::new(Arc::new(convention.clone())));
        let builder = Server::builder(
            Arc::clone(&transport) as Arc<dyn Transport>,
            convention.clone(),
        );
        let running = settings(builder)
            .layer(JournalLayer::new(Arc::clone(&journal)))
            .start(router)
            .await?;
        Ok(Self {
            running,
            transport,
            journal,
            convention: Arc::new(convention),
        })
    }

    /// A client of the service.
    #[must_use]
    pub fn client(&self) -> &tidings_client::Client {
        self.running.client()
    }

    /// The service.
    #[must_use]
    pub fn server(&self) -> &Running {
        &self.running
    }

    /// Waits until nothing is in flight: every queue that somebody consumes or whose messages expire is empty.
    /// In paused time, delays of retries pass at once.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`] after a day of the runtime's time, naming the queues that are still at work.
    pub async fn rest(&self) -> Result<()> {
        let rest = async {
            loop {
                let changed = self.transport.changed();
                if self.busy().await?.is_empty() {
                    return Ok(());
                }
                // What comes first: something happens, or time passes because nothing does.
                drop(tokio::time::timeout(Duration::from_secs(1), changed).await);
            }
        };
        match tokio::time::timeout(PATIENCE, rest).await {
            Ok(rested) => rested,
            Err(_) => Err(Error::new(
                ErrorKind::Timeout,
                format!("still at work: {:?}", self.busy().await?),
            )),
        }
    }

    /// Every attempt of a subscriber's handlers, in the order in which they ended.
    #[must_use]
    pub fn handled(&self, subscriber: &str) -> Vec<Handled> {
        let subscriptions = self.running.health().subscriptions;
        let own = subscriptions
            .into_iter()
            .filter(|subscription| *subscription.subscriber == *subscriber);
        self.journal.at(&own
            .map(|subscription| subscription.queue)
            .collect::<Vec<_>>())
    }

    /// The messages of a type that were published, retries and dead letters not counted.
    ///
    /// # Errors
    /// [`ErrorKind::Decode`] if one of that name does not fit the type.
    pub fn published<T: Contract>(&self) -> Result<Vec<T>> {
        self.transport.published(&*self.convention)
    }

    /// What became a dead letter at a subscriber, in that order.
    #[must_use]
    pub fn dead_letters(&self, subscriber: &str) -> Vec<DeadLetter> {
        self.transport.dead_letters(subscriber)
    }

    /// The state of a queue.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is none of that name.
    pub async fn queue(&self, name: &str) -> Result<QueueStatus> {
        let mut found = self.transport.queues(&[name.into()]).await?;
        found
            .pop()
            .ok_or_else(|| Error::new(ErrorKind::NotFound, format!("there is no queue `{name}`")))
    }

    async fn busy(&self) -> Result<Vec<QueueStatus>> {
        let all = self.transport.queues(&[]).await?;
        Ok(all
            .into_iter()
            .filter(|queue| self.is_busy(queue))
            .collect())
    }

    fn is_busy(&self, queue: &QueueStatus) -> bool {
        let moves = queue.consumers > 0 || self.transport.expires(&queue.name);
        queue.unsettled > Some(0) || (queue.ready > 0 && moves)
    }
}

/// The fields of a message as JSON, for assertions.
fn fields(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or(Value::Null)
}
