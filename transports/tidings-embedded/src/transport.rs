//! The transport: one connection to a broker.

use std::{future, sync::Arc};

use tidings_core::{
    Deadline, Result,
    clock::Clock,
    topology::{Difference, Topology},
    transport::{
        BoxFuture, Capabilities, Capability, Publisher, QueueStatus, Subscriber, Subscription,
        Transport,
    },
};
use uuid::Uuid;

use crate::{
    SCHEME,
    broker::{Broker, ProducerId},
    config::{EmbeddedConfig, FileConfig},
    link::Link,
    publisher::{FilePublisher, LocalPublisher},
    session::Session,
};

/// The embedded broker as a transport.
///
/// ```
/// use tidings_core::{Address, Call, Envelope, Settlement, topology::{Queue, Topology}, transport::{Subscription, Transport}};
/// use tidings_embedded::Embedded;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> tidings_core::Result<()> {
/// let embedded = Embedded::memory();
/// embedded.declare(&Topology::new().queue(Queue::new("greetings"))).await?;
/// let publisher = embedded.publisher().await?;
/// publisher.publish(Call::new(Address::queue("greetings"), Envelope::new("hello"))).await?;
///
/// let mut subscriber = embedded.subscribe(Subscription::to("greetings")).await?;
/// let delivery = subscriber.next().await.expect("the subscription is open")?;
/// assert_eq!(&delivery.call().envelope.payload.bytes[..], b"hello");
/// delivery.settle(Settlement::Ack).await
/// # }
/// ```
#[derive(Debug)]
pub struct Embedded {
    side: Side,
}

#[derive(Debug)]
enum Side {
    Memory(Arc<Session>),
    File { link: Link, config: FileConfig },
}

impl Embedded {
    /// A broker of its own in memory, which is forgotten with its last handle.
    ///
    /// Its time is that of the tokio runtime: under `tokio::time::pause` messages expire when time is advanced.
    #[must_use]
    pub fn memory() -> Self {
        Self::over(Broker::memory(Clock::of_runtime()))
    }

    /// The broker that this configuration describes. The first process that opens a file runs its broker, the
    /// others use it through that process and take over when it ends.
    ///
    /// # Errors
    /// [`Corrupt`](tidings_core::ErrorKind::Corrupt) if the file is damaged, not ours or newer than this program; it is
    /// left as it is. [`Unavailable`](tidings_core::ErrorKind::Unavailable) if it or its owner cannot be reached,
    /// [`Denied`](tidings_core::ErrorKind::Denied) if this process may not write beside it.
    pub async fn open(config: impl Into<EmbeddedConfig>) -> Result<Self> {
        match config.into() {
            EmbeddedConfig::Memory => Ok(Self::memory()),
            EmbeddedConfig::File(config) => Self::file(config).await,
        }
    }

    /// The broker that this URL names: see [`EmbeddedConfig::from_url`].
    ///
    /// # Errors
    /// As [`EmbeddedConfig::from_url`] and [`open`](Self::open).
    pub async fn from_url(url: &str) -> Result<Self> {
        Self::open(EmbeddedConfig::from_url(url)?).await
    }

    /// Another connection to the same broker, with exclusive queues of its own.
    ///
    /// # Errors
    /// As [`open`](Self::open); never in memory.
    pub async fn connect(&self) -> Result<Self> {
        match &self.side {
            Side::Memory(session) => Ok(Self::over(session.broker()?.clone())),
            Side::File { config, .. } => Self::file(config.clone()).await,
        }
    }

    async fn file(config: FileConfig) -> Result<Self> {
        let producer = ProducerId(Uuid::new_v4().as_u128());
        let settings = config.clone();
        let open = move |path, held| {
            let config = FileConfig {
                path,
                ..settings.clone()
            };
            Broker::durable_holding(config, held)
        };
        let link = Link::open(&config.path, producer, open).await?;
        let side = Side::File { link, config };
        Ok(Self { side })
    }

    fn over(broker: Broker) -> Self {
        let side = Side::Memory(Arc::new(Session::new(broker)));
        Self { side }
    }
}

impl Transport for Embedded {
    fn scheme(&self) -> &'static str {
        SCHEME
    }

    fn capabilities(&self) -> Capabilities {
        let always = Capabilities::of(&[
            Capability::Exchanges,
            Capability::QueueTtl,
            Capability::DeadLettering,
            Capability::UnroutableDetection,
            Capability::DelayedNack,
            Capability::ExclusiveQueues,
            Capability::CompetingConsumers,
            Capability::Ordered,
        ]);
        match self.side {
            Side::Memory(_) => always,
            Side::File { .. } => always
                .with(Capability::Durable)
                .with(Capability::MultiProcess),
        }
    }

    fn declare<'a>(&'a self, topology: &'a Topology) -> BoxFuture<'a, Result<()>> {
        match &self.side {
            Side::Memory(session) => Box::pin(async {
                session
                    .broker()?
                    .declare(session.connection, topology)
                    .await
            }),
            Side::File { link, .. } => Box::pin(link.declare(topology)),
        }
    }

    fn compare<'a>(&'a self, topology: &'a Topology) -> BoxFuture<'a, Result<Vec<Difference>>> {
        match &self.side {
            Side::Memory(session) => {
                Box::pin(async { session.broker()?.compare(session.connection, topology) })
            }
            Side::File { link, .. } => Box::pin(link.compare(topology)),
        }
    }

    fn delete<'a>(&'a self, topology: &'a Topology) -> BoxFuture<'a, Result<()>> {
        match &self.side {
            Side::Memory(session) => {
                Box::pin(async { session.broker()?.delete(session.connection, topology).await })
            }
            Side::File { link, .. } => Box::pin(link.delete(topology)),
        }
    }

    fn publisher(&self) -> BoxFuture<'_, Result<Arc<dyn Publisher>>> {
        let publisher: Arc<dyn Publisher> = match &self.side {
            Side::Memory(session) => Arc::new(LocalPublisher::new(Arc::clone(session))),
            Side::File { link, .. } => Arc::new(FilePublisher::new(link.clone())),
        };
        Box::pin(future::ready(Ok(publisher)))
    }

    fn subscribe(&self, to: Subscription) -> BoxFuture<'_, Result<Box<dyn Subscriber>>> {
        match &self.side {
            Side::Memory(session) => Box::pin(async {
                let subscriber = session.broker()?.subscribe(session.connection, to)?;
                Ok(Box::new(subscriber) as Box<dyn Subscriber>)
            }),
            Side::File { link, .. } => Box::pin(link.subscribe(to)),
        }
    }

    fn queues<'a>(&'a self, named: &'a [Arc<str>]) -> BoxFuture<'a, Result<Vec<QueueStatus>>> {
        match &self.side {
            Side::Memory(session) => Box::pin(async { session.broker()?.queues(named) }),
            Side::File { link, .. } => Box::pin(link.queues(named)),
        }
    }

    fn close(&self, deadline: Deadline) -> BoxFuture<'_, Result<()>> {
        match &self.side {
            Side::Memory(session) => {
                session.close();
                Box::pin(future::ready(Ok(())))
            }
            Side::File { link, .. } => Box::pin(link.close(deadline)),
        }
    }
}
