//! What came out, for people and for programs.

use std::fmt;

use serde::Serialize;
use tidings_benches::{
    spread::Spread,
    table::{Table, thousands},
    watch::Percentiles,
};

use crate::{
    case::{Contender, Outcome, Work},
    load::TEXT,
};

/// What was measured.
#[derive(Debug, Serialize)]
pub struct Report {
    text_bytes: usize,
    rounds: usize,
    groups: Vec<Group>,
    skipped: Vec<Skipped>,
}

/// One part, by everybody.
#[derive(Debug, Serialize)]
pub struct Group {
    work: Work,
    rows: Vec<Row>,
}

/// One contender.
#[derive(Debug, Serialize)]
struct Row {
    contender: Contender,
    calls: usize,
    /// Per second.
    rate: Spread,
    /// To the yardstick in the same round: what makes a round slow makes it slow for both.
    ratio: Spread,
    /// The same to lapin with direct replies and no acks.
    of_bare: Spread,
    /// The process of the contender, in microseconds.
    cpu_per_call: Spread,
    /// From the call to the reply, in milliseconds.
    took_p50: Spread,
    took_p99: Spread,
    /// In KiB, after each tenth of the calls of the last round.
    memory: Vec<u64>,
    /// `None` where there is no goal.
    goal: Option<Goal>,
}

#[derive(Debug, Serialize)]
struct Goal {
    wanted: String,
    met: bool,
}

/// Who did not take part, and why.
#[derive(Debug, Serialize)]
pub struct Skipped {
    pub contender: Contender,
    pub why: String,
}

impl Report {
    pub fn new(rounds: usize, groups: Vec<Group>, skipped: Vec<Skipped>) -> Self {
        Self {
            text_bytes: TEXT.len(),
            rounds,
            groups,
            skipped,
        }
    }
}

impl Group {
    pub fn of(work: Work, runs: &[(Contender, Vec<Outcome>)]) -> Self {
        let rates = |of: Contender| -> Vec<f64> {
            let run = runs.iter().find(|(it, _)| *it == of);
            run.map_or(Vec::new(), |(_, outcomes)| {
                outcomes.iter().map(Outcome::rate).collect()
            })
        };
        let (yardstick, bare) = (rates(Contender::Lapin), rates(Contender::Bare));
        let python = rates(Contender::Python);
        let row = |(contender, outcomes): &(Contender, Vec<Outcome>)| {
            let mut row = Row::of(*contender, outcomes, &yardstick, &bare);
            row.goal = goal(&row, work, &python);
            row
        };
        Self {
            work,
            rows: runs.iter().map(row).collect(),
        }
    }
}

/// What is wanted of ours: not much slower than the bare client, and many times the system whose wire it is.
fn goal(row: &Row, work: Work, python: &[f64]) -> Option<Goal> {
    const TIMES_PYTHON: f64 = 20.0;
    let least = match (row.contender, work) {
        // 1.2 of its time.
        (Contender::Ours, Work::One) => 1.0 / 1.2,
        (Contender::Ours, Work::Many) => 0.85,
        _ => return None,
    };
    let mut wanted = format!("ratio >= {least:.2}");
    let mut met = row.ratio.median >= least;
    if !python.is_empty() {
        let times = Spread::of(
            row.rate
                .rounds
                .iter()
                .zip(python)
                .map(|(ours, theirs)| ours / theirs),
        );
        wanted.push_str(&format!(
            ", {TIMES_PYTHON} x Python ({:.0} x)",
            times.median
        ));
        met &= times.median >= TIMES_PYTHON;
    }
    Some(Goal { wanted, met })
}

impl Row {
    fn of(contender: Contender, outcomes: &[Outcome], yardstick: &[f64], bare: &[f64]) -> Self {
        let rates = outcomes.iter().map(Outcome::rate);
        let took = |pick: fn(&Percentiles) -> f64| {
            Spread::of(outcomes.iter().filter_map(|it| it.took.as_ref()).map(pick))
        };
        Self {
            contender,
            calls: outcomes.first().map_or(0, |it| it.calls),
            ratio: Spread::of(rates.clone().zip(yardstick).map(|(rate, to)| rate / to)),
            of_bare: Spread::of(rates.clone().zip(bare).map(|(rate, to)| rate / to)),
            rate: Spread::of(rates),
            cpu_per_call: Spread::of(outcomes.iter().map(Outcome::cpu_per_call)),
            took_p50: took(|it| it.p50),
            took_p99: took(|it| it.p99),
            memory: outcomes.last().map_or(Vec::new(), |it| it.memory.clone()),
            goal: None,
        }
    }

    fn cells(&self) -> [String; 8] {
        let goal = self.goal.as_ref().map_or(String::new(), |goal| {
            let met = if goal.met { "met" } else { "NOT MET" };
            format!("{}: {met}", goal.wanted)
        });
        [
            self.contender.title().to_owned(),
            self.rate.to_string(),
            format!("{:.2}", self.ratio.median),
            format!("{:.2}", self.of_bare.median),
            format!("{:.1}", self.cpu_per_call.median),
            format!("{:.2}", self.took_p50.median),
            format!("{:.2}", self.took_p99.median),
            goal,
        ]
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bytes, rounds) = (self.text_bytes, self.rounds);
        writeln!(
            f,
            "Calls with a text of {bytes} bytes: median of {rounds} rounds [slowest..fastest]"
        )?;
        for group in &self.groups {
            write!(f, "\n{group}")?;
        }
        for Skipped { contender, why } in &self.skipped {
            writeln!(f, "\n{contender}: SKIPPED: {why}")?;
        }
        write!(
            f,
            "\nThe ratio is to lapin on the same way in the same round, the median of the rounds; beside it, to lapin with\n\
             direct replies and no acks. CPU is that of client and server together, in microseconds per call."
        )
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.work.title())?;
        let mut table = Table::new([
            "",
            "per second",
            "ratio",
            "of bare",
            "CPU",
            "p50 ms",
            "p99 ms",
            "goal",
        ]);
        for row in &self.rows {
            table.row(row.cells());
        }
        write!(f, "{table}")?;
        if self.work == Work::Memory {
            for row in &self.rows {
                let memory = row
                    .memory
                    .iter()
                    .map(|kib| thousands(f64::from(u32::try_from(*kib).unwrap_or(u32::MAX))));
                let memory: Vec<_> = memory.collect();
                writeln!(
                    f,
                    "memory in KiB after each tenth of {} calls: {}",
                    row.calls,
                    memory.join(" ")
                )?;
            }
        }
        Ok(())
    }
}
