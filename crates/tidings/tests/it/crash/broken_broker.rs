//! The same processes, killed in the same way, over a transport that breaks a promise: the check must fail.

use std::time::Duration;

use tidings_testkit::history::Report;

use super::{
    crew::{Crew, Victims, usual},
    orders::Breach,
    place::Place,
};

/// Long enough to publish some dozens of messages.
const LIFE: Duration = Duration::from_millis(150);

/// A few rounds in which a publisher or a consumer has a broken transport.
async fn run(name: &str, breach: [Option<Breach>; 2]) -> (Report, String) {
    let place = Place::new(name);
    let mut crew = Crew::start(&place, 7, usual(breach));
    for victims in [Victims::Two, Victims::All, Victims::Owner] {
        crew.all_work().await;
        crew.live(LIFE).await;
        crew.replace(victims).await;
    }
    crew.all_work().await;
    crew.live(LIFE).await;
    crew.finish().await;
    let report = place.history().check();
    let verdict = report.verdict().expect_err("the check must fail");
    (report, verdict)
}

/// The verdict has a line that counts the broken promises and names the first.
#[track_caller]
fn check_named(verdict: &str, what: &str, ids: &[String]) {
    assert!(!ids.is_empty(), "{verdict}");
    let wanted = format!("{} {what}: {}", ids.len(), ids[0]);
    assert!(verdict.contains(&wanted), "`{wanted}` is not in\n{verdict}");
}

#[tokio::test]
async fn messages_that_a_broker_confirms_and_loses_are_named() {
    let (report, verdict) = run("broken-loses", [Some(Breach::Loses), None]).await;
    check_named(&verdict, "lost", &report.lost);
    let of_the_broken = |id: &String| id.starts_with("publisher-a");
    assert!(report.lost.iter().all(of_the_broken), "{verdict}");
    assert!(report.unmarked_duplicates.is_empty(), "{verdict}");
}

#[tokio::test]
async fn messages_that_a_broker_doubles_without_a_mark_are_named() {
    let (report, verdict) = run("broken-doubles", [Some(Breach::Doubles), None]).await;
    check_named(
        &verdict,
        "delivered again without a mark",
        &report.unmarked_duplicates,
    );
    let of_the_broken = |id: &String| id.starts_with("publisher-a");
    let mut unmarked = report.unmarked_duplicates.iter();
    assert!(unmarked.all(of_the_broken), "{verdict}");
    assert!(report.lost.is_empty(), "{verdict}");
}

#[tokio::test]
async fn redeliveries_that_a_broker_does_not_mark_are_named() {
    let breach = [None, Some(Breach::HidesRedelivery)];
    let (report, verdict) = run("broken-hides", breach).await;
    check_named(
        &verdict,
        "delivered again without a mark",
        &report.unmarked_duplicates,
    );
    assert!(report.lost.is_empty(), "{verdict}");
}
