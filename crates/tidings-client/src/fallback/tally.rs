//! What one replay has achieved so far: how many calls were confirmed, and which failure it will report.

use metrics::counter;
use tidings_core::{Error, error::Result, metric::FALLBACK_REPLAYS};

use super::is_away;

/// The running result of one replay.
#[derive(Debug, Default)]
pub(super) struct Tally {
    confirmed: u64,
    refused: u64,
    away: Option<Error>,
    refusal: Option<Error>,
}

impl Tally {
    /// Notes the end of one publish. Returns whether it was confirmed.
    pub(super) fn note(&mut self, result: Result<()>) -> bool {
        match result {
            Ok(()) => {
                self.confirmed += 1;
                counter!(FALLBACK_REPLAYS).increment(1);
                return true;
            }
            Err(error) if is_away(error.kind()) => {
                self.away.get_or_insert(error);
            }
            Err(error) => self.refuse(error),
        }
        false
    }

    /// Notes a call that cannot be published as it is.
    pub(super) fn refuse(&mut self, error: Error) {
        self.refused += 1;
        self.refusal.get_or_insert(error);
    }

    /// Whether the broker is away, so that it makes no sense to go on.
    pub(super) fn must_stop(&self) -> bool {
        self.away.is_some()
    }

    /// The result of the replay out of `place`.
    pub(super) fn finish(self, place: &str) -> Result<u64> {
        if let Some(away) = self.away {
            return Err(away);
        }
        let Some(refusal) = self.refusal else {
            return Ok(self.confirmed);
        };
        let context = format!(
            "{} of the calls in {place} were refused and stay there until the broker takes them; the first one",
            self.refused
        );
        Err(refusal.within(context))
    }
}

#[cfg(test)]
mod tests {
    use tidings_core::ErrorKind;

    use super::*;

    #[test]
    fn a_refusal_is_reported_but_does_not_stop_the_replay() {
        let mut tally = Tally::default();
        assert!(tally.note(Ok(())));
        assert!(!tally.note(Err(Error::new(ErrorKind::NotFound, "no exchange `a`"))));
        assert!(!tally.must_stop());
        let error = tally.finish("spool s").expect_err("a call was refused");
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains("spool s"), "{error}");
    }

    #[test]
    fn an_absent_broker_stops_the_replay_and_is_what_it_reports() {
        let mut tally = Tally::default();
        tally.refuse(Error::new(ErrorKind::Corrupt, "unreadable"));
        assert!(!tally.note(Err(Error::new(ErrorKind::Closed, "gone"))));
        assert!(tally.must_stop());
        let error = tally.finish("spool s").expect_err("the broker is away");
        assert_eq!(error.kind(), ErrorKind::Closed);
    }
}
