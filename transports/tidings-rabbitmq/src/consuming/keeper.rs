//! The task that keeps one subscription alive: as long as somebody reads, there is a consumer.
//!
//! It serves one attachment after the other. An attachment ends with its connection, with its channel (the broker closes
//! one whose consumer is too slow, for example) or alone (the broker cancels the consumers of a queue that is
//! deleted). What ends is logged once; the attempts to come back are not.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use tidings_core::{
    Error, ErrorKind, acker::Settle, topology::arguments::STREAM_OFFSET, transport::Subscription,
};
use tokio::time::{Instant, MissedTickBehavior, Sleep, interval_at, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    connection::{Backoff, Generation, Supervised},
    consuming::{
        attachment::{Attachment, Ended, no_queue},
        board::Board,
        handover::Handover,
    },
    declaring::{Record, Restoration},
    publishing::Publishing,
};

/// How long an ack waits for others to leave with.
const GATHERING: Duration = Duration::from_millis(1);

/// How often the keeper looks whether the consumer is still there, in case nobody waits for its deliveries.
const LOOK: Duration = Duration::from_secs(1);

/// After this long, an attachment counts as a good one, and the next failure as the first.
const STEADY: Duration = Duration::from_secs(10);

/// How long the broker may take to close a channel between two lives: nothing depends on its answer.
const PARTING: Duration = Duration::from_secs(5);

/// Everything that one subscription needs to come back.
#[derive(Debug)]
pub(crate) struct Keeper {
    pub(crate) number: u64,
    pub(crate) subscription: Subscription,
    pub(crate) connection: Supervised,
    pub(crate) publishing: Publishing,
    pub(crate) record: Arc<Record>,
    pub(crate) board: Arc<Board>,
    pub(crate) handover: Arc<Handover>,
    /// The whole transport is closing.
    pub(crate) closing: CancellationToken,
}

/// Why an attachment is served no longer.
enum Stop {
    Ended(Ended),
    /// Its subscriber is gone.
    Left,
    Closing,
}

impl Keeper {
    /// Serves until the subscriber is gone, the transport is closed or the queue is gone for good.
    pub(crate) async fn run(mut self, first: Attachment) {
        let (mut attachment, mut backoff) = (first, Backoff::default());
        loop {
            let since = Instant::now();
            match self.serve(&attachment).await {
                Stop::Left => return self.part(attachment).await,
                Stop::Closing => {
                    self.handover.end(None);
                    return attachment.close().await;
                }
                Stop::Ended(ended) => self.report(&ended),
            }
            // What was not handed out comes again.
            self.handover.begin_life(None);
            if let Some(offset) = attachment.resume_at() {
                self.subscription.arguments.set(STREAM_OFFSET, offset);
            }
            let _closed = timeout(PARTING, attachment.close()).await.is_ok();
            if since.elapsed() >= STEADY {
                backoff = Backoff::default();
            }
            tokio::select! {
                // Cancel-safe: what has been attached and is dropped was never handed over.
                next = self.again(&mut backoff) => match next {
                    Some(next) => attachment = next,
                    None => return,
                },
                () = self.handover.left() => return,
                () = self.closing.cancelled() => return,
            }
        }
    }

