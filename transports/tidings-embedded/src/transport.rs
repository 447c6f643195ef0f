//! The transport: one connection to a broker.

use std::{future, sync::Arc};

use tidings_core::{
    Deadline, Result,
    clock::Clock,
    topology::Topology,
    transport::{
        BoxFuture, Capabilities, Capability, Publisher, QueueStatus, Subscriber, Subscription,
        Transport,
    },
};

use crate::{
    SCHEME,
    broker::{Broker, ConnectionId},
    publisher::LocalPublisher,
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
    broker: Broker,
    connection: ConnectionId,
}

impl Embedded {
    /// A broker of its own in memory, which is forgotten with its last handle.
    ///
    /// Its time is that of the tokio runtime: under `tokio::time::pause` messages expire when time is advanced.
    #[must_use]
    pub fn memory() -> Self {
        Self::over(Broker::memory(Clock::of_runtime()))
    }

    /// Another connection to the same broker, with exclusive queues of its own.
    #[must_use]
    pub fn connect(&self) -> Self {
        Self::over(self.broker.clone())
    }

    fn over(broker: Broker) -> Self {
        let connection = broker.connect();
        Self { broker, connection }
    }
}

impl Transport for Embedded {
    fn scheme(&self) -> &'static str {
        SCHEME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::of(&[
            Capability::Exchanges,
            Capability::QueueTtl,
            Capability::DeadLettering,
            Capability::UnroutableDetection,
            Capability::DelayedNack,
            Capability::ExclusiveQueues,
            Capability::CompetingConsumers,
            Capability::Ordered,
        ])
    }

    fn declare<'a>(&'a self, topology: &'a Topology) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.broker.declare(self.connection, topology))
    }

    fn delete<'a>(&'a self, topology: &'a Topology) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.broker.delete(self.connection, topology))
    }

    fn publisher(&self) -> BoxFuture<'_, Result<Arc<dyn Publisher>>> {
        let publisher = LocalPublisher::new(self.broker.clone());
        Box::pin(future::ready(Ok(Arc::new(publisher) as Arc<dyn Publisher>)))
    }

    fn subscribe(&self, to: Subscription) -> BoxFuture<'_, Result<Box<dyn Subscriber>>> {
        let subscriber = self.broker.subscribe(self.connection, to);
        Box::pin(future::ready(
            subscriber.map(|it| Box::new(it) as Box<dyn Subscriber>),
        ))
    }

    fn queues<'a>(&'a self, named: &'a [Arc<str>]) -> BoxFuture<'a, Result<Vec<QueueStatus>>> {
        Box::pin(future::ready(self.broker.queues(named)))
    }

    fn close(&self, deadline: Deadline) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.broker.close(deadline))
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.broker.disconnect(self.connection);
    }
}
