//! Publishing over AMQP: the channels of a supervised connection, or one channel that is given.

use std::{future::ready, sync::Arc, time::Duration};

use lapin::{
    Channel, Confirmation, ExchangeKind,
    message::BasicReturnMessage,
    options::{BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions},
    types::{FieldTable, ShortString},
};
use tidings_core::{Error, ErrorKind, Result, call::Message, transport::BoxFuture};
use tokio::time::{sleep, timeout};

use super::line::{Line, Loss, Refusal, Returned, Source, Verdict};
use crate::{
    connection::{Generation, Supervised},
    envelope, error,
};

/// How long the broker may take to open a channel, or to answer a probe.
const PATIENCE: Duration = Duration::from_secs(10);

/// After how many channels that do not open the connection is given up. With lapin 4.12 the number of a channel that the
/// broker has closed with an error is of no use any more, so a connection can run out of them: measured, after 2,047.
const ATTEMPTS: u32 = 3;

/// The pause between two attempts to open a channel.
const PAUSE: Duration = Duration::from_millis(100);

/// The channels for publishing on a supervised connection: one at a time, each until it dies.
pub(super) struct Outbound(pub(super) Supervised);

impl Source for Outbound {
    type Line = AmqpLine;

    fn open(&mut self) -> BoxFuture<'static, Result<AmqpLine>> {
        let connection = self.0.clone();
        Box::pin(async move {
            loop {
                let generation = connection.up().await?;
                if let Some(channel) = open_on(&generation).await {
                    return Ok(AmqpLine::new(channel, generation, false));
                }
            }
        })
    }

    fn trouble(&self) -> String {
        let trouble = self.0.impairment();
        trouble.unwrap_or_else(|| "a channel is being opened".to_owned())
    }

    fn is_blocked(&self) -> bool {
        self.0.is_blocked()
    }

    fn ended(&self) -> Error {
        error::closed()
    }
}

/// A channel on this connection; `None` if the connection is no good. One from which the broker does not read is good, and
/// waited for.
async fn open_on(generation: &Generation) -> Option<Channel> {
    let mut why = String::new();
    for _ in 0..ATTEMPTS {
        tokio::select! {
            // Cancel-safe: both only look at a flag.
            () = generation.over() => return None,
            () = generation.unblocked() => {}
        }
        match open(generation).await {
            Ok(channel) => return Some(channel),
            Err(error) => why = error.chain(),
        }
        tokio::select! {
            // Cancel-safe: both only look at a flag or the clock.
            () = generation.over() => return None,
            () = sleep(PAUSE) => {}
        }
    }
    generation.end(format!("cannot open a channel for publishing: {why}"));
    None
}

/// A channel in confirm mode.
async fn open(generation: &Generation) -> Result<Channel> {
    let opening = async {
        let channel = generation.channel().await?;
        let options = ConfirmSelectOptions::default();
        match channel.confirm_select(options).await {
            Ok(()) => Ok(channel),
            Err(failed) => Err(error::of_channel(
                &failed,
                "cannot turn publisher confirms on",
            )),
        }
    };
    timeout(PATIENCE, opening).await.unwrap_or_else(|_| {
        let context = format!("RabbitMQ has not opened a channel within {PATIENCE:?}");
        Err(Error::new(ErrorKind::Timeout, context))
    })
}

/// One channel that somebody else consumes on: when it is gone, there is no other.
pub(super) struct Given(Option<AmqpLine>);

impl Given {
    /// Turns confirms on.
    pub(super) async fn prepare(channel: Channel, generation: Generation) -> Result<Self> {
        let options = ConfirmSelectOptions::default();
        match channel.confirm_select(options).await {
            Ok(()) => Ok(Self(Some(AmqpLine::new(channel, generation, true)))),
            Err(failed) => {
                generation.suspect(&failed);
                Err(error::of_channel(
                    &failed,
                    "cannot turn publisher confirms on",
                ))
            }
        }
    }
}

impl Source for Given {
    type Line = AmqpLine;

    fn open(&mut self) -> BoxFuture<'static, Result<AmqpLine>> {
        let line = self.0.take();
        Box::pin(ready(line.ok_or_else(inbox_ended)))
    }

    fn trouble(&self) -> String {
        "the channel of this inbox has ended".to_owned()
    }

    fn is_blocked(&self) -> bool {
        false
    }

    fn ended(&self) -> Error {
        inbox_ended()
    }
}

pub(super) fn inbox_ended() -> Error {
    Error::new(
        ErrorKind::Closed,
        "the inbox has ended with its connection to RabbitMQ: open another and ask again",
    )
}

/// A channel of lapin in confirm mode.
pub(super) struct AmqpLine {
    channel: Arc<Channel>,
    generation: Generation,
    is_precious: bool,
}

impl AmqpLine {
    fn new(channel: Channel, generation: Generation, is_precious: bool) -> Self {
        Self {
            channel: Arc::new(channel),
            generation,
            is_precious,
        }
    }
}

