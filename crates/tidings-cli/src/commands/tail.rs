//! `tidings tail`: messages as they come, copies of an exchange or a look into a queue.

use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;
use tidings::{
    Call, Settlement,
    topology::{Queue, Topology},
    transport::{Delivery, Subscription, Transport},
};
use uuid::Uuid;

use super::Session;
use crate::{
    connect,
    exit::{self, Exit},
    look::{Look, MOST},
    message,
    message::Shown,
    output,
    output::Output,
};

/// How many messages may be under way to us where each is settled as soon as it was shown.
const PREFETCH: u16 = 256;

/// The arguments of `tidings tail`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidings tail dead_letter.acme.shop.1.event.order_placed.bill
  tidings tail --exchange acme.shop --key '#' --output json
  tidings tail some_queue --take --limit 10

Of an exchange you see copies, in a queue of your own that is gone at the end; nobody else misses anything. Out of a \
queue the messages are taken, shown, and given back at the end, also by ctrl-c: they come again marked as redelivered, \
meanwhile other consumers do not get them, and a queue that counts deliveries counts this one. --take removes them.")]
pub(crate) struct Options {
    /// The queue
    #[arg(
        value_name = "QUEUE",
        required_unless_present = "exchange",
        conflicts_with_all = ["exchange", "keys"]
    )]
    queue: Option<String>,
    /// An exchange, whose messages are copied to a queue of your own
    #[arg(long, value_name = "EXCHANGE")]
    exchange: Option<String>,
    /// For which routing keys; several times if need be, and all without it
    #[arg(long = "key", value_name = "PATTERN", requires = "exchange")]
    keys: Vec<String>,
    /// Waits for further messages instead of ending when the queue has been seen; always so with an exchange
    #[arg(long, short)]
    follow: bool,
    /// Ends after so many messages
    #[arg(long, short = 'n', value_name = "N")]
    limit: Option<u64>,
    /// Takes the messages out of the queue for good
    #[arg(long, conflicts_with = "exchange")]
    take: bool,
}

/// Shows messages.
pub(crate) async fn run(options: Options, session: &Session) -> Result<Exit> {
    let transport = session.connection.open(&session.stop).await?;
    let done = match (&options.queue, &options.exchange) {
        (Some(queue), _) => {
            let queue = Arc::from(queue.as_str());
            if options.follow {
                options.follow(&*transport, queue, session).await
            } else {
                options.look(&*transport, &queue, session).await
            }
        }
        (None, Some(exchange)) => options.copies(&*transport, exchange, session).await,
        (None, None) => Err(exit::usage("say what to show: QUEUE, or --exchange NAME")),
    };
    connect::close(&*transport, done).await
}

impl Options {
    /// What is in the queue now.
    async fn look(
        &self,
        transport: &dyn Transport,
        queue: &Arc<str>,
        session: &Session,
    ) -> Result<Exit> {
        let most = self.limit.unwrap_or(u64::MAX);
        let mut look = match self.take {
            true => Look::through(transport, queue, most, &session.stop).await?,
            false => Look::into(transport, queue, most, &session.stop).await?,
        };
        let mut held = Vec::new();
        while let Some(delivery) = until_stopped(look.next().await)? {
            show(delivery.call(), session.output)?;
            self.done_with(delivery, &mut held).await?;
        }
        let unseen = look.waiting().saturating_sub(look.seen());
        if unseen > 0 && self.limit.is_none() && !session.output.is_json() {
            output::note(format_args!(
                "note: {} more: held back, with another consumer, or beyond the {MOST} that can be held",
                message::count(unseen, "message")
            ));
        }
        Ok(Exit::Ok)
    }

    /// What is in the queue, and what comes.
    async fn follow(
        &self,
        transport: &dyn Transport,
        queue: Arc<str>,
        session: &Session,
    ) -> Result<Exit> {
        let limit = self.limit.unwrap_or(u64::MAX);
        // What is given back at the end stays unsettled until then; what is taken or copied does not.
        let prefetch = match self.take || self.exchange.is_some() {
            true => PREFETCH,
            false => u16::MAX,
        };
        let prefetch = u16::try_from(limit).unwrap_or(prefetch).min(prefetch);
        let to = Subscription::to(Arc::clone(&queue))
            .with_prefetch(prefetch)
            .with_name("tidings");
        let mut subscriber = transport.subscribe(to).await?;
        let mut held = Vec::new();
        for number in 0..limit {
            if number == MOST && prefetch == u16::MAX {
                return Err(exit::usage(format!(
                    "{MOST} messages are held, which is as many as a subscription may have: use --take to go on"
                )));
            }
            let next = tokio::select! {
                next = subscriber.next() => next, // Cancel-safe: promised by `Subscriber::next`.
                () = session.stop.requested() => break, // Cancel-safe: it only looks at a flag.
            };
            let Some(delivery) = next else {
                break;
            };
            let delivery = delivery.with_context(|| format!("cannot read queue `{queue}`"))?;
            show(delivery.call(), session.output)?;
            self.done_with(delivery, &mut held).await?;
        }
        Ok(Exit::Ok)
    }

    /// Copies of what comes through an exchange.
    async fn copies(
        &self,
        transport: &dyn Transport,
        exchange: &str,
        session: &Session,
    ) -> Result<Exit> {
        let queue: Arc<str> = format!("tidings.tail.{}", Uuid::new_v4()).into();
        let mut topology = Topology::new().queue(Queue::exclusive(Arc::clone(&queue)));
        let all = ["#".to_owned()];
        let keys = if self.keys.is_empty() {
            &all[..]
        } else {
            &self.keys
        };
        for key in keys {
            topology = topology.bind(exchange, Arc::clone(&queue), key.as_str());
        }
        let declared = transport.declare(&topology).await;
        declared.with_context(|| format!("cannot listen to exchange `{exchange}`"))?;
        if !session.output.is_json() {
            output::note(format_args!(
                "listening to `{exchange}` for {}, ctrl-c ends",
                keys.join(", ")
            ));
        }
        self.follow(transport, queue, session).await
    }

    /// Takes the message, or keeps it from the others until the end.
    async fn done_with(&self, delivery: Delivery, held: &mut Vec<Delivery>) -> Result<()> {
        if self.take || self.exchange.is_some() {
            delivery
                .settle(Settlement::Ack)
                .await
                .context("cannot take the message out of its queue")?;
        } else {
            held.push(delivery);
        }
        Ok(())
    }
}

/// Being interrupted is how this command ends.
fn until_stopped<T>(next: Result<Option<T>>) -> Result<Option<T>> {
    match next {
        Err(error) if error.is::<exit::Stopped>() => Ok(None),
        next => next,
    }
}

fn show(call: &Call, output: Output) -> Result<()> {
    output.item(&Shown::of(call), || message::people(call, output))
}
