//! Measures both in turns and says what came out.

use std::{env, fmt, path::Path};

use anyhow::{Context, Result};
use serde::Serialize;
use tempfile::TempDir;
use tidings_benches::{
    progress::Progress,
    table::{Table, thousands},
};

use super::{
    alone::Alone,
    bare::Store,
    load::{self, Amount, Contender, Part, Served},
    ours::Broker,
};

const ROUNDS: usize = 3;

/// How often each is at work in one round.
const TURNS: usize = 9;

/// The ratio that the last row but those for information has to reach.
const GOAL: f64 = 0.7;

/// What is measured: how many publishers, what a confirm survives, which part.
const CASES: [(u32, &str, Part); 10] = [
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
    publishers: u32,
    sync: &'static str,
    part: &'static str,
    ours: Rates,
    bare: Rates,
    /// The store with nobody to serve.
    alone: Rates,
    /// To the bare store.
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

fn row(case: (u32, &'static str, Part), directory: &Path, progress: &mut Progress) -> Result<Row> {
    let (publishers, sync, part) = case;
    let mut rates = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        progress.step(&format!(
            "{publishers} publishers, {}, sync={sync}",
            part.name()
        ));
        let round = round(case, directory)?;
        for (rates, amount) in rates.iter_mut().zip(round) {
            rates.push(f64::from(amount.messages) / amount.took.as_secs_f64());
        }
    }
    let [ours, bare, alone] = rates.map(Rates::of);
    let ratio = ours.median / bare.median;
    let has_goal = publishers == 64 && sync == "full";
    Ok(Row {
        publishers,
        sync,
        part: part.name(),
        ours,
        bare,
        alone,
        ratio,
        meets_goal: has_goal.then_some(ratio >= GOAL),
    })
}

/// Everybody in turns, so often that a disk that becomes slower becomes slower for all.
fn round((publishers, sync, part): (u32, &str, Part), directory: &Path) -> Result<[Amount; 3]> {
    let fresh = TempDir::new_in(directory)?;
    let file = |name: &str| fresh.path().join(name);
    let (ours, bare, alone) = (file("ours"), file("bare"), file("alone"));
    let mut contenders: [Box<dyn Contender>; 3] = [
        Box::new(Served::new(Broker::open(&ours, sync), publishers, part)?),
        Box::new(Served::new(Store::open(&bare, sync), publishers, part)?),
        Box::new(Alone::new(&alone, sync, publishers, part)?),
    ];
    let mut sums = [Amount::default(); 3];
    for turn in 0..TURNS {
        // Whoever comes after a long commit of somebody else pays for a part of it: nobody always comes second.
        for place in 0..contenders.len() {
            let next = (turn + place) % contenders.len();
            let Amount { messages, took } = contenders[next].turn()?;
            sums[next].messages += messages;
            sums[next].took += took;
        }
    }
    contenders
        .into_iter()
        .try_for_each(|contender| contender.close())?;
    Ok(sums)
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
            "store alone",
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
                row.alone.to_string(),
                format!("{:.2}", row.ratio),
                row.goal(),
            ]);
        }
        writeln!(f, "{table}")?;
        writeln!(
            f,
            "Each publisher awaits its confirm before the next message. The bare store is SQLite with the same settings\n\
             and table, written by one thread that commits all that waits and answers each publisher; the ratio is to\n\
             it. The store alone is one thread in a loop that serves nobody, with as many messages per commit as there\n\
             are publishers. `sync=normal` does not survive a power cut and is there for information."
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
