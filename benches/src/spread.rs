//! One figure of each round, and what stands for all of them.

use std::fmt;

use serde::Serialize;

use crate::table::thousands;

/// A figure of each round.
#[derive(Debug, Serialize)]
pub struct Spread {
    /// In the order of the rounds.
    pub rounds: Vec<f64>,
    /// What stands for all.
    pub median: f64,
}

impl Spread {
    /// Of these rounds.
    pub fn of(rounds: impl Iterator<Item = f64>) -> Self {
        let rounds: Vec<f64> = rounds.collect();
        let mut sorted = rounds.clone();
        sorted.sort_by(f64::total_cmp);
        let median = sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN);
        Self { rounds, median }
    }
}

/// The median and, around it, the slowest and the fastest round.
impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slowest = self.rounds.iter().copied().fold(f64::NAN, f64::min);
        let fastest = self.rounds.iter().copied().fold(f64::NAN, f64::max);
        let [median, slowest, fastest] = [self.median, slowest, fastest].map(thousands);
        write!(f, "{median} [{slowest}..{fastest}]")
    }
}
