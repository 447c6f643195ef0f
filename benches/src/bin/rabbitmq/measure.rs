//! Runs every case, in turns.

use anyhow::Result;
use tidings_benches::progress::Progress;

use crate::{
    case::{Case, Contender, Kind, Outcome, Work},
    children,
    options::Options,
    petisco,
    report::{Group, Report, Skipped},
};

/// Runs everything that is asked for. In each round everybody has a turn at each part, one right after the other,
/// so that a machine that becomes slower becomes slower for all.
pub fn all(options: &Options) -> Result<Report> {
    let mut contenders = options.contenders.clone();
    let skipped = skip(&mut contenders, options);
    let mut groups: Vec<_> = groups(options, &contenders).collect();
    let runs: usize = groups.iter().map(|(_, runs)| runs.len()).sum();
    let mut progress = Progress::new("rabbitmq", runs * options.rounds);
    for round in 0..options.rounds {
        for ((work, kind), runs) in &mut groups {
            // Who comes first finds the broker rested: nobody always does.
            let first = round % runs.len();
            for place in 0..runs.len() {
                let at = (first + place) % runs.len();
                let (contender, outcomes) = &mut runs[at];
                let case = Case {
                    contender: *contender,
                    work: *work,
                    kind: *kind,
                    messages: messages(*contender, options),
                };
                progress.step(&format!("{}, {kind} queue: {contender}", work.title()));
                outcomes.push(children::run(case)?);
            }
        }
    }
    let groups = groups
        .iter()
        .map(|((work, kind), runs)| Group::of(*work, *kind, runs))
        .collect();
    Ok(Report::new(options.rounds, groups, skipped))
}

type Runs = Vec<(Contender, Vec<Outcome>)>;

/// Every part on every type of queue, and who can do it.
fn groups(
    options: &Options,
    contenders: &[Contender],
) -> impl Iterator<Item = ((Work, Kind), Runs)> {
    let kinds = options.kinds.iter();
    let parts = kinds.flat_map(|kind| options.works.iter().map(|work| (*work, *kind)));
    parts.map(|(work, kind)| {
        let able = contenders.iter().filter(|it| it.can(work, kind));
        ((work, kind), able.map(|it| (*it, Vec::new())).collect())
    })
}

/// Takes out who cannot be had here.
fn skip(contenders: &mut Vec<Contender>, options: &Options) -> Vec<Skipped> {
    let Some(at) = contenders.iter().position(|it| *it == Contender::Petisco) else {
        return Vec::new();
    };
    match petisco::prepare(&options.url) {
        Ok(()) => Vec::new(),
        Err(error) => vec![Skipped {
            contender: contenders.remove(at),
            why: format!("{error:#}"),
        }],
    }
}

fn messages(contender: Contender, options: &Options) -> usize {
    match contender {
        Contender::Petisco => options.messages.min(petisco::MESSAGES),
        _ => options.messages,
    }
}
