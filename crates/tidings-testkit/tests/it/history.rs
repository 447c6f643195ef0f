//! A history outlives whoever wrote it, and comes back whole.

use std::{fs, path::PathBuf};

use tidings_core::ErrorKind;
use tidings_testkit::history::{Event, History, Recorder};

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
