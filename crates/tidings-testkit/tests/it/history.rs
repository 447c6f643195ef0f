//! A history outlives whoever wrote it, and comes back whole.

use std::{fs, path::PathBuf, sync::Arc};

use tidings_core::{
    ErrorKind, Result, Settlement,
    topology::{Queue, Topology},
    transport::{Subscription, Transport},
};
use tidings_testkit::{
    broken::{Broken, Defect},
    double::call,
    history::{Event, History, Recorder, Report},
};

use crate::reference::Hub;

/// A directory that goes with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("the target directory is writable");
        Self(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A directory that is left behind breaks no later test.
        fs::remove_dir_all(&self.0).unwrap_or_default();
    }
}

#[test]
fn joins_the_files_of_all_processes() {
    let scratch = Scratch::new("joins");
    let (publisher, handler) = (scratch.file("publisher"), scratch.file("handler"));
    let events = [
        Event::attempted("ü \" \n"),
        Event::confirmed("ü \" \n"),
        Event::failed("f"),
    ];
    let recorder = Recorder::create(&publisher).unwrap();
    for event in events.clone() {
        recorder.record(event).unwrap();
    }
    Recorder::create(&handler)
        .unwrap()
        .note(Event::handled("ü \" \n", true, "h"));
    let history = History::load([&publisher, &handler]).unwrap();
    assert_eq!(history.events()[..3], events);
    let report = history.check();
    assert_eq!((report.confirmed, report.handled, report.torn), (1, 1, 0));
    report.verdict().unwrap();
}

#[test]
fn counts_a_torn_last_line() {
    let scratch = Scratch::new("torn");
    let path = scratch.file("events");
    let recorder = Recorder::create(&path).unwrap();
    recorder.note(Event::attempted("a"));
    recorder.note(Event::confirmed("a"));
    let content = fs::read(&path).unwrap();
    fs::write(&path, &content[..content.len() - 5]).unwrap();
    let report = History::load([&path]).unwrap().check();
    assert_eq!((report.attempted, report.confirmed, report.torn), (1, 0, 1));
}

#[test]
fn never_writes_into_another_lifes_file() {
    let scratch = Scratch::new("again");
    let path = scratch.file("events");
    let _first = Recorder::create(&path).unwrap();
    let error = Recorder::create(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("events"), "{error}");
}

#[test]
fn a_missing_file_is_an_error() {
    let error = History::load(["/nowhere/events"]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot read the history file /nowhere/events"
    );
}

#[test]
fn shows_the_report_as_a_table() {
    let events = [Event::attempted("a"), Event::confirmed("a")];
    let table = History::of(events).check().to_string();
    assert!(
        table.contains("lost                           1\n"),
        "{table}"
    );
}

/// A hundred messages; every tenth handler crashes the first time. Reads as often as a good transport delivers,
/// so that a bad one cannot keep the test busy for ever.
async fn work(transport: Arc<dyn Transport>) -> Result<Report> {
    let recorder = Recorder::in_memory();
    transport
        .declare(&Topology::new().queue(Queue::new("q")))
        .await?;
    let publisher = transport.publisher().await?;
    for number in 0..100 {
        let id = number.to_string();
        recorder.note(Event::attempted(&id));
        publisher.publish(call("q", id.clone())).await?;
        recorder.note(Event::confirmed(&id));
    }
    let mut subscriber = transport.subscribe(Subscription::to("q")).await?;
    for turn in 0..110 {
        let next = tokio::time::timeout(std::time::Duration::from_secs(60), subscriber.next());
        let Ok(Some(delivery)) = next.await else {
            break;
        };
        let (call, acker) = delivery?.split();
        let id = String::from_utf8_lossy(&call.envelope.payload.bytes).into_owned();
        recorder.note(Event::handled(&id, call.is_redelivered(), "worker"));
        if turn % 11 == 0 {
            continue;
        }
        acker.settle(Settlement::Ack).await?;
        recorder.note(Event::acked(&id));
    }
    Ok(History::of(recorder.events()).check())
}

async fn work_on(defect: Defect) -> Report {
    let broken = Broken::new(Arc::<Hub>::default().connect(), defect);
    work(Arc::new(broken))
        .await
        .expect("only promises are broken")
}

#[tokio::test(start_paused = true)]
async fn a_good_transport_passes_with_marked_duplicates() {
    let report = work(Arc::<Hub>::default().connect()).await.unwrap();
    report.verdict().unwrap();
    assert_eq!((report.confirmed, report.handled), (100, 100));
    assert_eq!(report.duplicated.len(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_loses_messages_is_found_out() {
    let report = work_on(Defect::LosesEvery(40)).await;
    assert_eq!(report.lost, ["39", "79"]);
    assert_eq!(report.verdict(), Err("2 lost: 39, 79".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_confirms_before_storing_is_found_out() {
    let report = work_on(Defect::ConfirmsBeforeStoring).await;
    assert_eq!(report.lost, ["99"]);
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_doubles_messages_is_found_out() {
    let report = work_on(Defect::DoublesEvery(50)).await;
    assert!(
        report.unmarked_duplicates.contains(&"49".to_owned()),
        "{report}"
    );
    assert!(report.returned.contains(&"49".to_owned()), "{report}");
    assert!(report.verdict().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_hides_redeliveries_is_found_out() {
    let report = work_on(Defect::HidesRedelivery).await;
    assert_eq!(report.unmarked_duplicates.len(), 10);
    assert_eq!(report.unmarked_duplicates, report.duplicated);
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_forgets_acks_is_found_out() {
    let report = work_on(Defect::ForgetsAcks).await;
    assert!(!report.returned.is_empty(), "{report}");
    assert!(report.verdict().is_err());
}