impl Line for AmqpLine {
    fn send(
        &self,
        message: &Arc<Message>,
        mandatory: bool,
    ) -> impl Future<Output = Verdict> + Send + 'static {
        send(Arc::clone(&self.channel), Arc::clone(message), mandatory)
    }

    fn probe(&self, message: &Arc<Message>, mandatory: bool) -> BoxFuture<'static, Verdict> {
        let (generation, message) = (self.generation.clone(), Arc::clone(message));
        let is_precious = self.is_precious;
        Box::pin(async move {
            let probing = async {
                if !is_precious {
                    return send_aside(&generation, message, mandatory).await;
                }
                // Whoever consumes on a precious channel wants the answers there, so the message must go that way, with
                // all others: what comes back would be taken for another's if this one's confirm were waited for aside.
                match look(&generation, &message).await {
                    Ok(()) => Verdict::Welcome,
                    Err(loss) => Verdict::Lost(loss),
                }
            };
            timeout(PATIENCE, probing).await.unwrap_or_else(|_| {
                Verdict::Lost(Loss::Gone(format!("no answer within {PATIENCE:?}")))
            })
        })
    }

    fn is_precious(&self) -> bool {
        self.is_precious
    }

    fn generation(&self) -> u64 {
        self.generation.number()
    }

    fn over(&self) -> BoxFuture<'static, ()> {
        let generation = self.generation.clone();
        Box::pin(async move { generation.over().await })
    }

    fn why(&self) -> String {
        self.generation.why()
    }

    fn blocked(&self) -> Option<String> {
        self.generation.blocked()
    }

    fn unblocked(&self) -> BoxFuture<'static, ()> {
        let generation = self.generation.clone();
        Box::pin(async move { generation.unblocked().await })
    }

    fn condemn(&self, why: String) {
        self.generation.end(why);
    }
}

async fn send(channel: Arc<Channel>, message: Arc<Message>, mandatory: bool) -> Verdict {
    let properties = match envelope::properties(&message.envelope) {
        Ok(properties) => properties,
        Err(error) => return Verdict::Unwritable(error),
    };
    let options = BasicPublishOptions {
        mandatory,
        ..BasicPublishOptions::default()
    };
    let address = &message.address;
    let publishing = channel.basic_publish(
        // Both were measured when the publish was handed over.
        ShortString::from(&*address.exchange),
        ShortString::from(&*address.key),
        options,
        &message.envelope.payload.bytes,
        properties,
    );
    let confirmed = match publishing.await {
        Ok(confirm) => confirm.await,
        Err(error) => Err(error),
    };
    match confirmed {
        Ok(Confirmation::Ack(returned)) => Verdict::Confirmed(returned.map(returned_message)),
        Ok(Confirmation::Nack(returned)) => Verdict::Nacked(returned.map(returned_message)),
        Ok(Confirmation::NotRequested) => Verdict::Lost(Loss::Gone(
            "the channel has no publisher confirms".to_owned(),
        )),
        Err(error) => Verdict::Lost(loss(&error)),
    }
}

/// Publishes on a channel that is opened for this and closed afterwards.
async fn send_aside(generation: &Generation, message: Arc<Message>, mandatory: bool) -> Verdict {
    let Some(channel) = open_on(generation).await.map(Arc::new) else {
        return Verdict::Lost(Loss::Gone(generation.why()));
    };
    let verdict = send(Arc::clone(&channel), message, mandatory).await;
    if !matches!(verdict, Verdict::Lost(_)) {
        // If it does not close, it ends with its connection.
        let _closed = channel.close(200, "done".into()).await.is_ok();
    }
    verdict
}

/// Asks on another channel whether the exchange of a message exists.
async fn look(generation: &Generation, message: &Message) -> Result<(), Loss> {
    let opened = open_on(generation).await;
    let channel = opened.ok_or_else(|| Loss::Gone(generation.why()))?;
    let options = ExchangeDeclareOptions {
        passive: true,
        ..ExchangeDeclareOptions::default()
    };
    let looked = channel
        .exchange_declare(
            ShortString::from(&*message.address.exchange),
            // Not looked at by the broker when it only looks.
            ExchangeKind::Direct,
            options,
            FieldTable::default(),
        )
        .await;
    looked.map_err(|error| loss(&error))?;
    // If it does not close, it ends with its connection.
    let _closed = channel.close(200, "done".into()).await.is_ok();
    Ok(())
}

fn returned_message(returned: BasicReturnMessage) -> Box<Returned> {
    let delivery = returned.delivery;
    Box::new(Returned {
        exchange: delivery.exchange.to_string(),
        key: delivery.routing_key.to_string(),
        payload: delivery.data,
    })
}

fn loss(error: &lapin::Error) -> Loss {
    match error.kind() {
        lapin::ErrorKind::ProtocolError(refusal) => Loss::Refused(Refusal {
            code: refusal.get_id(),
            text: refusal.get_message().to_string(),
        }),
        _ => Loss::Gone(error.to_string()),
    }
}
