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
//! # The rule for duplicates
//!
//! Delivery is at least once, so a message may be handled twice, but never without a warning. A broker warns by
//! the `redelivered` flag, whose absence means: certainly not delivered before. A retry with delay breaks the
//! chain of that flag, because the message that comes again is a copy, published by the service itself, which
//! the broker has certainly not delivered before; its warning is the count of failures that it carries. The
//! original is acked after the copy is confirmed, so a crash between the two leaves both.
//!
//! So deliveries are counted by message and by the failures that they say have gone before. In stage 0 there
//! are at most as many copies as attempts to publish, in stage `n` at most as many as failures on purpose
//! ([`Event::Refused`]) in stage `n - 1`. Each copy may be delivered without the flag once; a stage with more
//! such deliveries than copies has an unmarked duplicate. It follows that of all deliveries of a message that was
//! published once, at most one has neither flag nor count. A failure on purpose is no handling: a message that
//! was only ever refused is lost.
//!
//! Nothing here depends on the order of events of different processes, since their clocks do not agree: a
//! verdict follows from which events exist and how many.

mod check;
mod event;
mod load;
mod recorder;

pub use self::{check::Report, event::Event, load::History, recorder::Recorder};
