//! A spool that is a queue on a second transport: another broker, or the embedded one.
//!
//! A kept message stays as it was, payload and headers; its address and the few things that would make the second
//! transport treat it differently travel in headers, and a replay takes them off again.

use std::{fmt, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tidings_core::{
    Address, Call, Completion, Delivery, Error, ErrorKind, HeaderValue, Settlement,
    call::Message,
    error::Result,
    headers::{
        SPOOLED_EXCHANGE, SPOOLED_EXPIRATION, SPOOLED_KEY, SPOOLED_OPTIONAL, SPOOLED_TRANSIENT,
    },
    topology::{Queue, Topology},
    transport::{BoxFuture, Capability, Publisher, Subscriber, Subscription, Transport},
};

use super::{Spool, WINDOW, tally::Tally};

/// How long a replay waits for a delivery before it asks again whether there is anything to wait for.
const PATIENCE: Duration = Duration::from_millis(250);
/// How often in a row it does so: after three seconds what the queue counts is not to be had at the moment.
const SILENCES: u32 = 12;

/// Keeps calls in a durable queue of a second transport.
///
/// Several processes may share one queue: each kept message is replayed by one of them.
pub struct QueueSpool {
    transport: Arc<dyn Transport>,
    publisher: Arc<dyn Publisher>,
    queue: Arc<str>,
    place: String,
}

impl QueueSpool {
    /// Declares the queue and connects to it.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] if the transport keeps nothing across a restart, else as
    /// [`Transport::declare`] and [`Transport::publisher`].
    ///
    /// # Cancel safety
    /// Yes: declaring again changes nothing.
    pub async fn open(transport: Arc<dyn Transport>, queue: impl Into<Arc<str>>) -> Result<Self> {
        let queue = queue.into();
        let place = format!("fallback queue `{queue}` on `{}:`", transport.scheme());
        let capabilities = transport.capabilities();
        capabilities.require(Capability::Durable, &place, transport.scheme())?;
        let topology = Topology::new().queue(Queue::new(Arc::clone(&queue)));
        transport.declare(&topology).await?;
        let publisher = transport.publisher().await?;
        Ok(Self {
            transport,
            publisher,
            queue,
            place,
        })
    }

    async fn replay_to(&self, to: &dyn Publisher) -> Result<u64> {
        let mut tally = Tally::default();
        // What is stored from now on is for the next replay, else one that is fed as fast as it empties never ends.
        let mut left = usize::try_from(self.waiting().await?).unwrap_or(usize::MAX);
        if left == 0 {
            return Ok(0);
        }
        let window = u16::try_from(WINDOW).unwrap_or(u16::MAX);
        let wanted = Subscription::to(Arc::clone(&self.queue))
            .with_prefetch(window)
            .with_name("tidings-replay");
        let mut subscriber = self.transport.subscribe(wanted).await?;
        while left > 0 && !tally.must_stop() {
            let deliveries = self.take(&mut *subscriber, left.min(WINDOW)).await?;
            if deliveries.is_empty() {
                break;
            }
            left -= deliveries.len();
            self.publish(deliveries, to, &mut tally).await?;
        }
        tally.finish(&self.place)
    }

    /// Some deliveries, at most `limit`; none if the queue is empty, or holds back what it counts as ready.
    async fn take(&self, subscriber: &mut dyn Subscriber, limit: usize) -> Result<Vec<Delivery>> {
        let mut taken = Vec::new();
        let mut silences = 0;
        loop {
            let next = if taken.is_empty() {
                tokio::time::timeout(PATIENCE, subscriber.next()).await.ok()
            } else {
                subscriber.next().now_or_never()
            };
            match next {
                Some(Some(delivery)) => taken.push(delivery?),
                Some(None) => return Err(self.closed()),
                None if taken.is_empty() => {
                    silences += 1;
                    if silences == SILENCES || self.waiting().await? == 0 {
                        return Ok(taken);
                    }
                    continue;
                }
                None => return Ok(taken),
            }
            if taken.len() == limit {
                return Ok(taken);
            }
        }
    }

    /// Publishes them all, then settles each as its confirm says.
    async fn publish(
        &self,
        deliveries: Vec<Delivery>,
        to: &dyn Publisher,
        tally: &mut Tally,
    ) -> Result<()> {
        let under_way: Vec<(Delivery, Completion)> = deliveries
            .into_iter()
            .map(|delivery| {
                let completion = match unwrap(delivery.call(), &self.place) {
                    Ok(call) => to.publish(call),
                    Err(error) => Completion::ready(Err(error)),
                };
                (delivery, completion)
            })
            .collect();
        let mut settled = Vec::with_capacity(under_way.len());
        for (delivery, completion) in under_way {
            let confirmed = tally.note(completion.await);
            if confirmed || self.set_aside(&delivery, tally).await? {
                settled.push(delivery.settle(Settlement::Ack));
            }
        }
        for acked in settled {
            acked.await?;
        }
        Ok(())
    }

    /// Puts a refused message at the end of the queue, so that it does not hold up the others. Returns whether it is there.
    /// While the broker is away messages are left where they are: dropping the delivery gives it back.
    async fn set_aside(&self, delivery: &Delivery, tally: &Tally) -> Result<bool> {
        if tally.must_stop() {
            return Ok(false);
        }
        let mut copy = Call::new(
            Address::queue(Arc::clone(&self.queue)),
            delivery.call().envelope.clone(),
        );
        copy.envelope.persistent = true;
        self.publisher.publish(copy).await?;
        Ok(true)
    }

    async fn waiting(&self) -> Result<u64> {
        Ok(self.status().await?.0)
    }

    /// How many messages are ready, and how many are unsettled.
    async fn status(&self) -> Result<(u64, u64)> {
        let queues = [Arc::clone(&self.queue)];
        let status = self.transport.queues(&queues).await?;
        Ok(status.first().map_or((0, 0), |queue| {
            (queue.ready, queue.unsettled.unwrap_or_default())
        }))
    }

    fn closed(&self) -> Error {
        let context = format!("{} was closed during a replay: open it again", self.place);
        Error::new(ErrorKind::Closed, context)
    }
}

impl Spool for QueueSpool {
    fn store(&self, call: Call) -> Completion {
        self.publisher.publish(wrap(call, Arc::clone(&self.queue)))
    }

    fn replay<'a>(&'a self, to: &'a dyn Publisher) -> BoxFuture<'a, Result<u64>> {
        Box::pin(self.replay_to(to))
    }

    fn kept(&self) -> BoxFuture<'_, Result<u64>> {
        Box::pin(async {
            let (ready, unsettled) = self.status().await?;
            Ok(ready + unsettled)
        })
    }
}

