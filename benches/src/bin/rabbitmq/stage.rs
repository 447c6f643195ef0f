//! The queue of a run: fresh before it, filled if it is to be consumed from, looked at afterwards.
//!
//! It is not measured, so that it does not matter that it uses lapin. What is left in the
//! queue afterwards is checked: a contender that confirms what is not there, or loses acks, must not look fast.

use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use lapin::{
    Channel, Connection, ConnectionProperties,
    options::{ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions},
    types::{AMQPValue, FieldTable},
};

use crate::{
    case::{Case, Kind, Work},
    load::pipeline,
    raw_lapin,
};

/// How often the queue is looked at until it has what it should have: counts of a queue may come late.
const LOOKS: u32 = 40;
const PAUSE: Duration = Duration::from_millis(50);

/// The queue of a kind.
pub fn queue(kind: Kind) -> String {
    format!("tidings-bench-{kind}")
}

/// Makes the queue, and fills it if the case consumes.
pub async fn prepare(url: &str, case: Case) -> Result<()> {
    let (connection, channel) = connect(url).await?;
    let queue = queue(case.kind);
    channel
        .queue_delete(queue.clone().into(), QueueDeleteOptions::default())
        .await?;
    let mut arguments = FieldTable::default();
    let kind = AMQPValue::LongString(case.kind.to_string().into());
    arguments.insert("x-queue-type".into(), kind);
    let durable = QueueDeclareOptions {
        durable: true,
        ..QueueDeclareOptions::default()
    };
    channel
        .queue_declare(queue.clone().into(), durable, arguments)
        .await?;
    if case.work == Work::Consume {
        fill(&channel, &queue, case.messages).await?;
    }
    close(connection).await
}

/// Checks what the run has left, and removes the queue.
pub async fn finish(url: &str, case: Case, queue: &str) -> Result<()> {
    let (connection, channel) = connect(url).await?;
    let passive = QueueDeclareOptions {
        passive: true,
        ..QueueDeclareOptions::default()
    };
    let mut looks = 0;
    let found = loop {
        let status = channel.queue_declare(queue.into(), passive, FieldTable::default());
        let found = usize::try_from(status.await?.message_count())?;
        looks += 1;
        if found == left(case) || looks == LOOKS {
            break found;
        }
        tokio::time::sleep(PAUSE).await;
    };
    channel
        .queue_delete(queue.into(), QueueDeleteOptions::default())
        .await?;
    close(connection).await?;
    check(case, found)
}

/// Whether the queue has as many messages as it should have.
fn check(case: Case, found: usize) -> Result<()> {
    let (expected, contender) = (left(case), case.contender);
    ensure!(
        found == expected,
        "{contender} has left {found} messages in its queue, it should be {expected}"
    );
    Ok(())
}

fn left(case: Case) -> usize {
    match case.work {
        Work::Publish => case.messages,
        Work::Consume | Work::Both => 0,
    }
}

async fn fill(channel: &Channel, queue: &str, messages: usize) -> Result<()> {
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await?;
    pipeline(messages, || raw_lapin::publish(channel, queue))
        .await
        .map(drop)
}

async fn connect(url: &str) -> Result<(Connection, Channel)> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    Ok((connection, channel))
}

async fn close(connection: Connection) -> Result<()> {
    let closed = connection.close(200, "done".into()).await;
    closed.map_err(|error| anyhow!("cannot close the connection: {error}"))
}
