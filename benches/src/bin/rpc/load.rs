//! The load, the same for every contender: so many callers, each making one call after the other.

use std::{
    cell::{Cell, RefCell},
    fs,
    time::Instant,
};

use anyhow::{Context, Result};
use futures_util::future::try_join_all;
use tidings_benches::watch::{Percentiles, Stopwatch};

use crate::case::{Case, Outcome, Work};

/// The member of every request and every reply that makes it as long as it is.
pub const TEXT: &str = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\
                        xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\
                        xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";

/// How many calls a caller makes before they are counted, so that nobody is measured cold.
const WARM: usize = 20;

/// Makes all calls of a case; each gets a number of its own.
pub async fn run<F>(case: Case, call: impl Fn(u64) -> F) -> Result<Outcome>
where
    F: Future<Output = Result<()>>,
{
    let callers = case.work.in_flight();
    let next = Cell::new(0_u64);
    let number = || {
        next.set(next.get() + 1);
        next.get()
    };
    let warming = (0..callers).map(|_| async {
        for _ in 0..WARM {
            call(number()).await?;
        }
        Ok::<_, anyhow::Error>(())
    });
    try_join_all(warming).await?;
    let tally = Tally::new(case);
    let watch = Stopwatch::start()?;
    let calling = (0..callers).map(|_| async {
        while tally.another() {
            let begun = Instant::now();
            call(number()).await?;
            tally.done(begun)?;
        }
        Ok::<_, anyhow::Error>(())
    });
    try_join_all(calling).await?;
    let used = watch.stop()?;
    Ok(Outcome {
        calls: case.calls,
        seconds: used.seconds,
        cpu_seconds: used.cpu_seconds,
        took: Percentiles::of(tally.took.into_inner()),
        memory: tally.memory.into_inner(),
    })
}

/// What has been done so far.
struct Tally {
    calls: usize,
    /// Of how many calls one is kept: where the memory is measured, it must not be the figures that fill it.
    one_of: usize,
    done: Cell<usize>,
    begun: Cell<usize>,
    took: RefCell<Vec<std::time::Duration>>,
    memory: RefCell<Vec<u64>>,
}

impl Tally {
    fn new(case: Case) -> Self {
        let one_of = if case.work == Work::Memory { 1_000 } else { 1 };
        Self {
            calls: case.calls,
            one_of,
            done: Cell::new(0),
            begun: Cell::new(0),
            took: RefCell::new(Vec::with_capacity(case.calls / one_of + 1)),
            memory: RefCell::default(),
        }
    }

    fn another(&self) -> bool {
        self.begun.set(self.begun.get() + 1);
        self.begun.get() <= self.calls
    }

    fn done(&self, begun: Instant) -> Result<()> {
        let done = self.done.get() + 1;
        self.done.set(done);
        if done.is_multiple_of(self.one_of) {
            self.took.borrow_mut().push(begun.elapsed());
        }
        if done.is_multiple_of((self.calls / 10).max(1)) {
            self.memory.borrow_mut().push(memory()?);
        }
        Ok(())
    }
}

/// What the process holds in memory, in KiB.
fn memory() -> Result<u64> {
    let text = fs::read_to_string("/proc/self/statm").context("cannot ask for the memory")?;
    let pages = text.split_whitespace().nth(1).context("statm is short")?;
    Ok(pages.parse::<u64>()? * 4)
}
