//! `tidings topology`: what must exist, and what does.

mod apply;
mod clear;
mod diff;
mod show;

use anyhow::Result;
use clap::Subcommand;
use serde_json::{Value, json};
use tidings::topology::{Difference, Thing};

use super::Session;
use crate::{
    exit::Exit,
    table::{Cell, Table, Tone},
};

/// What can be done with a topology.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Show what is wanted, without asking a broker; as JSON it is a file of definitions
    Show(show::Options),
    /// Declare what is wanted: creates what is missing, and changes nothing that exists
    Apply(apply::Options),
    /// Compare what is wanted with what exists; the exit code is 5 if they differ
    Diff(diff::Options),
    /// Delete exchanges and queues with the messages in them
    Clear(clear::Options),
}

/// Does one of them.
pub(crate) async fn run(action: Action, session: &Session) -> Result<Exit> {
    match action {
        Action::Show(options) => show::run(&options, session),
        Action::Apply(options) => apply::run(&options, session).await,
        Action::Diff(options) => diff::run(&options, session).await,
        Action::Clear(options) => clear::run(&options, session).await,
    }
}

/// A thing for programs.
fn thing_json(thing: &Thing) -> Value {
    match thing {
        Thing::Exchange(name) | Thing::Queue(name) => {
            json!({ "kind": thing.kind(), "name": &**name })
        }
        Thing::Binding {
            exchange,
            queue,
            pattern,
        } => json!({
            "kind": thing.kind(), "exchange": &**exchange, "queue": &**queue, "pattern": &**pattern
        }),
    }
}

/// The name of a thing for people.
fn thing_name(thing: &Thing) -> String {
    match thing {
        Thing::Exchange(name) | Thing::Queue(name) => name.to_string(),
        Thing::Binding {
            exchange,
            queue,
            pattern,
        } => format!("{exchange} → {queue} ({pattern})"),
    }
}

/// A difference for programs.
fn difference_json(difference: &Difference) -> Value {
    let mut json = thing_json(difference.thing());
    match difference {
        Difference::Missing(_) => json["state"] = "missing".into(),
        Difference::Differs {
            setting,
            has,
            wants,
            ..
        } => {
            json["state"] = "differs".into();
            json["setting"] = setting.as_str().into();
            json["has"] = has.as_str().into();
            json["wants"] = wants.as_str().into();
        }
        Difference::Unknown { why, .. } => {
            json["state"] = "unknown".into();
            json["why"] = why.as_str().into();
        }
        other => json["state"] = other.to_string().into(),
    }
    json
}

/// Differences for people.
fn difference_table<'a>(differences: impl IntoIterator<Item = &'a Difference>) -> Table {
    let mut table = Table::new(&["kind", "name", "difference"]);
    for difference in differences {
        let what = match difference {
            Difference::Missing(_) => Cell::new("missing", Tone::Good),
            Difference::Differs {
                setting,
                has,
                wants,
                ..
            } => Cell::new(format!("{setting} is {has}, wanted {wants}"), Tone::Bad),
            Difference::Unknown { why, .. } => {
                Cell::new(format!("cannot be seen: {why}"), Tone::Quiet)
            }
            other => Cell::from(other),
        };
        let thing = difference.thing();
        table.row([thing.kind().into(), thing_name(thing).into(), what]);
    }
    table
}

/// `1 queue`, `2 queues`.
fn count(number: usize, what: &str) -> String {
    crate::message::count(number as u64, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_has_the_same_fields_for_programs() {
        let thing = Thing::Queue("q".into());
        let missing = Difference::Missing(thing.clone());
        assert_eq!(
            difference_json(&missing),
            json!({ "kind": "queue", "name": "q", "state": "missing" })
        );
        let differs = Difference::Differs {
            thing,
            setting: "message TTL".into(),
            has: "5 s".into(),
            wants: "1 s".into(),
        };
        assert_eq!(
            difference_json(&differs),
            json!({ "kind": "queue", "name": "q", "state": "differs", "setting": "message TTL", "has": "5 s", "wants": "1 s" })
        );
    }
}
