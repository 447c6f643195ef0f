//! Runs every scenario and says what came out: the figures, the goals, and whether they are met.

use std::fmt;

use anyhow::Result;
use serde::Serialize;
use tidings_benches::{
    progress::Progress,
    table::{Table, thousands},
};

use super::{
    ours, peer,
    scenario::{Path, Scenario, Subject},
};
use crate::callgrind::{Children, MISSING};

/// Enough that what happens once is lost in what is repeated, few enough that a run takes a second.
const MESSAGES: usize = 1_000;

/// What was measured.
#[derive(Debug, Serialize)]
pub struct Report {
    /// A figure is the difference between a run over twice as many messages and one over this many.
    messages: usize,
    /// The JSON of one message, in bytes.
    body_bytes: BodyBytes,
    figures: Vec<Figure>,
    goals: Goals,
}

#[derive(Debug, Serialize)]
struct BodyBytes {
    domain: usize,
    bare: usize,
}

/// What one message costs in one scenario.
#[derive(Debug, Serialize)]
struct Figure {
    #[serde(skip)]
    scenario: Scenario,
    name: String,
    /// `None` where valgrind is missing.
    instructions: Option<f64>,
    allocations: f64,
    allocated_bytes: f64,
}

/// What the figures are held against.
#[derive(Debug, Serialize)]
struct Goals {
    /// Receiving, less decoding: at most one.
    allocations_beyond_decoding: f64,
    /// The whole way on the same bytes: fewer instructions, so below one.
    instructions_to_peer: Option<f64>,
}

/// Runs every scenario.
pub fn measure(children: &Children) -> Result<Report> {
    let all = Scenario::all();
    let mut progress = Progress::new("event", all.len());
    let mut figures = Vec::with_capacity(all.len());
    for scenario in all {
        progress.step(&scenario.to_string());
        figures.push(Figure::measure(scenario, children)?);
    }
    Ok(Report {
        messages: MESSAGES,
        body_bytes: BodyBytes {
            domain: ours::body_of_domain()?,
            bare: peer::body()?.len(),
        },
        goals: Goals::of(&figures),
        figures,
    })
}

impl Figure {
    fn measure(scenario: Scenario, children: &Children) -> Result<Self> {
        let name = scenario.to_string();
        let (once, twice) = (
            children.allocated(&name, MESSAGES)?,
            children.allocated(&name, 2 * MESSAGES)?,
        );
        let instructions = if children.has_valgrind() {
            let once = children.instructions(&name, MESSAGES)?;
            Some(each(once, children.instructions(&name, 2 * MESSAGES)?))
        } else {
            None
        };
        Ok(Self {
            scenario,
            name,
            instructions,
            allocations: each(once.blocks, twice.blocks),
            allocated_bytes: each(once.bytes, twice.bytes),
        })
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of some millions are exact in a float"
)]
fn each(once: u64, twice: u64) -> f64 {
    (twice as f64 - once as f64) / MESSAGES as f64
}

impl Goals {
    fn of(figures: &[Figure]) -> Self {
        let find = |scenario| figures.iter().find(|figure| figure.scenario == scenario);
        let allocations = |path| {
            let figure = find(Scenario::new(Subject::Domain, path));
            figure.map_or(f64::NAN, |figure| figure.allocations)
        };
        let whole = |subject, concurrency| {
            let scenario = Scenario::new(subject, Path::Whole).with_concurrency(concurrency);
            find(scenario).and_then(|figure| figure.instructions)
        };
        Self {
            allocations_beyond_decoding: allocations(Path::Receive) - allocations(Path::Decode),
            // By default the peer handles one message at a time.
            instructions_to_peer: whole(Subject::Bare, Some(1))
                .zip(whole(Subject::Peer, None))
                .map(|(ours, theirs)| ours / theirs),
        }
    }
}

impl Report {
    fn table(&self) -> Table {
        let mut table = Table::new([
            "instructions, allocations",
            "whole",
            "receive",
            "publish",
            "decode alone",
        ]);
        for (subject, concurrency) in Scenario::rows() {
            let cell = |path| {
                let wanted = Scenario::new(subject, path).with_concurrency(concurrency);
                let figure = self.figures.iter().find(|it| it.scenario == wanted);
                figure.map_or_else(String::new, Figure::cell)
            };
            let name = Scenario::name_of_row(subject, concurrency);
            table.row([name].into_iter().chain(Path::ALL.map(cell)));
        }
        table
    }
}

impl Figure {
    fn cell(&self) -> String {
        let instructions = self.instructions.map_or("?".to_owned(), thousands);
        format!("{instructions}, {:.2}", self.allocations)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BodyBytes { domain, bare } = self.body_bytes;
        writeln!(f, "One small JSON event in this process, per message\n")?;
        writeln!(f, "{}", self.table())?;
        writeln!(
            f,
            "Whole: publish, route, decode, handle, ack. Receive: from the queue to the ack. By default we handle 16\n\
             messages at a time, RustStream one. A domain message ({domain} bytes) says besides its fields what it is,\n\
             when it happened and why, and goes into two queues: the subscriber's and the store. RustStream's is\n\
             the fields alone ({bare} bytes) for one subscriber, and so are ours in the rows `bare JSON`.\n"
        )?;
        self.goals.fmt(f)
    }
}

impl fmt::Display for Goals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let beyond = self.allocations_beyond_decoding;
        let said = verdict(beyond < 1.005);
        writeln!(
            f,
            "allocations beyond decoding: {beyond:.2} (goal: at most 1): {said}"
        )?;
        let Some(ratio) = self.instructions_to_peer else {
            return writeln!(f, "{MISSING}");
        };
        let said = verdict(ratio < 1.0);
        writeln!(
            f,
            "bare JSON, whole, one at a time: {ratio:.2} of RustStream's instructions (goal: below 1): {said}"
        )
    }
}

fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "NOT MET" }
}
