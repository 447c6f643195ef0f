//! amqprs, with nothing but the round trip: direct replies, no acks, no confirms.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use amqprs::{
    BasicProperties,
    callbacks::{DefaultChannelCallback, DefaultConnectionCallback},
    channel::{
        BasicConsumeArguments, BasicPublishArguments, Channel, ConsumerMessage,
        QueueDeclareArguments, QueueDeleteArguments,
    },
    connection::{Connection, OpenConnectionArguments},
};
use anyhow::{Context, Result, anyhow, ensure};
use lapin::uri::AMQPUri;
use tokio::sync::{mpsc::UnboundedReceiver, oneshot};

use crate::{
    case::{Case, Outcome},
    load::{self, TEXT},
};

const QUEUE: &str = "tidings-bench-rpc";
const DIRECT: &str = "amq.rabbitmq.reply-to";

/// Runs one case.
pub async fn run(url: &str, case: Case) -> Result<Outcome> {
    let (serving, calling) = (connect(url).await?, connect(url).await?);
    let server = channel(&serving).await?;
    server
        .queue_declare(QueueDeclareArguments::new(QUEUE))
        .await?;
    let requests = consume(&server, QUEUE).await?;
    let serve = tokio::spawn(serve(server.clone(), requests));
    let caller = Arc::new(Caller::open(channel(&calling).await?).await?);
    let outcome = load::run(case, |_| {
        let caller = Arc::clone(&caller);
        async move { caller.call().await }
    })
    .await?;
    serve.abort();
    server
        .queue_delete(QueueDeleteArguments::new(QUEUE))
        .await?;
    calling.close().await?;
    serving.close().await?;
    Ok(outcome)
}

async fn serve(channel: Channel, mut requests: UnboundedReceiver<ConsumerMessage>) -> Result<()> {
    while let Some(request) = requests.recv().await {
        let asked = request.basic_properties.context("no properties")?;
        let id = asked.correlation_id().context("no correlation id")?;
        let reply_to = asked.reply_to().context("no reply address")?;
        let properties = BasicProperties::default().with_correlation_id(id).finish();
        let body = request.content.unwrap_or_default();
        let arguments = BasicPublishArguments::new("", reply_to);
        channel.basic_publish(properties, body, arguments).await?;
    }
    Ok(())
}

/// Who waits, by the correlation id.
type Waiting = Arc<Mutex<HashMap<String, oneshot::Sender<usize>>>>;

struct Caller {
    channel: Channel,
    waiting: Waiting,
    calls: AtomicU64,
    body: Vec<u8>,
}

impl Caller {
    async fn open(channel: Channel) -> Result<Self> {
        let replies = consume(&channel, DIRECT).await?;
        let waiting = Waiting::default();
        tokio::spawn(receive(replies, Arc::clone(&waiting)));
        Ok(Self {
            channel,
            waiting,
            calls: AtomicU64::new(0),
            body: format!(r#"{{"text":"{TEXT}"}}"#).into_bytes(),
        })
    }

    async fn call(&self) -> Result<()> {
        let id = self.calls.fetch_add(1, Ordering::Relaxed).to_string();
        let (answer, answered) = oneshot::channel();
        locked(&self.waiting).insert(id.clone(), answer);
        let properties = BasicProperties::default()
            .with_reply_to(DIRECT)
            .with_correlation_id(&id)
            .finish();
        let arguments = BasicPublishArguments::new("", QUEUE);
        self.channel
            .basic_publish(properties, self.body.clone(), arguments)
            .await?;
        ensure!(answered.await? == self.body.len(), "another reply");
        Ok(())
    }
}

async fn receive(mut replies: UnboundedReceiver<ConsumerMessage>, waiting: Waiting) -> Result<()> {
    while let Some(reply) = replies.recv().await {
        let properties = reply.basic_properties.context("no properties")?;
        let id = properties.correlation_id().context("no correlation id")?;
        let answer = locked(&waiting).remove(id);
        if let Some(answer) = answer {
            answer.send(reply.content.map_or(0, |body| body.len())).ok();
        }
    }
    Ok(())
}

fn locked(waiting: &Waiting) -> MutexGuard<'_, HashMap<String, oneshot::Sender<usize>>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn consume(channel: &Channel, queue: &str) -> Result<UnboundedReceiver<ConsumerMessage>> {
    let arguments = BasicConsumeArguments::new(queue, "")
        .manual_ack(false)
        .finish();
    Ok(channel.basic_consume_rx(arguments).await?.1)
}

async fn channel(connection: &Connection) -> Result<Channel> {
    let channel = connection.open_channel(None).await?;
    channel.register_callback(DefaultChannelCallback).await?;
    Ok(channel)
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
