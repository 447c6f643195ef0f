//! The embedded broker, through its transport: no convention and no server, as the bare store has none.

use std::{
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use anyhow::{Result, anyhow};
use tidings::{
    Address, Call, Deadline, Envelope, Settlement,
    topology::{Exchange, Queue as Declared, Topology},
    transport::{Publisher, Subscriber, Subscription, Transport},
};
use tidings_core::Completion;

use super::load::{BODY, Consumer, Queue, WINDOW};

const QUEUE: &str = "acme.shop.1.event.order_placed.count";

/// A publisher on a durable broker.
pub struct Broker {
    transport: Arc<dyn Transport>,
    publisher: Arc<dyn Publisher>,
    address: Address,
}

impl Broker {
    /// A new broker in a new file.
    pub async fn open(path: &Path, sync: &str) -> Result<Self> {
        let transport = tidings::open(&format!("embedded:{}?sync={sync}", path.display())).await?;
        let address = Address::new("acme.shop", "acme.shop.1.event.order_placed");
        let topology = Topology::new()
            .exchange(Exchange::topic(Arc::clone(&address.exchange)))
            .queue(Declared::new(QUEUE))
            .bind(
                Arc::clone(&address.exchange),
                QUEUE,
                Arc::clone(&address.key),
            );
        transport.declare(&topology).await?;
        Ok(Self {
            publisher: transport.publisher().await?,
            transport,
            address,
        })
    }
}

impl Queue for Broker {
    type Consumer = Deliveries;

    async fn publish(&self) -> Result<()> {
        let call = Call::new(self.address.clone(), Envelope::new(&BODY[..]));
        Ok(self.publisher.publish(call).await?)
    }

    async fn consumer(&self) -> Result<Deliveries> {
        let subscription = Subscription::to(QUEUE).with_prefetch(WINDOW);
        Ok(Deliveries(self.transport.subscribe(subscription).await?))
    }

    async fn close(self) -> Result<()> {
        let deadline = Deadline::after(Duration::from_secs(10));
        Ok(self.transport.close(deadline).await?)
    }
}

/// The broker's deliveries.
pub struct Deliveries(Box<dyn Subscriber>);

impl Consumer for Deliveries {
    type Ack = Acked;

    async fn next(&mut self) -> Result<Acked> {
        let delivery = self.0.next().await;
        let delivery = delivery.ok_or_else(|| anyhow!("the subscription ended"))??;
        Ok(Acked(delivery.settle(Settlement::Ack)))
    }
}

/// Resolves once a message is settled.
pub struct Acked(Completion);

impl Future for Acked {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.0).poll(cx).map(|settled| Ok(settled?))
    }
}
