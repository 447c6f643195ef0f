//! The load, the same for every contender: what a message is, how many are under way, and what came out.

use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::{StreamExt, TryStreamExt, stream};
use tidings_benches::watch::{Percentiles, Stopwatch};

use crate::case::Outcome;

/// How many publishes wait for their confirm at a time.
pub const WINDOW: usize = 1_024;

/// How many deliveries are unsettled at a time.
pub const PREFETCH: u16 = 256;

/// How many deliveries one ack settles, where the client leaves that to its user.
pub const ACK_EVERY: usize = 32;

/// The body of every message.
pub static BODY: [u8; 256] = [b'x'; 256];

/// Publishes so many messages, [`WINDOW`] at a time, and says how long each took to be confirmed.
pub async fn pipeline<F>(messages: usize, mut publish: impl FnMut() -> F) -> Result<Vec<Duration>>
where
    F: Future<Output = Result<()>>,
{
    let mut took = Vec::with_capacity(messages);
    let calls = stream::iter(0..messages).map(|_| {
        let begun = Instant::now();
        let confirmed = publish();
        async move {
            confirmed.await?;
            Ok::<_, anyhow::Error>(begun.elapsed())
        }
    });
    let mut under_way = calls.buffered(WINDOW);
    while let Some(one) = under_way.try_next().await? {
        took.push(one);
    }
    Ok(took)
}

/// Reads the watch; `confirmed` is empty where nothing was published.
pub fn stop(watch: Stopwatch, messages: usize, confirmed: Vec<Duration>) -> Result<Outcome> {
    let used = watch.stop()?;
    Ok(Outcome {
        messages,
        seconds: used.seconds,
        cpu_seconds: used.cpu_seconds,
        confirmed_after: Percentiles::of(confirmed),
    })
}