    /// Hands deliveries over and sends acks that have waited.
    async fn serve(&self, attachment: &Attachment) -> Stop {
        let (generation, settle) = (
            attachment.generation.clone(),
            Arc::clone(&attachment.settle),
        );
        let (mut left, mut closing) = (pin!(self.handover.left()), pin!(self.closing.cancelled()));
        let (mut over, mut news) = (pin!(generation.over()), pin!(settle.news()));
        let (mut timer, mut seen) = (pin!(sleep(GATHERING)), None);
        let (mut looks, mut due) = (interval_at(Instant::now() + LOOK, LOOK), false);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // Cancel-safe: all of them are kept and polled again, or only look.
            tokio::select! {
                biased;
                () = &mut closing => return Stop::Closing,
                () = &mut left => return Stop::Left,
                () = &mut over => return Stop::Ended(Ended::Lost(generation.why())),
                ended = poll_fn(|cx| self.handover.poll_ended(due, cx)) => {
                    return Stop::Ended(attachment.judge(ended.as_ref()));
                }
                () = &mut news => {
                    news.set(settle.news());
                    seen = settle.attend(None);
                }
                () = worth_a_look(timer.as_mut(), generation.unblocked()), if seen.is_some() => {
                    seen = settle.attend(seen);
                }
                () = self.handover.ending() => {}
                _ = looks.tick() => {
                    due = true;
                    continue;
                }
            }
            due = false;
            if seen.is_some() {
                timer.as_mut().reset(Instant::now() + GATHERING);
            }
        }
    }

    fn report(&self, ended: &Ended) {
        let queue = &*self.subscription.queue;
        let reason = match ended {
            Ended::Cancelled => "the broker has cancelled the consumer",
            Ended::Lost(why) => why,
        };
        tracing::warn!(queue, reason, "the consumer is gone, attaching another one");
        self.impair(format!("no consumer, attaching another one: {reason}"));
    }

    fn impair(&self, reason: String) {
        self.board
            .impair(self.number, &self.subscription.queue, reason);
    }

    /// The next attachment; `None` if there can be none.
    async fn again(&self, backoff: &mut Backoff) -> Option<Attachment> {
        loop {
            // Once the connection is closed for good there is nothing to wait for.
            let generation = self.connection.up().await.ok()?;
            if backoff.attempts() > 0 {
                sleep_until(Instant::now() + backoff.next()).await;
            } else {
                backoff.next();
            }
            let opening =
                Attachment::open(generation.clone(), &self.subscription, &self.publishing);
            let failed = match opening.await {
                Ok(attachment) => {
                    self.board.clear(self.number);
                    let queue = &*self.subscription.queue;
                    self.record.is_there(queue);
                    tracing::info!(queue, "consuming again");
                    let settle: Arc<dyn Settle> = Arc::clone(&attachment.settle) as _;
                    self.handover
                        .begin_life(Some((settle, attachment.source.clone())));
                    return Some(attachment);
                }
                Err(failed) if generation.is_over() => failed,
                Err(failed) if failed.kind() == ErrorKind::NotFound => {
                    self.bring_back(&generation).await?
                }
                Err(failed) => failed,
            };
            tracing::debug!(queue = &*self.subscription.queue, error = %failed.chain(), "no consumer yet");
            self.impair(format!(
                "no consumer, attaching another one: {}",
                failed.chain()
            ));
        }
    }

    /// Declares the queue again, if it was declared through this transport. Returns why it is worth to go on;
    /// `None` ends the subscription.
    async fn bring_back(&self, generation: &Generation) -> Option<Error> {
        let queue = &*self.subscription.queue;
        match self.record.restore_queue(queue, generation).await {
            Ok(Restoration::Restored) => {
                tracing::error!(
                    queue,
                    "the queue was deleted under its consumer, with the messages in it; it is declared again"
                );
                Some(no_queue(queue))
            }
            Ok(Restoration::Refused(refused)) => Some(refused),
            Ok(Restoration::Unknown) => {
                let context = format!(
                    "queue `{queue}` was deleted under its consumer, and it was not declared through this transport: declare it and subscribe again"
                );
                // A subscription that has ended is no impairment: its reader knows.
                self.board.clear(self.number);
                self.handover
                    .end(Some(Error::new(ErrorKind::NotFound, context)));
                None
            }
            Err(failed) => Some(failed),
        }
    }

    /// The subscriber is gone: what it did not see goes back, and the channel stays until the last acker is gone.
    async fn part(&self, attachment: Attachment) {
        let generation = attachment.generation.clone();
        tokio::select! {
            // Cancel-safe: the deliveries of a lost connection go back by themselves, and `close` may come again.
            () = Self::settle_all(&self.handover, &attachment) => {}
            () = generation.over() => {}
            () = self.closing.cancelled() => {}
        }
        // All that waits has been queued; a broker that does not answer must not keep the task.
        let _closed = timeout(PARTING, attachment.close()).await.is_ok();
    }

    async fn settle_all(handover: &Handover, attachment: &Attachment) {
        // First the cancel: else the broker would send at once what is given back.
        let late = attachment.cancel().await;
        let unseen = handover.leftovers();
        let settle = Arc::clone(&attachment.settle);
        settle.return_unseen(unseen.iter().map(|delivery| delivery.delivery_tag));
        settle.return_unseen(late);
        // Nobody has looked after them since the last look of `serve`.
        let mut seen = settle.attend(None);
        while !settle.is_settled() {
            let (timer, unblocked) = (pin!(sleep(GATHERING)), attachment.generation.unblocked());
            tokio::select! {
                // Cancel-safe: news are kept, and a pause has nothing to lose.
                () = settle.news() => seen = settle.attend(None),
                () = worth_a_look(timer, unblocked), if seen.is_some() => {
                    seen = settle.attend(seen);
                }
            }
        }
    }
}

/// Resolves when acks that wait are worth another look: after a while, and not before the broker reads. Until then nothing
/// is written, neither they nor the answers that some of them wait for.
///
/// # Cancel safety
/// Yes: the timer is kept, and the rest only looks.
async fn worth_a_look(timer: Pin<&mut Sleep>, unblocked: impl Future<Output = ()>) {
    timer.await;
    unblocked.await;
}

/// However its task ends, nobody waits for it any more.
impl Drop for Keeper {
    fn drop(&mut self) {
        self.handover.end(None);
        self.board.clear(self.number);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;
    use tokio::{sync::watch, time::advance};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn nobody_looks_at_acks_before_the_broker_reads() {
        let (blocks, mut blocked) = watch::channel(true);
        let unblocked = async {
            let _still_here = blocked.wait_for(|blocked| !blocked).await.is_ok();
        };
        let mut timer = pin!(sleep(GATHERING));
        let mut look = pin!(worth_a_look(timer.as_mut(), unblocked));
        assert!(poll!(&mut look).is_pending());
        advance(Duration::from_secs(60)).await;
        assert!(poll!(&mut look).is_pending());
        blocks.send_replace(false);
        assert!(poll!(&mut look).is_ready());
    }

    #[tokio::test(start_paused = true)]
    async fn acks_wait_for_others_where_the_broker_reads() {
        let mut look = pin!(async {
            worth_a_look(pin!(sleep(GATHERING)), async {}).await;
        });
        assert!(poll!(&mut look).is_pending());
        advance(GATHERING).await;
        assert!(poll!(&mut look).is_ready());
    }
}
