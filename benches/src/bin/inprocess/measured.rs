//! The measured region: what is inside is counted, what is outside is not.
//!
//! Heap allocations are counted by an allocator that adds them up; instructions by callgrind, which starts to
//! count when it enters [`measured_region`] (see [`callgrind`](crate::callgrind)). The two are never counted in
//! the same run. The counting allocator adds a few instructions to each allocation, for us and the peer alike.

use std::alloc::System;

use anyhow::{Result, anyhow};
use serde::{Deserialize, Serialize};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The function at whose entry and exit callgrind switches. No other symbol may contain this name, or counting
/// would be switched off inside.
pub const REGION: &str = "measured_region";

/// What one run asked of the allocator.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Allocated {
    /// How often memory was asked for: allocations and reallocations.
    pub blocks: u64,
    /// How many bytes.
    pub bytes: u64,
}

/// Runs `work` in the measured region and returns what it returns, and what it allocated.
pub fn measure<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, Allocated)> {
    let (mut work, mut result) = (Some(work), None);
    let region = Region::new(ALLOCATOR);
    measured_region(&mut || result = work.take().map(|work| work()));
    let change = region.change();
    let result = result.ok_or_else(|| anyhow!("the measured region was not entered"))??;
    let allocated = Allocated {
        blocks: u64::try_from(change.allocations + change.reallocations)?,
        bytes: u64::try_from(change.bytes_allocated)?,
    };
    Ok((result, allocated))
}

#[inline(never)]
fn measured_region(work: &mut dyn FnMut()) {
    work();
    // Something after the call, so that it is not turned into a jump, which has no exit to switch at.
    std::hint::black_box(());
}
