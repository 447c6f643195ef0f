//! The transport: two supervised connections, and what works over them.

use std::{sync::Arc, time::Duration};

use tidings_core::{
    Deadline, Result,
    topology::{Difference, Exchange, Topology},
    transport::{
        BoxFuture, Capabilities, Capability, Impairment, Inbox, Publisher, QueueStatus, Subscriber,
        Subscription, Transport,
    },
};
use tokio::time::timeout;

use crate::{
    SCHEME,
    config::RabbitMqConfig,
    connection::{Alarm, Generation, Reactor, Restore, Role, Supervised},
    consuming::{
        Consuming,
        inbox::{direct, queue::ReplyQueues},
    },
    declaring::{Declaring, Record},
    publisher::RabbitMqPublisher,
    publishing::Publishing,
};

/// How long the outbound connection waits for the inbound one, which restores the topology, before it goes on alone.
const TOPOLOGY_FIRST: Duration = Duration::from_secs(10);

/// RabbitMQ as a transport.
///
/// ```no_run
/// use tidings_core::{Address, Call, Envelope, Settlement, topology::{Queue, Topology}, transport::{Subscription, Transport}};
/// use tidings_rabbitmq::RabbitMq;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> tidings_core::Result<()> {
/// let rabbitmq = RabbitMq::from_url("amqp://guest:guest@localhost:5672").await?;
/// rabbitmq.declare(&Topology::new().queue(Queue::new("greetings"))).await?;
/// let publisher = rabbitmq.publisher().await?;
/// publisher.publish(Call::new(Address::queue("greetings"), Envelope::new("hello"))).await?;
///
/// let mut subscriber = rabbitmq.subscribe(Subscription::to("greetings")).await?;
/// let delivery = subscriber.next().await.expect("the subscription is open")?;
/// delivery.settle(Settlement::Ack).await
/// # }
/// ```
#[derive(Debug)]
pub struct RabbitMq {
    config: Arc<RabbitMqConfig>,
    inbound: Supervised,
    outbound: Supervised,
    publishing: Publishing,
    consuming: Consuming,
    reply_queues: ReplyQueues,
    declaring: Declaring,
    record: Arc<Record>,
    reactor: Arc<Reactor>,
}

impl RabbitMq {
    /// Connects, and stays connected until it is [closed](Transport::close).
    ///
    /// # Errors
    /// [`Unavailable`](tidings_core::ErrorKind::Unavailable) if nobody answers within [`RabbitMqConfig::wait`],
    /// [`Unauthenticated`](tidings_core::ErrorKind::Unauthenticated) if the broker refuses the user,
    /// [`Denied`](tidings_core::ErrorKind::Denied) if the user may not use the virtual host,
    /// [`Misuse`](tidings_core::ErrorKind::Misuse) if the configuration cannot work. Later losses are mended and
    /// shown by [`Transport::impairments`].
    pub async fn open(config: RabbitMqConfig) -> Result<Self> {
        let config = Arc::new(config);
        let reactor = Arc::new(Reactor::start("tidings-rabbitmq")?);
        let (record, alarm) = (Arc::new(Record::default()), Alarm::default());
        let inbound = Supervised::open(
            Arc::clone(&config),
            Role::Inbound,
            restore_topology(&record),
            &alarm,
            &reactor,
        )
        .await?;
        let outbound = Supervised::open(
            Arc::clone(&config),
            Role::Outbound,
            after(&inbound),
            &alarm,
            &reactor,
        )
        .await?;
        let publishing = Publishing::start(outbound.clone(), &config, &reactor);
        Ok(Self {
            consuming: Consuming::new(
                inbound.clone(),
                publishing.clone(),
                Arc::clone(&record),
                Arc::clone(&reactor),
            ),
            publishing,
            reply_queues: ReplyQueues::new(outbound.clone(), Arc::clone(&reactor)),
            declaring: Declaring::new(
                inbound.clone(),
                Arc::clone(&config),
                Arc::clone(&record),
                Arc::clone(&reactor),
            ),
            config,
            inbound,
            outbound,
            record,
            reactor,
        })
    }

