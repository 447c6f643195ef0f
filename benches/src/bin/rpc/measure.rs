//! Runs every case, in turns.

use anyhow::Result;
use tidings_benches::progress::Progress;

use crate::{
    case::{Case, Contender, Outcome, Work},
    children,
    options::Options,
    python,
    report::{Group, Report, Skipped},
};

/// Runs everything that is asked for. In each round everybody has a turn at each part, one right after the other,
/// so that a machine that becomes slower becomes slower for all.
pub fn all(options: &Options) -> Result<Report> {
    let mut contenders = options.contenders.clone();
    let skipped = skip(&mut contenders, options);
    let runs = || contenders.iter().map(|it| (*it, Vec::new())).collect();
    let mut groups: Vec<(Work, Runs)> = options.works.iter().map(|work| (*work, runs())).collect();
    let mut progress = Progress::new("rpc", groups.len() * contenders.len() * options.rounds);
    for round in 0..options.rounds {
        for (work, runs) in &mut groups {
            // Who comes first finds the broker rested: nobody always does.
            let first = round % runs.len();
            for place in 0..runs.len() {
                let at = (first + place) % runs.len();
                let (contender, outcomes) = &mut runs[at];
                let case = Case {
                    contender: *contender,
                    work: *work,
                    calls: calls(*contender, *work, options),
                };
                progress.step(&format!("{}: {contender}", work.title()));
                outcomes.push(children::run(case)?);
            }
        }
    }
    let groups = groups
        .iter()
        .map(|(work, runs)| Group::of(*work, runs))
        .collect();
    Ok(Report::new(options.rounds, groups, skipped))
}

type Runs = Vec<(Contender, Vec<Outcome>)>;

/// Takes out who cannot be had here.
fn skip(contenders: &mut Vec<Contender>, options: &Options) -> Vec<Skipped> {
    let Some(at) = contenders.iter().position(|it| *it == Contender::Python) else {
        return Vec::new();
    };
    match python::prepare(&options.url) {
        Ok(()) => Vec::new(),
        Err(error) => vec![Skipped {
            contender: contenders.remove(at),
            why: format!("{error:#}"),
        }],
    }
}

fn calls(contender: Contender, work: Work, options: &Options) -> usize {
    let calls = match work {
        Work::One => (options.calls / 10).max(1),
        Work::Many | Work::Memory => options.calls,
    };
    match contender {
        Contender::Python => calls.min(python::calls(work)),
        _ => calls,
    }
}
