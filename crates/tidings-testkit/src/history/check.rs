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
    /// How often a handler failed on purpose.
    pub refused: usize,
    /// Confirmed and never handled.
    pub lost: Vec<String>,
    /// Handled more than once. Allowed: delivery is at least once.
    pub duplicated: Vec<String>,
    /// Delivered again without a warning: more deliveries said "certainly the first" than there can be copies.
    /// See [the rule](super#the-rule-for-duplicates).
    pub unmarked_duplicates: Vec<String>,
    /// Acked more often than there can be copies, so it came back after an ack.
    pub returned: Vec<String>,
    /// Delivered and never attempted.
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
    acked: usize,
    /// By how many handlings had failed before.
    stages: BTreeMap<u32, Stage>,
}

/// What is known of the copies of a message that stand between two failures.
#[derive(Default)]
struct Stage {
    /// Deliveries that said "certainly the first".
    unmarked: usize,
    /// Failures on purpose. Each makes at most one copy for the next stage.
    refused: usize,
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
            id,
            redelivered,
            failures,
            ..
        } => {
            let message = messages.entry(id).or_default();
            message.handled += 1;
            message.stage(*failures).unmarked += usize::from(!redelivered);
        }
        Event::Refused {
            id,
            redelivered,
            failures,
            ..
        } => {
            let stage = messages.entry(id).or_default().stage(*failures);
            stage.refused += 1;
            stage.unmarked += usize::from(!redelivered);
        }
        Event::Acked { id } => messages.entry(id).or_default().acked += 1,
    }
}

impl Message {
    fn stage(&mut self, failures: u32) -> &mut Stage {
        self.stages.entry(failures).or_default()
    }

    fn refused(&self) -> usize {
        self.stages.values().map(|stage| stage.refused).sum()
    }

    /// Whether a stage saw more first deliveries than copies can have come into it.
    fn has_unmarked_duplicate(&self, attempts: usize) -> bool {
        self.stages.iter().any(|(failures, stage)| {
            let copies = match failures.checked_sub(1) {
                None => attempts,
                Some(before) => self.stages.get(&before).map_or(0, |stage| stage.refused),
            };
            stage.unmarked > copies
        })
    }
}

impl Report {
    /// A publisher that retries an unconfirmed publish may store two copies, so copies are counted against
    /// attempts and not against one.
    fn judge(&mut self, id: &str, message: &Message) {
        self.attempted += usize::from(message.attempted > 0);
        self.confirmed += usize::from(message.confirmed > 0);
        self.handled += usize::from(message.handled > 0);
        let (attempts, refused) = (message.attempted.max(1), message.refused());
        self.refused += refused;
        let findings = [
            (
                &mut self.lost,
                message.confirmed > 0 && message.handled == 0,
            ),
            (&mut self.duplicated, message.handled > 1),
            (
                &mut self.unmarked_duplicates,
                message.has_unmarked_duplicate(attempts),
            ),
            (&mut self.returned, message.acked > attempts + refused),
            (
                &mut self.unexpected,
                message.attempted == 0 && !message.stages.is_empty(),
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
            ("delivered again without a mark", &self.unmarked_duplicates),
            ("back after an ack", &self.returned),
            ("delivered and never attempted", &self.unexpected),
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
            ("refused", self.refused),
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

    /// Events of one message `m`, in words: `handled!` is a marked delivery, `handled1` one of the copy made
    /// after one failure.
    #[track_caller]
    fn check_one(events: &str, wanted: &[&str]) {
        let events: Vec<_> = events
            .split_whitespace()
            .map(|word| match word.trim_end_matches(['1', '2']) {
                "attempted" => Event::attempted("m"),
                "confirmed" => Event::confirmed("m"),
                "failed" => Event::failed("m"),
                "handled" => Event::handled("m", false, "h"),
                "handled!" => Event::handled("m", true, "h"),
                "refused" => Event::refused("m", false, "h"),
                "refused!" => Event::refused("m", true, "h"),
                _ => Event::acked("m"),
            })
            .zip(events.split_whitespace())
            .map(|(event, word)| event.after_failures(failures(word)))
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

    fn failures(word: &str) -> u32 {
        word.chars()
            .last()
            .and_then(|last| last.to_digit(10))
            .unwrap_or(0)
    }

    #[test]
    fn a_copy_for_another_attempt_is_a_first_delivery_of_its_own() {
        check_one(&format!("{SENT} refused handled1"), &[]);
        check_one(&format!("{SENT} refused acked handled1 acked"), &[]);
        check_one(&format!("{SENT} refused refused1 handled2"), &[]);
        check_one(&format!("{SENT} refused"), &["lost"]);
        // Killed between the copy and the ack of the original: both come.
        check_one(
            &format!("{SENT} refused handled! handled1 acked acked"),
            &["duplicated"],
        );
        // The same, and the original is refused once more: two copies.
        check_one(
            &format!("{SENT} refused refused! handled1 handled1"),
            &["duplicated"],
        );
        check_one(
            &format!("{SENT} refused handled1 handled1"),
            &["duplicated", "unmarked"],
        );
        check_one(&format!("{SENT} refused handled"), &["unmarked"]);
        check_one(&format!("{SENT} refused handled2"), &["unmarked"]);
        check_one(
            &format!("{SENT} refused handled1 acked acked acked"),
            &["returned"],
        );
        check_one("refused acked", &["unexpected"]);
    }

    #[test]
    fn the_verdict_lists_ten_ids() {
        let events = (10..30).map(|number| Event::confirmed(format!("m{number}")));
        let verdict = check(&events.collect::<Vec<_>>(), 0).verdict();
        let wanted = "20 lost: m10, m11, m12, m13, m14, m15, m16, m17, m18, m19, …";
        assert_eq!(verdict, Err(wanted.to_owned()));
    }
}
