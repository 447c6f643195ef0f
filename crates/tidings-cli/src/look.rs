//! What is in a queue at this moment, message by message, without taking it away.
//!
//! A message that was looked at stays unsettled until the look ends, else the broker would deliver it again and
//! again: so a look is bounded by how many deliveries may be unsettled. Every delivery is handed out with the
//! right to settle it; whoever drops it gives it back.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use tidings::{
    Error, ErrorKind,
    transport::{Delivery, Subscriber, Subscription, Transport},
};

use crate::{exit::Stopped, status, stop::Stop};

/// How many messages of one queue can be looked at: what a subscription may have unsettled.
pub(crate) const MOST: u64 = 65_535;

/// How many messages may be on their way to us where each is settled.
const WINDOW: u16 = 256;

/// How long a queue may be silent before it is asked whether others have emptied it.
const SILENCE: Duration = Duration::from_millis(500);

/// After how many silences in a row the rest is left alone: it is held back, or others have it.
const SILENCES: u32 = 4;

/// A look into one queue.
pub(crate) struct Look<'a> {
    transport: &'a dyn Transport,
    stop: &'a Stop,
    queue: Arc<str>,
    subscriber: Box<dyn Subscriber>,
    /// How many messages are still to come.
    left: u64,
    waiting: u64,
    seen: u64,
}

impl<'a> Look<'a> {
    /// Looks at what is in the queue now, at `most` messages at most and never at more than can be held.
    pub(crate) async fn into(
        transport: &'a dyn Transport,
        queue: &Arc<str>,
        most: u64,
        stop: &'a Stop,
    ) -> Result<Self> {
        let waiting = status::ready(transport, queue).await?;
        let left = waiting.min(most).min(MOST);
        let prefetch = u16::try_from(left).unwrap_or(u16::MAX);
        Self::open(transport, queue, (waiting, left), prefetch, stop).await
    }

    /// Takes what is in the queue now, `most` messages at most. Each is to be settled before many more come.
    pub(crate) async fn through(
        transport: &'a dyn Transport,
        queue: &Arc<str>,
        most: u64,
        stop: &'a Stop,
    ) -> Result<Self> {
        let waiting = status::ready(transport, queue).await?;
        let left = waiting.min(most);
        let prefetch = u16::try_from(left).unwrap_or(WINDOW).min(WINDOW);
        Self::open(transport, queue, (waiting, left), prefetch, stop).await
    }

    async fn open(
        transport: &'a dyn Transport,
        queue: &Arc<str>,
        (waiting, left): (u64, u64),
        prefetch: u16,
        stop: &'a Stop,
    ) -> Result<Self> {
        let to = Subscription::to(Arc::clone(queue))
            .with_prefetch(prefetch)
            .with_name("tidings");
        let subscriber = transport.subscribe(to).await?;
        Ok(Self {
            transport,
            stop,
            queue: Arc::clone(queue),
            subscriber,
            left,
            waiting,
            seen: 0,
        })
    }

    /// The next message; `None` at the end of what was there when the look began.
    ///
    /// # Cancel safety
    /// Yes: a message that was not handed out goes back.
    pub(crate) async fn next(&mut self) -> Result<Option<Delivery>> {
        let mut silences = 0;
        while self.left > 0 && silences < SILENCES {
            let next = tokio::select! {
                // Cancel-safe: promised by `Subscriber::next`.
                next = tokio::time::timeout(SILENCE, self.subscriber.next()) => next,
                () = self.stop.requested() => return Err(Stopped.into()), // Cancel-safe: it only looks at a flag.
            };
            let Ok(next) = next else {
                silences += 1;
                let waiting = status::ready(self.transport, &self.queue).await?;
                self.left = self.left.min(waiting);
                continue;
            };
            self.left -= 1;
            self.seen += 1;
            let delivery = next.unwrap_or_else(|| Err(self.closed()));
            return delivery
                .with_context(|| format!("cannot read queue `{}`", self.queue))
                .map(Some);
        }
        Ok(None)
    }

    /// How many messages waited when the look began.
    pub(crate) fn waiting(&self) -> u64 {
        self.waiting
    }

    /// How many of them were handed out.
    pub(crate) fn seen(&self) -> u64 {
        self.seen
    }

    fn closed(&self) -> Error {
        Error::new(
            ErrorKind::Closed,
            format!("queue `{}` was closed: start again", self.queue),
        )
    }
}
