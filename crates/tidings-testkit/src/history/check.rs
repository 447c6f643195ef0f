//! The checker: from events to what was lost, doubled or made up.

use std::{collections::BTreeMap, fmt};

use super::event::Event;

/// What a history proves. Lists of ids are sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How many messages were attempted.
    pub attempted: usize,
    /// How many were confirmed.
    pub confirmed: usize,
    /// How many were handled at least once.
    pub handled: usize,
    /// Confirmed and never handled.
    pub lost: Vec<String>,
    /// Handled more than once. Allowed: delivery is at least once.
    pub duplicated: Vec<String>,
    /// Handled again without a warning: more deliveries said "certainly the first" than there were attempts.
    pub unmarked_duplicates: Vec<String>,
    /// Acked more often than attempted, so it came back after an ack.
    pub returned: Vec<String>,
    /// Handled and never attempted.
    pub unexpected: Vec<String>,
    /// Handled although never confirmed. Allowed: the outcome of an unconfirmed publish is unknown.
    pub recovered: Vec<String>,
    /// Last lines of files that were cut off.
    pub torn: usize,
}

/// What is known of one message.
#[derive(Default)]
struct Message {
    attempted: usize,
    confirmed: usize,
    handled: usize,
    handled_unmarked: usize,
    acked: usize,
}

pub(super) fn check(events: &[Event], torn: usize) -> Report {
    let mut messages = BTreeMap::new();
    for event in events {
        count(&mut messages, event);
    }
    let mut report = Report {
        torn,
        ..Report::default()
    };
    for (id, message) in messages {
        report.judge(id, &message);
    }
    report
}

fn count<'a>(messages: &mut BTreeMap<&'a str, Message>, event: &'a Event) {
    match event {
        Event::Attempted { id } => messages.entry(id).or_default().attempted += 1,
        Event::Confirmed { id } => messages.entry(id).or_default().confirmed += 1,
        Event::Failed { id } => {
            messages.entry(id).or_default();
        }
        Event::Handled {
            id, redelivered, ..
        } => {
            let message = messages.entry(id).or_default();
            message.handled += 1;
            message.handled_unmarked += usize::from(!redelivered);
        }
        Event::Acked { id } => messages.entry(id).or_default().acked += 1,
    }
}

impl Report {
    /// A publisher that retries an unconfirmed publish may store two copies, so copies are counted against
    /// attempts and not against one.
    fn judge(&mut self, id: &str, message: &Message) {
        self.attempted += usize::from(message.attempted > 0);
        self.confirmed += usize::from(message.confirmed > 0);
        self.handled += usize::from(message.handled > 0);
        let copies = message.attempted.max(1);
        let findings = [
            (
                &mut self.lost,
                message.confirmed > 0 && message.handled == 0,
            ),
            (&mut self.duplicated, message.handled > 1),
            (
                &mut self.unmarked_duplicates,
                message.handled_unmarked > copies,
            ),
            (&mut self.returned, message.acked > copies),
            (
                &mut self.unexpected,
                message.attempted == 0 && message.handled > 0,
            ),
            (
                &mut self.recovered,
                message.confirmed == 0 && message.attempted > 0 && message.handled > 0,
            ),
        ];
        for (list, applies) in findings {
            if applies {
                list.push(id.to_owned());
            }
        }
    }

    /// Whether every promise was kept: nothing lost, nothing doubled without a mark, nothing made up, no ack
    /// forgotten.
    ///
    /// # Errors
    /// One line per broken promise, with the first ten ids.
    pub fn verdict(&self) -> Result<(), String> {
        let broken: Vec<_> = [
            ("lost", &self.lost),
            ("handled again without a mark", &self.unmarked_duplicates),
            ("back after an ack", &self.returned),
            ("handled and never attempted", &self.unexpected),
        ]
        .into_iter()
        .filter(|(_, ids)| !ids.is_empty())
        .map(|(what, ids)| format!("{} {what}: {}", ids.len(), first_ten(ids)))
        .collect();
        if broken.is_empty() {
            return Ok(());
        }
        Err(broken.join("\n"))
    }
}

fn first_ten(ids: &[String]) -> String {
    let mut text = ids.iter().take(10).cloned().collect::<Vec<_>>().join(", ");
    if ids.len() > 10 {
        text.push_str(", …");
    }
    text
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = [
            ("attempted", self.attempted),
            ("confirmed", self.confirmed),
            ("handled", self.handled),
            ("lost", self.lost.len()),
            ("duplicated", self.duplicated.len()),
            ("unmarked duplicates", self.unmarked_duplicates.len()),
            ("returned after an ack", self.returned.len()),
            ("unexpected", self.unexpected.len()),
            ("recovered", self.recovered.len()),
            ("torn lines", self.torn),
        ];
        for (name, number) in rows {
            writeln!(f, "{name:<22} {number:>9}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: &str = "attempted confirmed";

    /// Events of one message `m`, in words: `handled!` is a marked delivery.
    #[track_caller]
    fn check_one(events: &str, wanted: &[&str]) {
        let events: Vec<_> = events
            .split_whitespace()
            .map(|word| match word {
                "attempted" => Event::attempted("m"),
                "confirmed" => Event::confirmed("m"),
                "failed" => Event::failed("m"),
                "handled" => Event::handled("m", false, "h"),
                "handled!" => Event::handled("m", true, "h"),
                _ => Event::acked("m"),
            })
            .collect();
        let report = check(&events, 0);
        let found: Vec<_> = [
            ("lost", &report.lost),
            ("duplicated", &report.duplicated),
            ("unmarked", &report.unmarked_duplicates),
            ("returned", &report.returned),
            ("unexpected", &report.unexpected),
            ("recovered", &report.recovered),
        ]
        .into_iter()
        .filter(|(_, ids)| !ids.is_empty())
        .map(|(name, _)| name)
        .collect();
        assert_eq!(found, wanted, "{events:?}");
        let bad = ["lost", "unmarked", "returned", "unexpected"];
        let is_bad = wanted.iter().any(|name| bad.contains(name));
        assert_eq!(report.verdict().is_err(), is_bad, "{events:?}");
    }

    #[test]
    fn finds_what_is_wrong_with_a_message() {
        check_one(&format!("{SENT} handled acked"), &[]);
        check_one(&format!("handled {SENT}"), &[]);
        check_one("attempted", &[]);
        check_one("attempted failed", &[]);
        check_one(SENT, &["lost"]);
        check_one(&format!("{SENT} handled handled! acked"), &["duplicated"]);
        check_one(
            &format!("{SENT} handled! handled handled! acked"),
            &["duplicated"],
        );
        check_one(
            &format!("{SENT} handled handled"),
            &["duplicated", "unmarked"],
        );
        check_one(
            &format!("{SENT} handled acked handled! acked"),
            &["duplicated", "returned"],
        );
        check_one("handled acked", &["unexpected"]);
        check_one("attempted failed handled", &["recovered"]);
        check_one("attempted handled", &["recovered"]);
        check_one(
            "attempted failed attempted confirmed handled handled acked acked",
            &["duplicated"],
        );
    }

    #[test]
    fn the_verdict_lists_ten_ids() {
        let events = (10..30).map(|number| Event::confirmed(format!("m{number}")));
        let verdict = check(&events.collect::<Vec<_>>(), 0).verdict();
        let wanted = "20 lost: m10, m11, m12, m13, m14, m15, m16, m17, m18, m19, …";
        assert_eq!(verdict, Err(wanted.to_owned()));
    }
}
