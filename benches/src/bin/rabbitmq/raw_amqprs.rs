//! amqprs with the same window: it leaves it to its user to find out which publishes a confirm is about.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use amqprs::{
    Ack, BasicProperties, Cancel, CloseChannel, Nack, Return,
    callbacks::{ChannelCallback, DefaultConnectionCallback},
    channel::{
        BasicAckArguments, BasicConsumeArguments, BasicPublishArguments, BasicQosArguments,
        Channel, ConfirmSelectArguments,
    },
    connection::{Connection, OpenConnectionArguments},
};
use anyhow::{Context, Result, anyhow, ensure};
use lapin::uri::AMQPUri;
use tokio::sync::Semaphore;

use tidings_benches::watch::Stopwatch;

use crate::{
    case::{Case, Outcome, Work},
    load::{self, ACK_EVERY, BODY, PREFETCH, WINDOW},
    stage,
};

/// Runs one case.
pub async fn run(url: &str, case: Case) -> Result<Outcome> {
    let queue = stage::queue(case.kind);
    let (inbound, outbound) = (connect(url).await?, connect(url).await?);
    let consumer = inbound.open_channel(None).await?;
    consumer
        .basic_qos(BasicQosArguments::new(0, PREFETCH, false))
        .await?;
    let publisher = Publisher::open(&outbound).await?;
    let publishing = || publisher.publish_all(&queue, case.messages);
    let consuming = || consume(&consumer, &queue, case.messages);
    let watch = Stopwatch::start()?;
    let confirmed = match case.work {
        Work::Publish => publishing().await?,
        Work::Consume => consuming().await.map(|()| Vec::new())?,
        Work::Both => tokio::try_join!(publishing(), consuming())?.0,
    };
    let outcome = load::stop(watch, case.messages, confirmed)?;
    // Closing a channel makes sure that the last ack has been written.
    consumer.close().await?;
    inbound.close().await?;
    outbound.close().await?;
    Ok(outcome)
}

async fn consume(channel: &Channel, queue: &str, messages: usize) -> Result<()> {
    let arguments = BasicConsumeArguments::new(queue, "bench")
        .manual_ack(true)
        .finish();
    let (_, mut deliveries) = channel.basic_consume_rx(arguments).await?;
    for received in 1..=messages {
        let message = deliveries.recv().await;
        let message = message.context("the consumer was cancelled")?;
        let bytes = message.content.map_or(0, |content| content.len());
        ensure!(bytes == BODY.len(), "another message");
        if received % ACK_EVERY == 0 || received == messages {
            let deliver = message.deliver.context("a delivery without its method")?;
            let arguments = BasicAckArguments::new(deliver.delivery_tag(), true);
            channel.basic_ack(arguments).await?;
        }
    }
    Ok(())
}

async fn connect(url: &str) -> Result<Connection> {
    let uri: AMQPUri = url.parse().map_err(|error: String| anyhow!(error))?;
    let (host, user) = (uri.authority.host, uri.authority.userinfo);
    let mut arguments =
        OpenConnectionArguments::new(&host, uri.authority.port, &user.username, &user.password);
    arguments.virtual_host(&uri.vhost);
    let connection = Connection::open(&arguments).await?;
    connection
        .register_callback(DefaultConnectionCallback)
        .await?;
    Ok(connection)
}

/// A channel, and what is on its way on it.
struct Publisher {
    channel: Channel,
    room: Arc<Semaphore>,
    way: Arc<Mutex<Way>>,
}

/// What was published and not confirmed, oldest first; and how long the others took.
#[derive(Default)]
struct Way {
    since: VecDeque<Instant>,
    took: Vec<Duration>,
}

impl Publisher {
    async fn open(connection: &Connection) -> Result<Self> {
        let channel = connection.open_channel(None).await?;
        let publisher = Self {
            channel,
            room: Arc::new(Semaphore::new(WINDOW)),
            way: Arc::default(),
        };
        let confirms = Confirms {
            room: Arc::clone(&publisher.room),
            way: Arc::clone(&publisher.way),
        };
        publisher.channel.register_callback(confirms).await?;
        publisher
            .channel
            .confirm_select(ConfirmSelectArguments::default())
            .await?;
        Ok(publisher)
    }

    async fn publish_all(&self, queue: &str, messages: usize) -> Result<Vec<Duration>> {
        let persistent = BasicProperties::default().with_delivery_mode(2).finish();
        for _ in 0..messages {
            self.room.acquire().await?.forget();
            self.begun()?;
            let arguments = BasicPublishArguments::new("", queue);
            self.channel
                .basic_publish(persistent.clone(), BODY.to_vec(), arguments)
                .await?;
        }
        // All of the room is free again once everything is confirmed. An error means that something was not.
        let _all = self.room.acquire_many(u32::try_from(WINDOW)?).await?;
        Ok(std::mem::take(&mut self.locked()?.took))
    }

    fn begun(&self) -> Result<()> {
        self.locked()?.since.push_back(Instant::now());
        Ok(())
    }

    fn locked(&self) -> Result<std::sync::MutexGuard<'_, Way>> {
        self.way
            .lock()
            .map_err(|_| anyhow!("the other side failed"))
    }
}

type Answer<T> = Result<T, amqprs::error::Error>;

/// Hears of confirms. RabbitMQ confirms what one channel published to one queue in order.
struct Confirms {
    room: Arc<Semaphore>,
    way: Arc<Mutex<Way>>,
}

impl Confirms {
    fn confirmed(&self, tag: u64) {
        let Ok(mut way) = self.way.lock() else {
            return self.room.close();
        };
        let mut count = 0;
        while u64::try_from(way.took.len()).is_ok_and(|confirmed| confirmed < tag) {
            let Some(since) = way.since.pop_front() else {
                return self.room.close();
            };
            way.took.push(since.elapsed());
            count += 1;
        }
        self.room.add_permits(count);
    }
}

#[async_trait::async_trait]
impl ChannelCallback for Confirms {
    async fn close(&mut self, _: &Channel, _: CloseChannel) -> Answer<()> {
        self.room.close();
        Ok(())
    }

    async fn cancel(&mut self, _: &Channel, _: Cancel) -> Answer<()> {
        Ok(())
    }

    async fn flow(&mut self, _: &Channel, active: bool) -> Answer<bool> {
        Ok(active)
    }

    async fn publish_ack(&mut self, _: &Channel, ack: Ack) {
        self.confirmed(ack.delivery_tag());
    }

    async fn publish_nack(&mut self, _: &Channel, _: Nack) {
        self.room.close();
    }

    async fn publish_return(&mut self, _: &Channel, _: Return, _: BasicProperties, _: Vec<u8>) {
        self.room.close();
    }
}
