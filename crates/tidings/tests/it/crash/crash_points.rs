//! A service killed at every point between a delivery and its ack.

use super::{
    child,
    orders::{Orders, Point, Role},
    place::{LONG, Place, attachment, rest},
    roles::stopping::{DRAINING, MESSAGES, VICTIM},
};

/// Kills a service at a point, lets another one work off what is left, and checks that exactly these messages
/// were handled twice, marked, and how many became dead letters.
async fn check(at: Point, twice: &[u32], dead_letters: u64) {
    let place = Place::new(&format!("point-{at:?}"));
    let orders = |name: &str, role| Orders {
        name: name.to_owned(),
        url: place.url(),
        history: place.file(&format!("{name}.history")),
        seed: 0,
        breach: None,
        role,
    };
    let mut first = child::start(&orders("first", Role::Stopping { at }));
    first.line_starting("reached", LONG).await.unwrap();
    first.kill_9().await.unwrap();

    let mut second = child::start(&orders(
        "second",
        Role::Consumer {
            refuses: 0.0,
            least_waiting: 0,
        },
    ));
    second.line_starting("ready", LONG).await.unwrap();
    let transport = tidings::open(&place.url()).await.unwrap();
    rest(&transport).await;
    second.terminate().await.unwrap();
    assert!(second.wait(LONG).await.unwrap().success());

    let report = place.keeps_every_promise(&place.history());
    let twice: Vec<_> = twice
        .iter()
        .map(|number| format!("first-{number}"))
        .collect();
    assert_eq!(report.duplicated, twice, "{at:?}");
    assert_eq!(report.handled, MESSAGES as usize, "{at:?}");
    let dead = format!("dead_letter.{}", attachment().queue);
    let dead = transport.queues(&[dead.into()]).await.unwrap();
    assert_eq!(dead[0].ready, dead_letters, "{at:?}");
}

#[tokio::test]
async fn killed_inside_the_handler() {
    check(Point::InHandler, &[VICTIM], 0).await;
}

#[tokio::test]
async fn killed_between_the_handler_and_the_ack() {
    check(Point::BeforeAck, &[VICTIM], 0).await;
}

/// The copy and the original both arrive. The copy carries its count, the original is flagged.
#[tokio::test]
async fn killed_between_the_copy_for_a_retry_and_the_ack_of_the_original() {
    check(Point::AfterRetryCopy, &[VICTIM], 0).await;
}

/// It is a dead letter and comes again: whoever redrives the dead letter repeats it, and nobody loses it.
#[tokio::test]
async fn killed_between_the_dead_letter_and_the_ack_of_the_original() {
    check(Point::AfterDeadLetter, &[], 1).await;
}

#[tokio::test]
async fn killed_while_draining() {
    let at_work: Vec<_> = (u32::from(DRAINING / 2)..u32::from(DRAINING)).collect();
    check(Point::InDrain, &at_work, 0).await;
}
