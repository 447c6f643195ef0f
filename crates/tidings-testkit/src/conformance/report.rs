//! What a run of the suite found.

use std::{fmt, time::Duration};

use super::{
    list::Behaviour,
    verdict::{Stop, Verdict},
};

/// The outcome of every behaviour that was run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// In the order in which they were run.
    pub rows: Vec<Row>,
}

/// One behaviour and its outcome.
#[derive(Clone, Debug)]
pub struct Row {
    /// Which.
    pub behaviour: Behaviour,
    /// How it ended.
    pub verdict: Verdict,
    /// How long it took, by the operating system's clock.
    pub took: Duration,
}

impl Report {
    /// The names of those that hold, as `group::behaviour`.
    #[must_use]
    pub fn passed(&self) -> Vec<String> {
        self.names(Result::is_ok)
    }

    /// The names of those that do not hold.
    #[must_use]
    pub fn failed(&self) -> Vec<String> {
        self.names(|verdict| matches!(verdict, Err(Stop::Failed(_))))
    }

    /// The names of those that the transport cannot have.
    #[must_use]
    pub fn skipped(&self) -> Vec<String> {
        self.names(|verdict| matches!(verdict, Err(Stop::Skipped(_))))
    }

    /// Whether nothing failed.
    ///
    /// # Errors
    /// The whole report as text.
    pub fn verdict(&self) -> Result<(), String> {
        if self.failed().is_empty() {
            return Ok(());
        }
        Err(self.to_string())
    }

    fn names(&self, which: impl Fn(&Verdict) -> bool) -> Vec<String> {
        self.rows
            .iter()
            .filter(|row| which(&row.verdict))
            .map(|row| row.behaviour.to_string())
            .collect()
    }
}

/// What failed and what was skipped, with reasons; what passed is only counted.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in &self.rows {
            match &row.verdict {
                Ok(()) => {}
                Err(Stop::Skipped(missing)) => {
                    writeln!(f, "SKIPPED {}: no {missing}", row.behaviour)?;
                }
                Err(Stop::Failed(problem)) => writeln!(f, "FAILED  {}: {problem}", row.behaviour)?,
            }
        }
        let took: Duration = self.rows.iter().map(|row| row.took).sum();
        write!(
            f,
            "{} passed, {} failed, {} skipped in {took:.1?}",
            self.passed().len(),
            self.failed().len(),
            self.skipped().len()
        )
    }
}
