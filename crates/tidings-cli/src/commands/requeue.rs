//! `tidings requeue`: out of one queue, through the retry exchange, back to where the routing key says.
//!
//! Takes what the command `petisco-rabbitmq -rq` of existing systems takes, short options of several letters
//! included, so that scripts need one word changed. The body goes as it is, without headers: with the broker's
//! history of deaths kept, RabbitMQ would drop the message when the retry TTL ends.

use std::{ffi::OsString, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use clap::Args;
use futures_util::{StreamExt, stream::FuturesUnordered};
use serde_json::json;
use tidings::{
    Call, Domain, Error, ErrorKind, Settlement, domain,
    transport::{Acker, Delivery, Publisher, Subscription, Transport},
};

use super::Session;
use crate::{arguments, connect, exit::Exit, message, progress::Progress, span, status};

/// How many messages are under way at a time if none has to wait.
const WINDOW: u16 = 64;

/// How long the queue may be silent before it is asked whether it is empty.
const SILENCE: Duration = Duration::from_millis(300);

/// The short options of existing scripts, which have more than one letter.
const SHORT: [(&str, &str); 7] = [
    ("-rq", "--requeue"),
    ("-cq", "--consuming-queue"),
    ("-rrk", "--retry-routing-key"),
    ("-ren", "--retry-exchange-name"),
    ("-mr", "--max-retries"),
    ("-rttl", "--retry-ttl"),
    ("-wtr", "--wait-to-requeue"),
];

/// The arguments of `tidings requeue`.
#[derive(Debug, Args)]
#[command(after_help = "\
Short options of existing scripts are understood as well:
  -rq --requeue  -cq --consuming-queue  -rrk --retry-routing-key  -ren --retry-exchange-name
  -mr --max-retries  -rttl --retry-ttl  -wtr --wait-to-requeue

Examples:
  tidings requeue -rq -o acme -s shop -cq dead_letter.acme.shop.1.event.order_placed.bill \\
      -rrk retry.acme.shop.1.event.order_placed.bill --until-empty
  tidings requeue -o acme -s shop -cq dead_letter.store -rrk retry.store -ren retry.acme.store -n 10

Each message is published to the retry exchange, confirmed, and only then removed: a crash repeats those under way and \
loses none. After the retry TTL it is in the queue that the key names. Runs until ctrl-c unless --until-empty or \
--limit is said.")]
pub(crate) struct Options {
    /// What existing scripts say first; there is nothing else to do
    #[arg(long)]
    requeue: bool,
    /// The organization, the first word of the exchange's name
    #[arg(long, short, default_value = "alice", value_name = "NAME")]
    organization: String,
    /// The service, the second word of the exchange's name
    #[arg(long, short, value_name = "NAME")]
    service: String,
    /// The queue to empty
    #[arg(long, value_name = "QUEUE")]
    consuming_queue: String,
    /// The routing key to publish with
    #[arg(long, value_name = "KEY")]
    retry_routing_key: String,
    /// The exchange to publish to [default: retry.ORGANIZATION.SERVICE]
    #[arg(long, value_name = "EXCHANGE")]
    retry_exchange_name: Option<String>,
    /// Understood and not needed: without headers the count begins anew
    #[arg(long, default_value_t = 5, value_name = "N")]
    max_retries: u32,
    /// Understood and not needed: the retry queue has its own
    #[arg(long, default_value_t = 5000, value_name = "MS")]
    retry_ttl: u64,
    /// Seconds to wait before each message
    #[arg(long, value_name = "SECONDS", value_parser = span::seconds)]
    wait_to_requeue: Option<Duration>,
    /// Ends when the queue is empty
    #[arg(long)]
    until_empty: bool,
    /// Ends after so many messages
    #[arg(long, short = 'n', value_name = "N")]
    limit: Option<u64>,
    /// Says how many messages would be requeued, and moves none
    #[arg(long)]
    dry_run: bool,
}

/// The command line with the short options of existing scripts spelled out, if this command is meant.
pub(crate) fn long_options(words: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut words: Vec<_> = words.into_iter().collect();
    if arguments::commands(&words).next().as_deref() != Some("requeue") {
        return words;
    }
    for word in &mut words {
        let Some(text) = word.to_str() else {
            continue;
        };
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        if let Some((_, long)) = SHORT.iter().find(|(short, _)| *short == name) {
            *word = match value {
                Some(value) => format!("{long}={value}").into(),
                None => (*long).into(),
            };
        }
    }
    words
}

/// Requeues.
pub(crate) async fn run(options: Options, session: &Session) -> Result<Exit> {
    let domain = Domain::new(&options.organization, &options.service)?;
    let own = Arc::clone(&domain.names().retry_exchange);
    let to = Target {
        exchange: options
            .retry_exchange_name
            .as_deref()
            .map_or(own, Arc::from),
        key: options.retry_routing_key.clone(),
        queue: options.consuming_queue.as_str().into(),
    };
    let transport = session.connection.open(&session.stop).await?;
    let done = if options.dry_run {
        dry_run(&*transport, &options, &to, session).await
    } else {
        options.move_all(&*transport, &to, session).await
    };
    connect::close(&*transport, done).await
}

/// From where to where.
#[derive(Clone, Debug)]
struct Target {
    queue: Arc<str>,
    exchange: Arc<str>,
    key: String,
}

impl Target {
    fn copy(&self, call: &Call) -> Call {
        let mut copy = domain::requeue(call, &self.exchange, &self.key);
        // A message that had to be handled by a certain time would expire on its way; and only its author may
        // publish under its author's name.
        if let Some(fields) = call.envelope.properties.fields() {
            let mut fields = fields.clone();
            fields.expiration = None;
            fields.user_id = None;
            copy.envelope.properties = fields.into();
        }
        copy
    }
}

/// Counts what is there.
async fn dry_run(
    transport: &dyn Transport,
    options: &Options,
    to: &Target,
    session: &Session,
) -> Result<Exit> {
    let waiting = status::ready(transport, &to.queue).await?;
    let would = waiting.min(options.limit.unwrap_or(u64::MAX));
    let json = json!({ "dry_run": true, "requeued": would, "queue": &*to.queue, "exchange": &*to.exchange, "key": to.key });
    session.output.document(&json, || {
        format!(
            "would requeue {} of `{}` to exchange `{}` with key `{}`\n",
            message::count(would, "message"),
            to.queue,
            to.exchange,
            to.key
        )
    })?;
    Ok(Exit::Ok)
}

impl Options {
    async fn move_all(
        &self,
        transport: &dyn Transport,
        to: &Target,
        session: &Session,
    ) -> Result<Exit> {
        let mut moved = 0;
        let result = self.moving(transport, to, session, &mut moved).await;
        let json = json!({ "dry_run": false, "requeued": moved, "queue": &*to.queue, "exchange": &*to.exchange, "key": to.key });
        session.output.document(&json, || {
            format!(
                "requeued {} of `{}` to exchange `{}` with key `{}`\n",
                message::count(moved, "message"),
                to.queue,
                to.exchange,
                to.key
            )
        })?;
        result.map(|()| Exit::Ok)
    }

    /// Moves messages until one of the ends is reached or one cannot be moved.
    async fn moving(
        &self,
        transport: &dyn Transport,
        to: &Target,
        session: &Session,
        moved: &mut u64,
    ) -> Result<()> {
        let limit = self.limit.unwrap_or(u64::MAX);
        let window = self.window();
        let publisher = transport.publisher().await?;
        let subscription = Subscription::to(Arc::clone(&to.queue))
            .with_prefetch(window)
            .with_name("tidings");
        let mut subscriber = transport.subscribe(subscription).await?;
        let progress = Progress::endless("requeued", session.output);
        let mut moving = FuturesUnordered::new();
        let (mut taken, mut more, mut result) = (0, true, Ok(()));
        while more || !moving.is_empty() {
            more &= taken < limit && !session.stop.is_requested();
            let may_take = more && moving.len() < usize::from(window);
            tokio::select! {
                // Cancel-safe: the acker inside gives the message back; the copy is then a duplicate.
                Some(done) = moving.next() => match done {
                    Ok(()) => {
                        *moved += 1;
                        progress.step();
                    }
                    Err(error) => {
                        more = false;
                        result = result.and(Err(error));
                    }
                },
                // Cancel-safe: promised by `Subscriber::next`.
                next = tokio::time::timeout(SILENCE, subscriber.next()), if may_take => match next {
                    Ok(next) => {
                        taken += 1;
                        let delivery = received(next, &to.queue)?;
                        match self.paused(session).await {
                            true => moving.push(move_one(&*publisher, to, delivery)),
                            false => more = false,
                        }
                    }
                    Err(_) if self.until_empty && moving.is_empty() => {
                        more = status::ready(transport, &to.queue).await? > 0;
                    }
                    Err(_) => {}
                },
                () = session.stop.requested(), if more => more = false, // Cancel-safe: it only looks at a flag.
            }
        }
        result
    }

    /// One at a time where each has to wait or where few are wanted: the rest is not ours to hold.
    fn window(&self) -> u16 {
        if self.wait_to_requeue.is_some() {
            return 1;
        }
        let limit = self.limit.unwrap_or(u64::MAX);
        u16::try_from(limit).unwrap_or(WINDOW).clamp(1, WINDOW)
    }

    /// Waits before a message; false if somebody wants an end meanwhile.
    async fn paused(&self, session: &Session) -> bool {
        let Some(pause) = self.wait_to_requeue else {
            return true;
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => true, // Cancel-safe: nothing but time is lost.
            () = session.stop.requested() => false, // Cancel-safe: it only looks at a flag.
        }
    }
}

fn received(next: Option<tidings::Result<Delivery>>, queue: &str) -> Result<Delivery> {
    let closed = || {
        Error::new(
            ErrorKind::Closed,
            format!("queue `{queue}` was closed: start again"),
        )
    };
    next.unwrap_or_else(|| Err(closed()))
        .with_context(|| format!("cannot read queue `{queue}`"))
}

/// Publishes the copy now; the future acks the original once the copy is confirmed.
fn move_one(
    publisher: &dyn Publisher,
    to: &Target,
    delivery: Delivery,
) -> impl Future<Output = Result<()>> + use<> {
    let copy = to.copy(delivery.call());
    let place = copy.address.to_string();
    let confirm = publisher.publish(copy);
    let (_, acker): (Call, Acker) = delivery.split();
    async move {
        confirm.await.with_context(|| {
            format!("cannot requeue to `{place}`, the message stays where it is")
        })?;
        acker
            .settle(Settlement::Ack)
            .await
            .context("requeued and not removed: the message is there twice")
    }
}

#[cfg(test)]
mod tests {
    use tidings::{Address, Envelope, Headers, transport::Fields};

    use super::*;

    fn check(line: &str, expected: &str) {
        let words = line.split(' ').map(OsString::from);
        let words = long_options(words);
        let words: Vec<_> = words.iter().map(|word| word.to_str().unwrap()).collect();
        assert_eq!(words.join(" "), expected);
    }

    #[test]
    fn short_options_of_several_letters_are_spelled_out() {
        check(
            "tidings requeue -rq -o a -s b -cq q -rrk=k -wtr 1",
            "tidings requeue --requeue -o a -s b --consuming-queue q --retry-routing-key=k --wait-to-requeue 1",
        );
        check(
            "tidings -u requeue --output json requeue -mr 1",
            "tidings -u requeue --output json requeue --max-retries 1",
        );
        check("tidings publish -rq", "tidings publish -rq");
        check(
            "tidings deadletters requeue -mr",
            "tidings deadletters requeue -mr",
        );
        check("tidings", "tidings");
    }

    #[test]
    fn the_copy_has_the_body_and_nothing_that_stops_it() {
        let mut call = Call::new(Address::queue("dead_letter.q"), Envelope::new("body"));
        call.envelope.headers = Headers::new().with("any", 1);
        call.envelope.properties = Fields {
            message_id: Some("m".into()),
            user_id: Some("u".into()),
            expiration: Some(Duration::from_secs(1)),
            ..Fields::default()
        }
        .into();
        let to = Target {
            queue: "dead_letter.q".into(),
            exchange: "retry.a.b".into(),
            key: "retry.q".into(),
        };
        let copy = to.copy(&call);
        assert_eq!(copy.address, Address::new("retry.a.b", "retry.q"));
        assert_eq!(copy.envelope.payload, call.envelope.payload);
        assert!(copy.envelope.headers.is_empty() && copy.envelope.persistent);
        let fields = copy.envelope.properties.fields().unwrap();
        assert_eq!(fields.message_id.as_deref(), Some("m"));
        assert!(fields.user_id.is_none() && fields.expiration.is_none());
    }
}
