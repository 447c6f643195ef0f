//! Which dead letters are meant: of which queues, and which of their messages.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use clap::Args;
use jiff::Timestamp;
use tidings::{
    Call,
    clock::Clock,
    domain::names::DEAD_LETTER_PREFIX,
    transport::{QueueStatus, Transport},
};

use crate::{dead::Facts, message, output, output::Output, span, status};

/// Which dead letters are meant.
#[derive(Clone, Debug, Args)]
pub(crate) struct Selection {
    /// Only this queue, whatever its name; several times if need be
    #[arg(long = "queue", value_name = "QUEUE")]
    queues: Vec<String>,
    /// What the names of the queues begin with
    #[arg(long, default_value = DEAD_LETTER_PREFIX, conflicts_with = "queues")]
    prefix: String,
    /// Only those with this reason: max_retries, fatal, undecodable, expired, …; several times if need be
    #[arg(long = "reason", value_name = "REASON")]
    reasons: Vec<String>,
    /// Only those of this subscriber; several times if need be
    #[arg(long = "subscriber", value_name = "NAME")]
    subscribers: Vec<String>,
    /// Only those that died at least so long ago: `90s`, `1h 30m`, `2d`
    #[arg(long, value_name = "SPAN", value_parser = span::parse)]
    older_than: Option<Duration>,
    /// Only those that died more recently: `90s`, `1h 30m`, `2d`
    #[arg(long, value_name = "SPAN", value_parser = span::parse)]
    newer_than: Option<Duration>,
}

impl Selection {
    /// The queues, with messages in them if they were not named one by one.
    pub(crate) async fn queues(&self, transport: &dyn Transport) -> Result<Vec<QueueStatus>> {
        if !self.queues.is_empty() {
            let names: Vec<Arc<str>> = self.queues.iter().map(|it| it.as_str().into()).collect();
            return Ok(transport.queues(&names).await?);
        }
        let listed = status::all(transport).await?;
        let names = listed.into_iter().map(|queue| queue.name);
        let names = names.filter(|name| name.starts_with(&self.prefix));
        let mut queues = status::existing(transport, names).await?;
        queues.retain(|queue| queue.ready > 0);
        Ok(queues)
    }

    /// Whether any message passes.
    pub(crate) fn is_all(&self) -> bool {
        self.reasons.is_empty()
            && self.subscribers.is_empty()
            && self.older_than.is_none()
            && self.newer_than.is_none()
    }

    /// The facts of a dead letter, if it is meant. One that does not say when it died has no age.
    pub(crate) fn meant(&self, call: &Call) -> Option<Facts> {
        let facts = Facts::of(call);
        self.is_meant(&facts, Clock::SYSTEM.now()).then_some(facts)
    }

    fn is_meant(&self, facts: &Facts, now: Timestamp) -> bool {
        let age = facts.failed_at.map(|at| age(at, now));
        let is_one_of = |wanted: &[String], value: Option<&str>| {
            wanted.is_empty() || value.is_some_and(|value| wanted.iter().any(|it| it == value))
        };
        is_one_of(&self.reasons, Some(&facts.reason))
            && is_one_of(&self.subscribers, facts.subscriber.as_deref())
            && self
                .older_than
                .is_none_or(|span| age.is_some_and(|age| age >= span))
            && self
                .newer_than
                .is_none_or(|span| age.is_some_and(|age| age < span))
    }
}

/// How long ago.
pub(crate) fn age(at: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(at)).unwrap_or_default()
}

/// Tells that not everything was looked at.
pub(crate) fn note_unseen(unseen: u64, next: &str, output: Output) {
    if unseen > 0 && !output.is_json() {
        output::note(format_args!(
            "note: {} not looked at: beyond the bound, held back, or with another consumer; {next}",
            message::count(unseen, "message")
        ));
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        selection: Selection,
    }

    fn check(arguments: &str, expected: bool) {
        let words = arguments.split(' ').filter(|word| !word.is_empty());
        let line = Line::parse_from(["x"].into_iter().chain(words));
        let facts = Facts {
            reason: "fatal".into(),
            failed_at: Some(Timestamp::UNIX_EPOCH),
            subscriber: Some("mail".into()),
            ..Facts::default()
        };
        let now = Timestamp::from_second(3_600).unwrap();
        assert_eq!(
            line.selection.is_meant(&facts, now),
            expected,
            "{arguments}"
        );
        assert_eq!(line.selection.is_all(), arguments.is_empty(), "{arguments}");
    }

    #[test]
    fn every_filter_must_pass() {
        check("", true);
        check("--reason fatal", true);
        check("--reason expired", false);
        check("--reason expired --reason fatal", true);
        check("--subscriber mail", true);
        check("--subscriber mail --reason expired", false);
        check("--older-than 1h", true);
        check("--older-than 61m", false);
        check("--newer-than 1h", false);
        check("--newer-than 61m", true);
    }

    #[test]
    fn what_has_no_age_passes_no_filter_by_age() {
        let line = Line::parse_from(["x", "--older-than", "0s"]);
        let facts = Facts::default();
        assert!(!line.selection.is_meant(&facts, Timestamp::UNIX_EPOCH));
    }
}
