//! lapin, used well: the yardstick, once on the way of our wire and once bare.
//!
//! The way of our wire is an exchange for the action, a reply queue bound to it, and an ack for each request after its
//! answer was written; one ack settles many where it can. Bare means direct replies and no acks: whatever goes wrong
//! loses a call. Answers are published side by side in both; awaiting each before the next costs a third.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use anyhow::{Context, Result, ensure};
use futures_util::StreamExt;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, Consumer, ExchangeKind,
    message::Delivery,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
        ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions,
    },
    types::{FieldTable, ShortString},
};
use tokio::{
    sync::oneshot,
    task::{self, LocalSet},
};

use crate::{
    case::{Case, Contender, Outcome},
    load::{self, TEXT},
};

const QUEUE: &str = "tidings-bench-rpc";
const EXCHANGE: &str = "tidings-bench-rpc-action";
const DIRECT: &str = "amq.rabbitmq.reply-to";
const PREFETCH: u16 = 256;

/// Runs one case; expects to be on a runtime of one thread.
pub async fn run(url: &str, case: Case) -> Result<Outcome> {
    let local = LocalSet::new();
    local.run_until(measure(url, case)).await
}

async fn measure(url: &str, case: Case) -> Result<Outcome> {
    let safe = case.contender != Contender::Bare;
    let (serving, calling) = (connect(url).await?, connect(url).await?);
    let server = serving.create_channel().await?;
    prepare(&server, safe).await?;
    let requests = consume(&server, QUEUE, !safe).await?;
    let serve = task::spawn_local(serve(server.clone(), requests, safe));
    let caller = Rc::new(Caller::open(calling.create_channel().await?, safe).await?);
    let outcome = load::run(case, |number| {
        let caller = Rc::clone(&caller);
        async move { caller.call(number).await }
    })
    .await?;
    serve.abort();
    server
        .queue_delete(QUEUE.into(), QueueDeleteOptions::default())
        .await?;
    for connection in [serving, calling] {
        connection.close(200, "done".into()).await?;
    }
    Ok(outcome)
}

async fn prepare(server: &Channel, safe: bool) -> Result<()> {
    server
        .queue_declare(
            QUEUE.into(),
            QueueDeclareOptions::default(),
            FieldTable::default(),
        )
        .await?;
    server
        .basic_qos(PREFETCH, BasicQosOptions::default())
        .await?;
    if safe {
        let options = ExchangeDeclareOptions::default();
        server
            .exchange_declare(
                EXCHANGE.into(),
                ExchangeKind::Direct,
                options,
                FieldTable::default(),
            )
            .await?;
        bind(server, QUEUE).await?;
    }
    Ok(())
}

async fn bind(channel: &Channel, queue: &str) -> Result<()> {
    let options = QueueBindOptions::default();
    channel
        .queue_bind(
            queue.into(),
            EXCHANGE.into(),
            queue.into(),
            options,
            FieldTable::default(),
        )
        .await?;
    Ok(())
}

async fn consume(channel: &Channel, queue: &str, no_ack: bool) -> Result<Consumer> {
    let options = BasicConsumeOptions {
        no_ack,
        ..BasicConsumeOptions::default()
    };
    Ok(channel
        .basic_consume(queue.into(), "".into(), options, FieldTable::default())
        .await?)
}

async fn serve(channel: Channel, mut requests: Consumer, safe: bool) -> Result<()> {
    let acks = Rc::new(RefCell::new(Acks::default()));
    while let Some(request) = requests.next().await {
        let request = request?;
        acks.borrow_mut().received = request.delivery_tag;
        // A task each: answers go out side by side.
        let acks = safe.then(|| Rc::clone(&acks));
        task::spawn_local(answer(channel.clone(), request, acks));
    }
    Ok(())
}

/// Which requests have been answered: they are acked together.
#[derive(Default)]
struct Acks {
    received: u64,
    answered: u64,
}

impl Acks {
    /// One more has been answered. Up to which tag there is to be acked, once all that were received
    /// have been answered.
    fn answered(&mut self) -> Option<u64> {
        self.answered += 1;
        (self.answered == self.received).then_some(self.received)
    }
}

async fn answer(
    channel: Channel,
    request: Delivery,
    acks: Option<Rc<RefCell<Acks>>>,
) -> Result<()> {
    let properties = &request.properties;
    let id = properties
        .correlation_id()
        .clone()
        .context("no correlation id")?;
    let reply_to = properties.reply_to().clone().context("no reply address")?;
    let exchange = if acks.is_some() { EXCHANGE } else { "" };
    let properties = BasicProperties::default().with_correlation_id(id);
    let options = BasicPublishOptions::default();
    channel
        .basic_publish(
            exchange.into(),
            reply_to,
            options,
            &request.data,
            properties,
        )
        .await?;
    if let Some(tag) = acks.and_then(|acks| acks.borrow_mut().answered()) {
        channel
            .basic_ack(tag, BasicAckOptions { multiple: true })
            .await?;
    }
    Ok(())
}

/// Who waits, by the correlation id.
type Waiting = Rc<RefCell<HashMap<String, oneshot::Sender<usize>>>>;

struct Caller {
    channel: Channel,
    exchange: &'static str,
    /// Whether it goes the way of our wire, with the properties that this asks for.
    safe: bool,
    reply_to: ShortString,
    waiting: Waiting,
    body: Vec<u8>,
}

impl Caller {
    async fn open(channel: Channel, safe: bool) -> Result<Self> {
        let mut reply_to = ShortString::from(DIRECT);
        if safe {
            let exclusive = QueueDeclareOptions {
                exclusive: true,
                ..QueueDeclareOptions::default()
            };
            let queue = channel
                .queue_declare("".into(), exclusive, FieldTable::default())
                .await?;
            reply_to = queue.name().clone();
            bind(&channel, reply_to.as_str()).await?;
        }
        let replies = consume(&channel, reply_to.as_str(), true).await?;
        let waiting = Waiting::default();
        task::spawn_local(receive(replies, Rc::clone(&waiting)));
        Ok(Self {
            channel,
            exchange: if safe { EXCHANGE } else { "" },
            safe,
            reply_to,
            waiting,
            body: format!(r#"{{"text":"{TEXT}"}}"#).into_bytes(),
        })
    }

    async fn call(&self, number: u64) -> Result<()> {
        let id = number.to_string();
        let (answer, answered) = oneshot::channel();
        self.waiting.borrow_mut().insert(id.clone(), answer);
        let mut properties = BasicProperties::default()
            .with_reply_to(self.reply_to.clone())
            .with_correlation_id(id.into());
        if self.safe {
            properties = properties
                .with_content_type("application/json".into())
                .with_expiration("300000".into());
        }
        let options = BasicPublishOptions::default();
        self.channel
            .basic_publish(
                self.exchange.into(),
                QUEUE.into(),
                options,
                &self.body,
                properties,
            )
            .await?;
        ensure!(answered.await? == self.body.len(), "another reply");
        Ok(())
    }
}

async fn receive(mut replies: Consumer, waiting: Waiting) -> Result<()> {
    while let Some(reply) = replies.next().await {
        let reply = reply?;
        let id = reply
            .properties
            .correlation_id()
            .clone()
            .context("no correlation id")?;
        if let Some(answer) = waiting.borrow_mut().remove(id.as_str()) {
            answer.send(reply.data.len()).ok();
        }
    }
    Ok(())
}

async fn connect(url: &str) -> Result<Connection> {
    Ok(Connection::connect(url, ConnectionProperties::default()).await?)
}
