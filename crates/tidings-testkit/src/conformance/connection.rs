//! A transport with the few steps that behaviours are written in.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use tidings_core::{
    Address, Call, Completion, Deadline, Envelope, ErrorKind, Result,
    topology::{Queue, Topology},
    transport::{Publisher, QueueStatus, Subscriber, Subscription, Transport},
};
use tokio::time::sleep;

use super::{
    harness::{Harness, Time},
    reader::Reader,
    verdict::{Stop, Verdict},
};

/// How soon a state that is not as wanted is asked for again, at first.
const FIRST_PAUSE: Duration = Duration::from_millis(2);

/// How long behaviours wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// After this long without the expected event, it will not come.
    pub(super) patience: Duration,
    /// After this long without an unwanted event, it is taken not to come.
    pub(super) quiet: Duration,
}

impl Pace {
    /// The pace that a harness asks for.
    pub(super) fn of(harness: &dyn Harness) -> Self {
        let pace = match harness.time() {
            Time::Real => Self::REAL,
            Time::Virtual => Self::VIRTUAL,
        };
        Self {
            patience: harness.patience(),
            ..pace
        }
    }

    /// For clocks that really run. The quiet time is short because behaviours that need it also check, by a
    /// later message or by the queue's counts, that nothing was there.
    pub(super) const REAL: Self = Self {
        patience: Duration::from_secs(20),
        quiet: Duration::from_millis(60),
    };

    /// For paused time, where waiting costs nothing.
    pub(super) const VIRTUAL: Self = Self {
        patience: Duration::from_secs(3_600),
        quiet: Duration::from_secs(60),
    };
}

/// A connection to the broker under test.
#[derive(Clone, Debug)]
pub struct Connection {
    transport: Arc<dyn Transport>,
    pace: Pace,
}

impl Connection {
    /// A connection through this transport.
    #[must_use]
    pub(super) fn new(transport: Arc<dyn Transport>, pace: Pace) -> Self {
        Self { transport, pace }
    }

    /// The transport.
    #[must_use]
    pub fn transport(&self) -> &Arc<dyn Transport> {
        &self.transport
    }

    /// Makes a topology exist.
    ///
    /// # Errors
    /// As [`Transport::declare`].
    pub async fn declare(&self, topology: Topology) -> Result<()> {
        self.transport.declare(&topology).await
    }

    /// Makes a plain queue exist.
    ///
    /// # Errors
    /// As [`Transport::declare`].
    pub async fn queue(&self, name: &str) -> Result<()> {
        self.declare(Topology::new().queue(Queue::new(name))).await
    }

    /// A publisher.
    ///
    /// # Errors
    /// As [`Transport::publisher`].
    pub async fn publisher(&self) -> Result<Arc<dyn Publisher>> {
        self.transport.publisher().await
    }

    /// Publishes one text and waits for the confirm.
    ///
    /// # Errors
    /// As [`Publisher::publish`].
    pub async fn publish(&self, to: Address, text: &str) -> Result<()> {
        self.publish_call(text_call(to, text)).await
    }

    /// Publishes one call and waits for the confirm.
    ///
    /// # Errors
    /// As [`Publisher::publish`].
    pub async fn publish_call(&self, call: Call) -> Result<()> {
        self.publisher().await?.publish(call).await
    }

    /// Publishes the numbers from 0 to `count` as texts to a queue, awaiting the confirms afterwards.
    ///
    /// # Errors
    /// The first publish that failed.
    pub async fn fill(&self, queue: &str, count: usize) -> Result<()> {
        let publisher = self.publisher().await?;
        let confirms: Vec<Completion> = (0..count)
            .map(|number| publisher.publish(text_call(Address::queue(queue), &number.to_string())))
            .collect();
        join_all(confirms).await.into_iter().collect()
    }

    /// Subscribes to a queue.
    ///
    /// # Errors
    /// As [`Transport::subscribe`].
    pub async fn reader(&self, queue: &str, prefetch: u16) -> Result<Reader> {
        let subscription = Subscription::to(queue).with_prefetch(prefetch);
        let subscriber = self.transport.subscribe(subscription).await?;
        Ok(Reader::new(subscriber, queue, self.pace))
    }

