//! What came out, for people and for programs.

use std::fmt;

use serde::Serialize;
use tidings_benches::{spread::Spread, table::Table, watch::Percentiles};

use crate::{
    case::{Contender, Kind, Outcome, Work},
    load::{BODY, PREFETCH, WINDOW},
};

/// Of the yardstick's messages per second, what our transport has to reach where there is a goal.
const GOAL: f64 = 0.9;

/// What was measured.
#[derive(Debug, Serialize)]
pub struct Report {
    body_bytes: usize,
    window: usize,
    prefetch: u16,
    rounds: usize,
    groups: Vec<Group>,
    skipped: Vec<Skipped>,
}

/// One part on one type of queue, by everybody.
#[derive(Debug, Serialize)]
pub struct Group {
    work: Work,
    kind: Kind,
    rows: Vec<Row>,
}

/// One contender.
#[derive(Debug, Serialize)]
struct Row {
    contender: Contender,
    messages: usize,
    /// Per second.
    rate: Spread,
    /// To the yardstick in the same round: what makes a round slow makes it slow for both.
    ratio: Spread,
    /// The process of the contender, in microseconds.
    cpu_per_message: Spread,
    /// From the call to the confirm, in milliseconds.
    confirmed_after_p50: Option<Spread>,
    confirmed_after_p99: Option<Spread>,
    /// `None` where there is no goal.
    meets_goal: Option<bool>,
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
            body_bytes: BODY.len(),
            window: WINDOW,
            prefetch: PREFETCH,
            rounds,
            groups,
            skipped,
        }
    }
}

impl Group {
    pub fn of(work: Work, kind: Kind, runs: &[(Contender, Vec<Outcome>)]) -> Self {
        let yardstick = runs.iter().find(|(it, _)| *it == Contender::Lapin);
        let yardstick: Vec<f64> = yardstick.map_or(Vec::new(), |(_, outcomes)| {
            outcomes.iter().map(Outcome::rate).collect()
        });
        let rows = runs
            .iter()
            .map(|(contender, outcomes)| Row::of(*contender, work, outcomes, &yardstick));
        Self {
            work,
            kind,
            rows: rows.collect(),
        }
    }
}

impl Row {
    fn of(contender: Contender, work: Work, outcomes: &[Outcome], yardstick: &[f64]) -> Self {
        let rates = outcomes.iter().map(Outcome::rate);
        let ratio = Spread::of(rates.clone().zip(yardstick).map(|(rate, to)| rate / to));
        let after = |pick: fn(&Percentiles) -> f64| {
            let waits = outcomes.iter().filter_map(|it| it.confirmed_after.as_ref());
            let spread = Spread::of(waits.map(pick));
            (!spread.rounds.is_empty()).then_some(spread)
        };
        let has_goal = contender == Contender::Transport && work != Work::Both;
        Self {
            contender,
            messages: outcomes.first().map_or(0, |it| it.messages),
            rate: Spread::of(rates),
            cpu_per_message: Spread::of(outcomes.iter().map(Outcome::cpu_per_message)),
            confirmed_after_p50: after(|it| it.p50),
            confirmed_after_p99: after(|it| it.p99),
            meets_goal: has_goal.then_some(ratio.median >= GOAL),
            ratio,
        }
    }

    fn cells(&self) -> [String; 7] {
        let figure = |spread: &Option<Spread>| {
            let median = spread.as_ref().map(|spread| spread.median);
            median.map_or(String::new(), |median| format!("{median:.1}"))
        };
        let goal = match self.meets_goal {
            None => String::new(),
            Some(true) => format!(">= {GOAL}: met"),
            Some(false) => format!(">= {GOAL}: NOT MET"),
        };
        [
            self.contender.title().to_owned(),
            self.rate.to_string(),
            format!("{:.2}", self.ratio.median),
            format!("{:.1}", self.cpu_per_message.median),
            figure(&self.confirmed_after_p50),
            figure(&self.confirmed_after_p99),
            goal,
        ]
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bytes, rounds) = (self.body_bytes, self.rounds);
        writeln!(
            f,
            "Persistent messages of {bytes} bytes: median of {rounds} rounds [slowest..fastest]"
        )?;
        for group in &self.groups {
            write!(f, "\n{group}")?;
        }
        for Skipped { contender, why } in &self.skipped {
            writeln!(f, "\n{contender}: SKIPPED: {why}")?;
        }
        let (window, prefetch) = (self.window, self.prefetch);
        write!(
            f,
            "\n{window} publishes wait for their confirm at a time, {prefetch} deliveries are unsettled; petisco takes one\n\
             after the other. The ratio is to lapin in the same round, the median of the rounds. CPU is that of the\n\
             contender's process alone, in microseconds per message."
        )
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, {} queue", self.work.title(), self.kind)?;
        let mut table = Table::new(["", "per second", "ratio", "CPU", "p50 ms", "p99 ms", "goal"]);
        for row in &self.rows {
            table.row(row.cells());
        }
        write!(f, "{table}")
    }
}
