//! The watch: wall time, what the process used meanwhile, and how long single things took.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeValLike,
};
use serde::{Deserialize, Serialize};

/// Runs from the first message to the last answer.
#[derive(Debug)]
pub struct Stopwatch {
    start: Instant,
    cpu: Duration,
}

/// What it showed at the end.
#[derive(Clone, Copy, Debug)]
pub struct Used {
    /// Wall time.
    pub seconds: f64,
    /// Of the process and the kernel on its behalf, in the same time.
    pub cpu_seconds: f64,
}

/// How long something took, in milliseconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Percentiles {
    /// Half of them took no longer.
    pub p50: f64,
    /// Of a hundred, one took longer.
    pub p99: f64,
}

impl Stopwatch {
    /// Starts it.
    pub fn start() -> Result<Self> {
        Ok(Self {
            cpu: cpu()?,
            start: Instant::now(),
        })
    }

    /// Stops it.
    pub fn stop(self) -> Result<Used> {
        let took = self.start.elapsed();
        let cpu = cpu()?.saturating_sub(self.cpu);
        Ok(Used {
            seconds: took.as_secs_f64(),
            cpu_seconds: cpu.as_secs_f64(),
        })
    }
}

impl Percentiles {
    /// Of these; `None` if there are none.
    pub fn of(mut took: Vec<Duration>) -> Option<Self> {
        took.sort_unstable();
        let at = |percent: usize| {
            let index = took.len() * percent / 100;
            took.get(index).map(|took| took.as_secs_f64() * 1e3)
        };
        Some(Self {
            p50: at(50)?,
            p99: at(99)?,
        })
    }
}

/// Exact for every count that anybody waits for.
pub fn count(messages: usize) -> f64 {
    u32::try_from(messages).map_or(f64::INFINITY, f64::from)
}

fn cpu() -> Result<Duration> {
    let used = getrusage(UsageWho::RUSAGE_SELF).context("cannot ask for the time of the CPU")?;
    let microseconds = used.user_time().num_microseconds() + used.system_time().num_microseconds();
    Ok(Duration::from_micros(u64::try_from(microseconds)?))
}