    /// Reads what another subscriber receives.
    #[must_use]
    pub(super) fn reading(&self, subscriber: Box<dyn Subscriber>, name: &str) -> Reader {
        Reader::new(subscriber, name, self.pace)
    }

    /// The state of one queue.
    ///
    /// # Errors
    /// [`Stop::Failed`] unless exactly this queue is reported.
    pub async fn status(&self, queue: &str) -> Result<QueueStatus, Stop> {
        let mut found = self.transport.queues(&[Arc::from(queue)]).await?;
        match found.pop() {
            Some(status) if found.is_empty() && &*status.name == queue => Ok(status),
            other => Err(Stop::failed(format_args!(
                "asked for the state of `{queue}`, got {other:?} and {found:?}"
            ))),
        }
    }

    /// Waits until the state of a queue is as wanted, which `what` names: a broker over a network may count a moment
    /// late.
    ///
    /// # Errors
    /// [`Stop::Failed`] with the last state if it does not become so.
    pub async fn status_when(
        &self,
        queue: &str,
        what: &str,
        wanted: impl Fn(&QueueStatus) -> bool,
    ) -> Result<QueueStatus, Stop> {
        let deadline = Deadline::after(self.pace.patience);
        let mut pause = FIRST_PAUSE;
        loop {
            let status = self.status(queue).await?;
            if wanted(&status) {
                return Ok(status);
            }
            if deadline.is_past() {
                return Err(Stop::failed(format_args!("wanted {what}, got {status:?}")));
            }
            sleep(pause).await;
            pause = (pause * 2).min(self.pace.patience / 100);
        }
    }

    /// Waits until so many messages of a queue are ready.
    ///
    /// # Errors
    /// As [`status_when`](Self::status_when).
    pub async fn wait_ready(&self, queue: &str, ready: u64) -> Verdict {
        let wanted = |status: &QueueStatus| status.ready == ready;
        let what = format!("{ready} ready messages");
        self.status_when(queue, &what, wanted).await.map(drop)
    }

    /// Waits until so many messages of a queue are ready, and so many unsettled where the transport can tell.
    ///
    /// # Errors
    /// As [`status_when`](Self::status_when).
    pub async fn wait_counts(&self, queue: &str, ready: u64, unsettled: u64) -> Verdict {
        let what = format!("{ready} ready and {unsettled} unsettled messages");
        let wanted = |status: &QueueStatus| {
            status.ready == ready && status.unsettled.is_none_or(|count| count == unsettled)
        };
        self.status_when(queue, &what, wanted).await.map(drop)
    }

    /// Waits until a queue is gone.
    ///
    /// # Errors
    /// [`Stop::Failed`] if it stays, or cannot be asked for.
    pub async fn wait_gone(&self, queue: &str) -> Verdict {
        let deadline = Deadline::after(self.pace.patience);
        let mut pause = FIRST_PAUSE;
        loop {
            match self.transport.queues(&[Arc::from(queue)]).await {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
                // While it is going, it may still belong to the connection that has ended.
                Err(error) if error.kind() != ErrorKind::Denied => return Err(error.into()),
                still if deadline.is_past() => {
                    return Err(Stop::failed(format_args!("`{queue}` stays: {still:?}")));
                }
                _ => {}
            }
            sleep(pause).await;
            pause = (pause * 2).min(self.pace.patience / 100);
        }
    }

    /// Closes it.
    ///
    /// # Errors
    /// As [`Transport::close`].
    pub async fn close(&self) -> Result<()> {
        self.transport
            .close(Deadline::after(self.pace.patience))
            .await
    }

    /// How long to wait for what must not come.
    #[must_use]
    pub fn quiet_time(&self) -> Duration {
        self.pace.quiet
    }

    /// How long to wait for an event.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.pace.patience
    }
}

/// A call with a text for a payload.
pub(super) fn text_call(to: Address, text: &str) -> Call {
    Call::new(to, Envelope::new(text.to_owned()))
}
