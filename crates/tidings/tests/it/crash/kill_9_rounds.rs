//! Publishers and consumers on one durable file are killed at random, again and again, and nothing confirmed is lost.
//!
//! `TIDINGS_TEST_ROUNDS` says how often (20 unless set), `TIDINGS_TEST_SEED` repeats what was random in a run.

use std::time::{Duration, Instant};

use fastrand::Rng;
use tidings_testkit::history::{Event, History};

use super::{
    crew::{Crew, Victims, owners_are_known, usual},
    place::Place,
};

/// The longest time that processes live between two kills.
const LONGEST_LIFE: Duration = Duration::from_millis(250);
/// How many messages a round handles at least, over all rounds.
const LEAST_HANDLED: usize = 20;

#[tokio::test]
async fn nothing_confirmed_is_lost_and_duplicates_are_marked_when_processes_are_killed() {
    let rounds = setting("TIDINGS_TEST_ROUNDS").unwrap_or(20);
    let seed = setting("TIDINGS_TEST_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("{rounds} rounds; repeat with TIDINGS_TEST_SEED={seed}");
    let started = Instant::now();
    let place = Place::new("kill-9");
    let mut random = Rng::with_seed(seed);
    let mut crew = Crew::start(&place, random.u64(..), usual([None, None]));
    for round in 0..rounds {
        // Now and then the next death comes while the last one is still being dealt with.
        if random.f64() < 0.75 {
            crew.all_work().await;
        }
        crew.live(LONGEST_LIFE.mul_f64(random.f64())).await;
        crew.replace(victims(round, &mut random)).await;
    }
    let (kills, owners) = (crew.kills, crew.owners_killed);
    crew.finish().await;
    let seconds = started.elapsed().as_secs_f64();
    println!("{kills} processes killed, {owners} of them owners of the file, in {seconds:.1} s");

    let history = place.history();
    let report = place.keeps_every_promise(&history);
    let redelivered = count(&history, is_redelivered);
    println!("{redelivered} deliveries marked as redelivered");
    let failed = count(&history, |event| matches!(event, Event::Failed { .. }));
    assert_eq!(failed, 0, "a publisher that lives is told of no death");
    let least = usize::try_from(rounds).unwrap_or(usize::MAX) * LEAST_HANDLED;
    assert!(report.handled >= least, "handled too little: {report}");
    assert!(report.refused > 0, "nothing was retried: {report}");
    assert!(redelivered > 0, "nothing was redelivered: {report}");
    assert!(owners > 0 || !owners_are_known(), "no owner was killed");
}

/// Every kind of death in the first rounds, then by chance.
fn victims(round: u64, random: &mut Rng) -> Victims {
    match round {
        0 => Victims::Owner,
        1 => Victims::All,
        2 => Victims::Two,
        _ => match random.u32(..10) {
            0..3 => Victims::Owner,
            3..7 => Victims::One,
            7..9 => Victims::Two,
            _ => Victims::All,
        },
    }
}

fn count(history: &History, what: impl Fn(&Event) -> bool) -> usize {
    history.events().iter().filter(|event| what(event)).count()
}

/// Whether it is a delivery that carried the broker's mark.
fn is_redelivered(event: &Event) -> bool {
    match event {
        Event::Handled { redelivered, .. } | Event::Refused { redelivered, .. } => *redelivered,
        _ => false,
    }
}

fn setting(name: &str) -> Option<u64> {
    #[expect(
        clippy::disallowed_methods,
        reason = "how long a test runs is a setting of the run"
    )]
    let value = std::env::var(name).ok()?;
    let number = value.parse();
    Some(number.unwrap_or_else(|_| panic!("{name}={value} is not a number")))
}
