//! lapin, used well: the yardstick.
//!
//! Publishes are polled together, so that many frames are written at once; one ack settles many deliveries; and
//! everything is on a runtime of one thread of its own. Used the obvious way, awaiting each publish and acking each
//! delivery, it is two to three times slower. Nothing is supervised: when a connection ends, so does the program.

use anyhow::{Context, Result, ensure};
use futures_util::TryStreamExt;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
        ConfirmSelectOptions,
    },
    types::FieldTable,
};

use tidings_benches::watch::Stopwatch;

use crate::{
    case::{Case, Outcome, Work},
    load::{self, ACK_EVERY, BODY, PREFETCH, pipeline},
    stage,
};

/// Runs one case; expects to be on a runtime of one thread.
pub async fn run(url: &str, case: Case) -> Result<Outcome> {
    let queue = stage::queue(case.kind);
    let (inbound, outbound) = (connect(url).await?, connect(url).await?);
    let consumer = inbound.create_channel().await?;
    consumer
        .basic_qos(PREFETCH, BasicQosOptions::default())
        .await?;
    let publisher = outbound.create_channel().await?;
    publisher
        .confirm_select(ConfirmSelectOptions::default())
        .await?;
    let publishing = || pipeline(case.messages, || publish(&publisher, &queue));
    let consuming = || consume(&consumer, &queue, case.messages);
    let watch = Stopwatch::start()?;
    let confirmed = match case.work {
        Work::Publish => publishing().await?,
        Work::Consume => consuming().await.map(|()| Vec::new())?,
        Work::Both => tokio::try_join!(publishing(), consuming())?.0,
    };
    let outcome = load::stop(watch, case.messages, confirmed)?;
    for connection in [inbound, outbound] {
        connection.close(200, "done".into()).await?;
    }
    Ok(outcome)
}

/// Publishes one message and waits for its confirm. The frame is queued when this is polled for the first time.
pub async fn publish(channel: &Channel, queue: &str) -> Result<()> {
    let persistent = BasicProperties::default().with_delivery_mode(2);
    let options = BasicPublishOptions::default();
    let sent = channel
        .basic_publish("".into(), queue.into(), options, &BODY, persistent)
        .await?;
    ensure!(sent.await?.is_ack(), "the broker refuses a message");
    Ok(())
}

async fn consume(channel: &Channel, queue: &str, messages: usize) -> Result<()> {
    let (tag, options) = ("bench".into(), BasicConsumeOptions::default());
    let mut deliveries = channel
        .basic_consume(queue.into(), tag, options, FieldTable::default())
        .await?;
    for received in 1..=messages {
        let delivery = deliveries.try_next().await?;
        let delivery = delivery.context("the consumer was cancelled")?;
        ensure!(delivery.data.len() == BODY.len(), "another message");
        if received % ACK_EVERY == 0 || received == messages {
            delivery.ack(BasicAckOptions { multiple: true }).await?;
        }
    }
    Ok(())
}

async fn connect(url: &str) -> Result<Connection> {
    Ok(Connection::connect(url, ConnectionProperties::default()).await?)
}