    /// The broker that this URL names: see [`RabbitMqConfig::from_url`].
    ///
    /// # Errors
    /// As [`RabbitMqConfig::from_url`] and [`open`](Self::open).
    pub async fn from_url(url: &str) -> Result<Self> {
        Self::open(RabbitMqConfig::from_url(url)?).await
    }
}

/// The inbound connection declares everything again before anybody uses it.
fn restore_topology(record: &Arc<Record>) -> Restore {
    let record = Arc::clone(record);
    Arc::new(move |generation| {
        let record = Arc::clone(&record);
        Box::pin(async move { record.restore(&generation).await })
    })
}

/// The outbound connection waits for that, so that publishes find what they are routed to.
fn after(inbound: &Supervised) -> Restore {
    let inbound = inbound.clone();
    Arc::new(move |_: Generation| {
        let inbound = inbound.clone();
        Box::pin(async move {
            // Whatever keeps the inbound connection away must not keep publishes away for ever.
            let _restored = timeout(TOPOLOGY_FIRST, inbound.up()).await.is_ok();
            Ok(())
        })
    })
}

impl Transport for RabbitMq {
    fn scheme(&self) -> &'static str {
        SCHEME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::of(&[
            Capability::Durable,
            Capability::Exchanges,
            Capability::QueueTtl,
            Capability::DeadLettering,
            Capability::UnroutableDetection,
            Capability::ExclusiveQueues,
            Capability::CompetingConsumers,
            Capability::Ordered,
            Capability::MultiProcess,
        ])
    }

    fn declare<'a>(&'a self, topology: &'a Topology) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.declaring.declare(topology))
    }

    fn compare<'a>(&'a self, topology: &'a Topology) -> BoxFuture<'a, Result<Vec<Difference>>> {
        Box::pin(self.declaring.compare(topology))
    }

    fn delete<'a>(&'a self, topology: &'a Topology) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.declaring.delete(topology))
    }

    fn publisher(&self) -> BoxFuture<'_, Result<Arc<dyn Publisher>>> {
        Box::pin(async {
            self.outbound.up().await?;
            let publisher: Arc<dyn Publisher> =
                Arc::new(RabbitMqPublisher::new(self.publishing.clone()));
            Ok(publisher)
        })
    }

    fn subscribe(&self, to: Subscription) -> BoxFuture<'_, Result<Box<dyn Subscriber>>> {
        Box::pin(self.consuming.subscribe(to))
    }

    fn inbox(&self) -> BoxFuture<'_, Result<Inbox>> {
        Box::pin(direct::open(&self.outbound, &self.config, &self.reactor))
    }

    fn reply_queue(&self) -> BoxFuture<'_, Result<Inbox>> {
        Box::pin(self.reply_queues.open())
    }

    fn route_replies<'a>(
        &'a self,
        inbox: &'a Arc<str>,
        exchange: &'a Exchange,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.reply_queues.route(inbox, exchange, &self.declaring))
    }

    fn impairments(&self) -> Vec<Impairment> {
        let connections = [self.inbound.impairment(), self.outbound.impairment()];
        let publishing = self.publishing.impairment();
        let mut all: Vec<_> = connections
            .into_iter()
            .chain([publishing])
            .flatten()
            .map(Impairment::of_transport)
            .collect();
        all.extend(self.record.impairments());
        all.extend(self.consuming.impairments());
        all
    }

    fn queues<'a>(&'a self, named: &'a [Arc<str>]) -> BoxFuture<'a, Result<Vec<QueueStatus>>> {
        Box::pin(self.declaring.status(named))
    }

    fn close(&self, deadline: Deadline) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            // Both at once, so that neither uses up the other's time. None depends on the other: handlers have ended, and
            // what they have published is confirmed before the acks that follow from it are recorded.
            let (drained, ()) = tokio::join!(
                self.publishing.drain(deadline),
                self.consuming.close(deadline)
            );
            let drained = match self.outbound.impairment() {
                Some(why) => drained.map_err(|error| error.within(why)),
                None => drained,
            };
            self.inbound.close();
            self.outbound.close();
            // Each says goodbye to the broker, which takes a moment, or two seconds if the broker does not answer.
            tokio::join!(
                self.inbound.closed(),
                self.outbound.closed(),
                self.declaring.close()
            );
            self.reactor.tasks().request_stop();
            drained
        })
    }
}
