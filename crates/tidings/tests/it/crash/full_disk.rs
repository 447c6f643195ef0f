//! A full disk is an error to the publisher, not a loss.
//!
//! `max_size_mb` stands for the disk: SQLite reports both in the same way, and a test cannot fill the disk of
//! the machine that it runs on.

use std::path::PathBuf;

use tidings_testkit::{
    history::{Event, History},
    process::Process,
};

use super::{
    child,
    orders::{Orders, Role},
    place::{LONG, Place, rest},
};

fn start(place: &Place, name: &str, role: Role) -> Process {
    child::start(&Orders {
        name: name.to_owned(),
        url: format!("{}?max_size_mb=1", place.url()),
        history: history(place, name),
        seed: 0,
        breach: None,
        role,
    })
}

fn history(place: &Place, name: &str) -> PathBuf {
    place.file(&format!("{name}.history"))
}

/// Publishes until there is no room, and dies then. Returns how many messages found room.
async fn fill(place: &Place, name: &str) -> usize {
    let role = Role::Publisher {
        filling: 2_000,
        most_waiting: u64::MAX,
        until_full: true,
    };
    let mut publisher = start(place, name, role);
    publisher.line_starting("full", LONG).await.unwrap();
    publisher.kill_9().await.unwrap();
    let confirmed = |event: &&Event| matches!(event, Event::Confirmed { .. });
    let own = History::load([history(place, name)]).unwrap();
    own.events().iter().filter(confirmed).count()
}

/// Works off everything that is there.
async fn empty(place: &Place, name: &str) {
    let mut consumer = start(
        place,
        name,
        Role::Consumer {
            refuses: 0.1,
            least_waiting: 0,
        },
    );
    consumer.line_starting("ready", LONG).await.unwrap();
    let transport = tidings::open(&place.url()).await.unwrap();
    rest(&transport).await;
    consumer.terminate().await.unwrap();
    assert!(consumer.wait(LONG).await.unwrap().success());
}

#[tokio::test]
async fn a_full_disk_loses_nothing_and_is_usable_again_once_messages_are_consumed() {
    let place = Place::new("full-disk");
    let first = fill(&place, "first").await;
    assert!(first > 100, "only {first} messages of 2 KB fit into 1 MB");
    empty(&place, "between").await;
    let second = fill(&place, "second").await;
    assert!(second > first / 2, "{first} messages fitted, then {second}");
    empty(&place, "last").await;

    let report = place.keeps_every_promise(&place.history());
    assert_eq!(report.confirmed, first + second);
}
