//! Measures both in turns and says what came out.

use std::{env, fmt, path::Path};

use anyhow::{Context, Result};
use serde::Serialize;
use tempfile::TempDir;

use super::{
    bare::Store,
    load::{self, Part},
    ours::Broker,
};
use crate::{
    progress::Progress,
    table::{Table, thousands},
};

const ROUNDS: usize = 3;

/// The ratio that the last row but those for information has to reach.
const GOAL: f64 = 0.7;

/// What is measured: how many publishers, what a confirm survives, which part.
const CASES: [(usize, &str, Part); 10] = [
    (1, "full", Part::Enqueue),
    (8, "full", Part::Enqueue),
    (64, "full", Part::Enqueue),
    (1, "full", Part::Cycle),
    (8, "full", Part::Cycle),
    (64, "full", Part::Cycle),
    (1, "normal", Part::Enqueue),
    (64, "normal", Part::Enqueue),
    (1, "normal", Part::Cycle),
    (64, "normal", Part::Cycle),
];

/// What was measured.
#[derive(Debug, Serialize)]
pub struct Report {
    body_bytes: usize,
    rows: Vec<Row>,
}

/// One case: messages per second in each round.
#[derive(Debug, Serialize)]
struct Row {
    publishers: usize,
    sync: &'static str,
    part: &'static str,
    ours: Rates,
    bare: Rates,
    ratio: f64,
    /// `None` where there is no goal.
    meets_goal: Option<bool>,
}

#[derive(Debug, Serialize)]
struct Rates {
    rounds: Vec<f64>,
    median: f64,
}

/// Runs every case.
pub fn measure() -> Result<Report> {
    let directory = directory()?;
    let mut progress = Progress::new("store", CASES.len() * ROUNDS);
    let mut rows = Vec::with_capacity(CASES.len());
    for case in CASES {
        rows.push(row(case, directory.path(), &mut progress)?);
    }
    Ok(Report {
        body_bytes: load::BODY.len(),
        rows,
    })
}

/// Beside this program: the temporary directory of many systems is memory, where nothing is durable.
fn directory() -> Result<TempDir> {
    let program = env::current_exe()?;
    let beside = program.parent().unwrap_or(Path::new("."));
    tempfile::tempdir_in(beside)
        .with_context(|| format!("cannot make a directory in {}", beside.display()))
}

fn row(
    case: (usize, &'static str, Part),
    directory: &Path,
    progress: &mut Progress,
) -> Result<Row> {
    let (publishers, sync, part) = case;
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        progress.step(&format!(
            "{publishers} publishers, {}, sync={sync}",
            part.name()
        ));
        let fresh = TempDir::new_in(directory)?;
        let file = |name: &str| fresh.path().join(name);
        let (one, other) = (file("ours"), file("bare"));
        let measure_ours = || load::run(Broker::open(&one, sync), publishers, part);
        let measure_bare = || load::run(Store::open(&other, sync), publishers, part);
        // In turns, also as to who is first.
        if round.is_multiple_of(2) {
            ours.push(measure_ours()?);
            bare.push(measure_bare()?);
        } else {
            bare.push(measure_bare()?);
            ours.push(measure_ours()?);
        }
    }
    let (ours, bare) = (Rates::of(ours), Rates::of(bare));
    let ratio = ours.median / bare.median;
    let has_goal = publishers == 64 && sync == "full";
    Ok(Row {
        publishers,
        sync,
        part: part.name(),
        ours,
        bare,
        ratio,
        meets_goal: has_goal.then_some(ratio >= GOAL),
    })
}

impl Rates {
    fn of(rounds: Vec<f64>) -> Self {
        let mut sorted = rounds.clone();
        sorted.sort_by(f64::total_cmp);
        let median = sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN);
        Self { rounds, median }
    }
}

/// The median and, around it, the slowest and the fastest round.
impl fmt::Display for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slowest = self.rounds.iter().copied().fold(f64::NAN, f64::min);
        let fastest = self.rounds.iter().copied().fold(f64::NAN, f64::max);
        let [median, slowest, fastest] = [self.median, slowest, fastest].map(thousands);
        write!(f, "{median} [{slowest}..{fastest}]")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.body_bytes;
        writeln!(
            f,
            "Durable messages of {bytes} bytes per second: median of {ROUNDS} rounds [slowest..fastest]\n"
        )?;
        let mut table = Table::new([
            "",
            "publishers",
            "sync",
            "embedded",
            "bare store",
            "ratio",
            "goal",
        ]);
        for row in &self.rows {
            table.row([
                row.part.to_owned(),
                row.publishers.to_string(),
                row.sync.to_owned(),
                row.ours.to_string(),
                row.bare.to_string(),
                format!("{:.2}", row.ratio),
                row.goal(),
            ]);
        }
        writeln!(f, "{table}")?;
        writeln!(
            f,
            "Each publisher awaits its confirm before the next message. The bare store is SQLite with the same settings\n\
             and table, written by one thread with the same grouping of commits. `sync=normal` does not survive a power\n\
             cut and is there for information."
        )
    }
}

impl Row {
    fn goal(&self) -> String {
        let said = match self.meets_goal {
            None => return String::new(),
            Some(true) => "met",
            Some(false) => "NOT MET",
        };
        format!(">= {GOAL}: {said}")
    }
}
