//! A subscriber with patience: every wait is for an event, and every wait ends.

use std::{fmt, time::Duration};

use tidings_core::{Call, Delivery, ErrorKind, Settlement, transport::Subscriber};
use tokio::time::timeout;

use super::{
    connection::Pace,
    verdict::{Stop, Verdict},
};

/// More deliveries than any behaviour needs. A broker that hands the same message out for ever would otherwise
/// keep a behaviour busy for ever: in paused time no timeout fires while something happens.
const TOO_MANY: usize = 20_000;

/// A subscription under test.
pub struct Reader {
    subscriber: Box<dyn Subscriber>,
    queue: String,
    pace: Pace,
    taken: usize,
}

impl Reader {
    pub(super) fn new(subscriber: Box<dyn Subscriber>, queue: &str, pace: Pace) -> Self {
        Self {
            subscriber,
            queue: queue.to_owned(),
            pace,
            taken: 0,
        }
    }

    /// The next delivery.
    ///
    /// # Errors
    /// [`Stop::Failed`] if none comes, or the subscription ends.
    pub async fn take(&mut self) -> Result<Delivery, Stop> {
        let patience = self.pace.patience;
        self.count()?;
        match timeout(patience, self.subscriber.next()).await {
            Ok(Some(delivery)) => Ok(delivery?),
            Ok(None) => Err(self.failed("the subscription ended")),
            Err(_) => Err(self.failed(&format!("nothing arrived within {patience:?}"))),
        }
    }

    /// The next delivery, which must carry this text.
    ///
    /// # Errors
    /// [`Stop::Failed`] if another comes, or none.
    pub async fn take_text(&mut self, wanted: &str) -> Result<Delivery, Stop> {
        let delivery = self.take().await?;
        let got = text(delivery.call());
        if got == wanted {
            return Ok(delivery);
        }
        Err(self.failed(&format!("got `{got}`, wanted `{wanted}`")))
    }

    /// The next `count` deliveries, unsettled.
    ///
    /// # Errors
    /// [`Stop::Failed`] if fewer come.
    pub async fn take_many(&mut self, count: usize) -> Result<Vec<Delivery>, Stop> {
        let mut deliveries = Vec::with_capacity(count);
        while deliveries.len() < count {
            let next = self.take().await;
            deliveries.push(next.map_err(|stop| so_far(stop, deliveries.len(), count))?);
        }
        Ok(deliveries)
    }

    /// Takes and acks `count` deliveries and returns their texts. Takes on while acks are on their way, as a
    /// busy handler does.
    ///
    /// # Errors
    /// [`Stop::Failed`] if fewer come, or an ack fails.
    pub async fn drain(&mut self, count: usize) -> Result<Vec<String>, Stop> {
        self.settle_many(count, &Settlement::Ack).await
    }

    /// As [`drain`](Self::drain), settling in another way.
    ///
    /// # Errors
    /// [`Stop::Failed`] if fewer come, or a settlement fails.
    pub async fn settle_many(
        &mut self,
        count: usize,
        how: &Settlement,
    ) -> Result<Vec<String>, Stop> {
        let (mut texts, mut settling) = (Vec::with_capacity(count), Vec::with_capacity(count));
        while texts.len() < count {
            let next = self.take().await;
            let delivery = next.map_err(|stop| so_far(stop, texts.len(), count))?;
            texts.push(text(delivery.call()));
            settling.push(delivery.settle(how.clone()));
        }
        for settled in settling {
            settled.await?;
        }
        Ok(texts)
    }

    /// Nothing comes.
    ///
    /// # Errors
    /// [`Stop::Failed`] if something does, or the subscription ends.
    pub async fn quiet(&mut self) -> Verdict {
        match timeout(self.pace.quiet, self.subscriber.next()).await {
            Err(_) => Ok(()),
            Ok(Some(Ok(delivery))) => Err(self.failed(&format!(
                "nothing should arrive, but `{}` did",
                text(delivery.call())
            ))),
            Ok(Some(Err(error))) => Err(error.into()),
            Ok(None) => Err(self.failed("the subscription ended")),
        }
    }

    /// The subscription ends, after what was already on its way.
    ///
    /// # Errors
    /// [`Stop::Failed`] if it goes on, or breaks in another way than by being closed.
    pub async fn ended(&mut self) -> Verdict {
        loop {
            match timeout(self.pace.patience, self.subscriber.next()).await {
                Ok(None) => return Ok(()),
                Ok(Some(Ok(_))) => {}
                Ok(Some(Err(error))) if is_gone(error.kind()) => return Ok(()),
                Ok(Some(Err(error))) => return Err(error.into()),
                Err(_) => return Err(self.failed("the subscription did not end")),
            }
        }
    }

    /// The subscription ends as an inbox does: after what was on its way, with at most one error, of any kind.
    ///
    /// # Errors
    /// [`Stop::Failed`] if it goes on, or breaks more than once.
    pub async fn over(&mut self) -> Verdict {
        let mut broken = None;
        loop {
            match timeout(self.pace.patience, self.subscriber.next()).await {
                Ok(None) => return Ok(()),
                Ok(Some(Ok(_))) => {}
                Ok(Some(Err(error))) => match broken {
                    None => broken = Some(error),
                    Some(first) => {
                        let problem =
                            format!("it broke twice: {}; {}", first.chain(), error.chain());
                        return Err(self.failed(&problem));
                    }
                },
                Err(_) => return Err(self.failed("the subscription did not end")),
            }
        }
    }

    /// Asks for a delivery for at most this long and gives up by dropping the future.
    ///
    /// # Errors
    /// [`Stop::Failed`] if the subscription breaks.
    pub async fn glance(&mut self, at_most: Duration) -> Result<Option<Delivery>, Stop> {
        self.count()?;
        match timeout(at_most, self.subscriber.next()).await {
            Err(_) => Ok(None),
            Ok(Some(delivery)) => Ok(Some(delivery?)),
            Ok(None) => Err(self.failed("the subscription ended")),
        }
    }

    fn count(&mut self) -> Verdict {
        self.taken += 1;
        if self.taken > TOO_MANY {
            return Err(self.failed("the same messages come again and again"));
        }
        Ok(())
    }

    #[track_caller]
    fn failed(&self, problem: &str) -> Stop {
        Stop::failed(format_args!("queue `{}`: {problem}", self.queue))
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}

/// The payload as text.
pub(super) fn text(call: &Call) -> String {
    String::from_utf8_lossy(&call.envelope.payload.bytes).into_owned()
}

fn is_gone(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Closed | ErrorKind::Unavailable)
}

fn so_far(stop: Stop, got: usize, wanted: usize) -> Stop {
    match stop {
        Stop::Failed(problem) => Stop::Failed(format!("{problem}, after {got} of {wanted}")),
        skipped @ Stop::Skipped(_) => skipped,
    }
}