/// The call as it lies in the queue.
fn wrap(call: Call, queue: Arc<str>) -> Call {
    let mandatory = call.mandatory;
    let Message {
        address,
        mut envelope,
    } = Arc::unwrap_or_clone(call.into_message());
    let headers = &mut envelope.headers;
    headers.set(SPOOLED_EXCHANGE, address.exchange);
    headers.set(SPOOLED_KEY, address.key);
    if !mandatory {
        headers.set(SPOOLED_OPTIONAL, true);
    }
    if !envelope.persistent {
        headers.set(SPOOLED_TRANSIENT, true);
    }
    // In the spool nothing may expire: its time in the queue has not begun yet.
    if let Some(expiration) = envelope.properties.expiration() {
        let millis = i64::try_from(expiration.as_millis()).unwrap_or(i64::MAX);
        headers.set(SPOOLED_EXPIRATION, millis);
        envelope.properties.fields_mut().expiration = None;
    }
    envelope.persistent = true;
    Call::new(Address::queue(queue), envelope)
}

/// The call as it was before [`wrap`].
fn unwrap(kept: &Call, place: &str) -> Result<Call> {
    let mut envelope = kept.envelope.clone();
    let headers = &mut envelope.headers;
    let exchange = headers.remove(SPOOLED_EXCHANGE);
    let key = headers.remove(SPOOLED_KEY);
    let (Some(HeaderValue::Text(exchange)), Some(HeaderValue::Text(key))) = (exchange, key) else {
        let context = format!(
            "{place} holds a message without the headers `{SPOOLED_EXCHANGE}` and `{SPOOLED_KEY}`: \
             somebody else publishes there, give the fallback a queue of its own"
        );
        return Err(Error::new(ErrorKind::Corrupt, context));
    };
    let optional = headers.remove(SPOOLED_OPTIONAL).is_some();
    let transient = headers.remove(SPOOLED_TRANSIENT).is_some();
    let expiration = headers.remove(SPOOLED_EXPIRATION);
    if let Some(millis) = expiration.and_then(|millis| u64::try_from(millis.as_int()?).ok()) {
        envelope.properties.fields_mut().expiration = Some(Duration::from_millis(millis));
    }
    envelope.persistent = !transient;
    let mut call = Call::new(Address::new(exchange, key), envelope);
    call.mandatory = !optional;
    Ok(call)
}

impl fmt::Debug for QueueSpool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueSpool")
            .field("queue", &self.queue)
            .field("transport", &self.transport)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tidings_core::{Envelope, Headers, properties::Fields};

    use super::*;

    #[track_caller]
    fn check(call: &Call) {
        let kept = wrap(call.clone(), "spool".into());
        assert_eq!(kept.address, Address::queue("spool"));
        assert!(kept.envelope.persistent, "else a restart loses it");
        assert_eq!(kept.envelope.properties.expiration(), None);
        let back = unwrap(&kept, "spool").expect("it was just wrapped");
        assert_eq!(back.address, call.address);
        assert_eq!(back.envelope, call.envelope);
        assert_eq!(back.mandatory, call.mandatory);
    }

    #[test]
    fn a_kept_call_comes_back_as_it_was() {
        let fresh = Call::new(Address::new("acme", "a.b"), Envelope::new("{}"));
        check(&fresh);
        check(&fresh.unroutable_is_fine());
        let fields = Fields {
            expiration: Some(Duration::from_millis(1_500)),
            message_id: Some("m-1".into()),
            ..Fields::default()
        };
        let envelope = Envelope::new("{}")
            .with_headers(
                Headers::new()
                    .with("queue", "q")
                    .with("redelivery_count", 2_i64),
            )
            .with_properties(fields)
            .transient();
        check(&Call::new(Address::queue("q"), envelope));
    }

    #[test]
    fn a_foreign_message_is_refused_with_the_queue_named() {
        let foreign = Call::new(Address::queue("spool"), Envelope::new("{}"));
        let error = unwrap(&foreign, "fallback queue `spool`").expect_err("it has no address");
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.to_string().contains("`spool`"), "{error}");
    }
}
