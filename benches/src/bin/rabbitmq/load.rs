//! The load, the same for every contender: what a message is, how many are under way, and the watch.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures_util::{StreamExt, TryStreamExt, stream};
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeValLike,
};

use crate::case::{Outcome, Percentiles};

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

/// Runs from the first message to the last answer: wall time, and what the process used meanwhile.
#[derive(Debug)]
pub struct Stopwatch {
    start: Instant,
    cpu: Duration,
}

impl Stopwatch {
    pub fn start() -> Result<Self> {
        Ok(Self {
            cpu: cpu()?,
            start: Instant::now(),
        })
    }

    /// `confirmed` is empty where nothing was published.
    pub fn stop(self, messages: usize, confirmed: Vec<Duration>) -> Result<Outcome> {
        let took = self.start.elapsed();
        let cpu = cpu()?.saturating_sub(self.cpu);
        Ok(Outcome {
            messages,
            seconds: took.as_secs_f64(),
            cpu_seconds: cpu.as_secs_f64(),
            confirmed_after: percentiles(confirmed),
        })
    }
}

fn cpu() -> Result<Duration> {
    let used = getrusage(UsageWho::RUSAGE_SELF).context("cannot ask for the time of the CPU")?;
    let microseconds = used.user_time().num_microseconds() + used.system_time().num_microseconds();
    Ok(Duration::from_micros(u64::try_from(microseconds)?))
}

fn percentiles(mut took: Vec<Duration>) -> Option<Percentiles> {
    took.sort_unstable();
    let at = |percent: usize| {
        let index = took.len() * percent / 100;
        took.get(index).map(|took| took.as_secs_f64() * 1e3)
    };
    Some(Percentiles {
        p50: at(50)?,
        p99: at(99)?,
    })
}
