//! Takes messages out of one queue and publishes them again, without losing any.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tidings_core::{
    Acker, Call, Completion, Delivery, Error, ErrorKind, Settlement,
    error::Result,
    transport::{Subscription, Transport},
};

/// How many copies are under way at a time.
const WINDOW: usize = 256;

/// How long the queue may be silent before it is asked whether others have emptied it.
const SILENCE: Duration = Duration::from_secs(1);

/// After how many silences in a row the rest is left alone: it is held back, or others have it.
const SILENCES: u32 = 3;

/// What a redrive did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Redriven {
    /// Messages that were published again and removed from the queue.
    pub moved: u64,
    /// Messages that were left in the queue because `choose` wanted so.
    pub kept: u64,
    /// Messages that were there and did not come: held back by a delay, or taken by another consumer.
    pub missed: u64,
}

/// Publishes the messages that are in `queue` now again, each as `choose` says; `None` leaves a message
/// where it is.
///
/// Messages that arrive during the redrive are not looked at, so a message that fails again does not go round
/// in circles.
///
/// # Errors
/// [`ErrorKind::NotFound`] if the queue does not exist; the first publish that failed. What was not published
/// is still in the queue.
///
/// # Guarantees
/// A message leaves the queue only after the confirm of its copy: a crash repeats it and loses nothing.
///
/// # Cancel safety
/// Yes: messages under way come again from `queue`.
pub async fn redrive(
    transport: &dyn Transport,
    queue: impl Into<Arc<str>>,
    mut choose: impl FnMut(&Call) -> Option<Call>,
) -> Result<Redriven> {
    let queue = queue.into();
    let mut left = waiting(transport, &queue).await?;
    // Messages that are left alone stay unsettled until the end, else they would be delivered again and again.
    let prefetch = u16::try_from(left).unwrap_or(u16::MAX);
    let publisher = transport.publisher().await?;
    let mut subscriber = transport
        .subscribe(Subscription::to(Arc::clone(&queue)).with_prefetch(prefetch))
        .await?;
    let (mut moved, mut kept, mut moving) = (0, Vec::new(), FuturesUnordered::new());
    let mut silences = 0;
    loop {
        let more = left > 0
            && silences < SILENCES
            && moving.len() < WINDOW
            && kept.len() < usize::from(prefetch);
        if !more && moving.is_empty() {
            break;
        }
        tokio::select! {
            // Cancel-safe: the acker inside gives the message back; the copy is then a duplicate.
            Some(result) = moving.next() => {
                let () = result?;
                moved += 1;
            }
            // Cancel-safe: promised by `Subscriber::next`.
            delivery = tokio::time::timeout(SILENCE, subscriber.next()), if more => {
                let Ok(delivery) = delivery else {
                    silences += 1;
                    left = left.min(waiting(transport, &queue).await?);
                    continue;
                };
                silences = 0;
                left -= 1;
                let (call, acker) = received(delivery, &queue)?.split();
                match choose(&call) {
                    Some(copy) => moving.push(move_one(publisher.publish(copy), acker)),
                    None => kept.push(acker),
                }
            }
        }
    }
    // Dropping an acker gives its message back.
    let kept = u64::try_from(kept.len()).unwrap_or(u64::MAX);
    Ok(Redriven {
        moved,
        kept,
        missed: left,
    })
}

async fn waiting(transport: &dyn Transport, queue: &Arc<str>) -> Result<u64> {
    let status = transport.queues(std::slice::from_ref(queue)).await?;
    Ok(status.iter().map(|queue| queue.ready).sum())
}

fn received(delivery: Option<Result<Delivery>>, queue: &str) -> Result<Delivery> {
    let closed = || {
        Error::new(
            ErrorKind::Closed,
            format!("queue `{queue}` was closed during the redrive: start it again"),
        )
    };
    delivery.unwrap_or_else(|| Err(closed()))
}

/// Acks the original once the copy is confirmed.
async fn move_one(copy: Completion, acker: Acker) -> Result<()> {
    copy.await?;
    acker.settle(Settlement::Ack).await
}
