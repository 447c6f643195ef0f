//! What the tests of this crate share: a broker to lie on, and short ways to say things.

use std::{sync::Arc, time::Duration};

use tidings_core::{
    Address, Call, Deadline, Delivery, Envelope, Error, Result, Settlement,
    topology::Topology,
    transport::{Publisher, QueueStatus, Subscriber, Subscription, Transport},
};
use tidings_embedded::{Embedded, EmbeddedConfig, FileConfig};

use crate::directory::Directory;

/// A transport and what it needs to live.
pub(crate) struct Bed {
    pub(crate) transport: Embedded,
    pub(crate) publisher: Arc<dyn Publisher>,
    directory: Option<Directory>,
}

impl Bed {
    pub(crate) async fn memory(topology: Topology) -> Self {
        Self::made(Embedded::memory(), None, topology).await
    }

    pub(crate) async fn durable(topology: Topology) -> Self {
        let directory = Directory::new();
        let transport = open(&directory, "").await.unwrap();
        Self::made(transport, Some(directory), topology).await
    }

    /// In a file that is opened with these options.
    pub(crate) async fn durable_with(options: &str, topology: Topology) -> Self {
        let directory = Directory::new();
        let transport = open(&directory, options).await.unwrap();
        Self::made(transport, Some(directory), topology).await
    }

    async fn made(transport: Embedded, directory: Option<Directory>, topology: Topology) -> Self {
        transport.declare(&topology).await.unwrap();
        Self {
            publisher: transport.publisher().await.unwrap(),
            transport,
            directory,
        }
    }

    /// Closes the broker in order and opens its file again.
    pub(crate) async fn reopen(self) -> Self {
        self.transport.close(Deadline::NEVER).await.unwrap();
        let directory = self.directory.unwrap();
        drop((self.publisher, self.transport));
        let transport = open(&directory, "").await.unwrap();
        Self::made(transport, Some(directory), Topology::new()).await
    }

    pub(crate) async fn publish(&self, queue: &str, text: &str) -> Result<()> {
        self.publisher.publish(call(queue, text)).await
    }

    pub(crate) async fn subscribe(&self, queue: &str, prefetch: u16) -> Box<dyn Subscriber> {
        let to = Subscription::to(queue).with_prefetch(prefetch);
        self.transport.subscribe(to).await.unwrap()
    }

    /// Takes a queue's messages as they come, and acknowledges them.
    pub(crate) async fn drain(&self, queue: &str, count: usize) -> Vec<String> {
        let mut subscriber = self.subscribe(queue, 100).await;
        let mut texts = Vec::new();
        for _ in 0..count {
            let delivery = next(&mut subscriber).await;
            texts.push(text(&delivery));
            delivery.settle(Settlement::Ack).await.unwrap();
        }
        texts
    }

    pub(crate) async fn status(&self, queue: &str) -> QueueStatus {
        self.transport
            .queues(&[queue.into()])
            .await
            .unwrap()
            .remove(0)
    }

    pub(crate) fn file(&self) -> std::path::PathBuf {
        self.directory.as_ref().unwrap().file("broker")
    }
}

async fn open(directory: &Directory, options: &str) -> Result<Embedded> {
    Embedded::from_url(&format!(
        "embedded:{}{options}",
        directory.file("broker").display()
    ))
    .await
}

/// Opens a file, which must fail.
pub(crate) async fn open_fails(path: &std::path::Path) -> Error {
    Embedded::open(EmbeddedConfig::from(FileConfig::new(path)))
        .await
        .unwrap_err()
}

pub(crate) fn call(queue: &str, text: &str) -> Call {
    Call::new(Address::queue(queue), Envelope::new(text.to_owned()))
}

pub(crate) fn text(delivery: &Delivery) -> String {
    String::from_utf8(delivery.call().envelope.payload.bytes.to_vec()).unwrap()
}

/// The next delivery. Waiting longer than a minute is a failure, not a hang.
pub(crate) async fn next(subscriber: &mut Box<dyn Subscriber>) -> Delivery {
    let next = tokio::time::timeout(Duration::from_secs(60), subscriber.next());
    next.await
        .expect("a delivery comes")
        .expect("the subscription is open")
        .unwrap()
}

/// The next message, acknowledged.
pub(crate) async fn take(subscriber: &mut Box<dyn Subscriber>) -> String {
    let delivery = next(subscriber).await;
    let text = text(&delivery);
    delivery.settle(Settlement::Ack).await.unwrap();
    text
}

/// That nothing comes for now.
pub(crate) async fn assert_silent(subscriber: &mut Box<dyn Subscriber>) {
    let next = tokio::time::timeout(Duration::from_millis(50), subscriber.next());
    assert!(next.await.is_err(), "nothing was expected");
}
