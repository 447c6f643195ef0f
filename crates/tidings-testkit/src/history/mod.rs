//! What was attempted, confirmed and handled, and what follows from it: was anything lost?
//!
//! The model is Jepsen's: publishers and handlers write down what they see, nobody interprets while the
//! system runs, and a checker reads everything afterwards.
//!
//! ```
//! use tidings_testkit::history::{Event, History, Recorder};
//!
//! let recorder = Recorder::in_memory();
//! recorder.note(Event::attempted("a"));
//! recorder.note(Event::confirmed("a"));
//! recorder.note(Event::attempted("b"));
//! recorder.note(Event::confirmed("b"));
//! recorder.note(Event::handled("a", false, "worker 1"));
//!
//! let report = History::of(recorder.events()).check();
//! assert_eq!(report.lost, ["b"]);
//! assert!(report.verdict().is_err());
//! ```
//!
//! Nothing here depends on the order of events of different processes, since their clocks do not agree: a
//! verdict follows from which events exist and how many.

mod check;
mod event;
mod load;
mod recorder;

pub use self::{check::Report, event::Event, load::History, recorder::Recorder};
