//! Runs behaviours: one as a test, all as a report, those under load many times at once.

use std::{any::Any, panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt;
use tidings_core::{Error, ErrorKind, Result};
use tokio::{
    runtime::{Builder, Runtime},
    task::JoinSet,
    time::timeout,
};

use super::{
    connection::Pace,
    harness::{Harness, Time},
    list::{Behaviour, behaviours},
    report::{Report, Row},
    trial::Trial,
    verdict::{Stop, Verdict},
};

/// The groups that [`stress`] repeats: those in which things happen at the same time.
const UNDER_LOAD: [&str; 3] = ["delivery", "load", "settlement"];

/// Runs every behaviour, one after the other, each on a broker and a runtime of its own.
///
/// Must not be called from within a runtime.
///
/// # Errors
/// [`ErrorKind::Unavailable`] if no runtime can be made. Broken promises are in the report.
pub fn run_all(harness: &dyn Harness) -> Result<Report> {
    run_those(harness, |_| true)
}

/// Runs the behaviours of one group. Must not be called from within a runtime.
///
/// # Errors
/// As [`run_all`].
pub fn run_group(harness: &dyn Harness, group: &str) -> Result<Report> {
    run_those(harness, |behaviour| behaviour.group == group)
}

fn run_those(harness: &dyn Harness, which: impl Fn(&Behaviour) -> bool) -> Result<Report> {
    let mut report = Report::default();
    for behaviour in behaviours().iter().filter(|behaviour| which(behaviour)) {
        let runtime = runtime(harness.time())?;
        let row = runtime.block_on(run_one(harness, *behaviour, Pace::of(harness)));
        report.rows.push(row);
    }
    Ok(report)
}

/// Runs the groups under load `times` times in parallel, in real time on several threads.
///
/// Must not be called from within a runtime.
///
/// # Errors
/// As [`run_all`].
pub fn stress(harness: &Arc<dyn Harness>, times: usize) -> Result<Report> {
    let pace = match harness.time() {
        Time::Real => Pace::of(&**harness),
        Time::Virtual => Pace::REAL,
    };
    runtime(Time::Real)?.block_on(async {
        let mut tasks = JoinSet::new();
        for behaviour in behaviours() {
            if !UNDER_LOAD.contains(&behaviour.group) {
                continue;
            }
            for _ in 0..times {
                let harness = Arc::clone(harness);
                tasks.spawn(async move { run_one(&*harness, *behaviour, pace).await });
            }
        }
        let rows = tasks.join_all().await;
        Ok(Report { rows })
    })
}

/// Runs one behaviour as the body of a `#[test]`: panics if it fails, prints `SKIPPED` if it does not apply. Does
/// nothing if the harness [is not available](Harness::is_available).
///
/// # Panics
/// If the promise is broken or there is no such behaviour.
#[expect(
    clippy::panic,
    clippy::print_stdout,
    reason = "this is the body of a test: panicking is how it fails, printing how it says that it was skipped"
)]
pub fn run_test(harness: &dyn Harness, group: &str, name: &str) {
    if !harness.is_available() {
        return;
    }
    let mut report = match run_those(harness, |behaviour| {
        behaviour.group == group && behaviour.name == name
    }) {
        Ok(report) => report,
        Err(error) => panic!("{}", error.chain()),
    };
    match report.rows.pop().map(|row| row.verdict) {
        Some(Ok(())) => {}
        Some(Err(Stop::Skipped(missing))) => {
            println!("SKIPPED {group}::{name}: the transport has no {missing}");
        }
        Some(Err(Stop::Failed(problem))) => panic!("{group}::{name}: {problem}"),
        None => panic!("there is no behaviour {group}::{name}"),
    }
}

fn runtime(time: Time) -> Result<Runtime> {
    let mut builder = match time {
        Time::Real => Builder::new_multi_thread(),
        Time::Virtual => Builder::new_current_thread(),
    };
    builder
        .worker_threads(2)
        .enable_all()
        .start_paused(time == Time::Virtual)
        .build()
        .map_err(|error| {
            Error::new(ErrorKind::Unavailable, "cannot start a runtime").with_source(error)
        })
}

async fn run_one(harness: &dyn Harness, behaviour: Behaviour, pace: Pace) -> Row {
    let started = std::time::Instant::now();
    // Every wait inside is bounded; this bounds the transport's own functions.
    let limit = pace.patience * 3;
    let guarded = AssertUnwindSafe(attempt(harness, behaviour, pace)).catch_unwind();
    let verdict = match timeout(limit, guarded).await {
        Ok(Ok(verdict)) => verdict,
        Ok(Err(panic)) => Err(Stop::Failed(format!("panicked: {}", text_of(&*panic)))),
        Err(_) => Err(Stop::Failed(format!("did not end within {limit:?}"))),
    };
    Row {
        behaviour,
        verdict,
        took: started.elapsed(),
    }
}

async fn attempt(harness: &dyn Harness, behaviour: Behaviour, pace: Pace) -> Verdict {
    let mut trial = Trial::open(harness, pace).await?;
    let verdict = (behaviour.check)(&mut trial).await;
    // Closed in any case, so that a failed behaviour leaves no tasks behind; its own failure wins.
    let closed = trial.finish().await;
    verdict.and(closed)
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref().copied())
        .unwrap_or("with something that is not text")
}
