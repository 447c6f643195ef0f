//! A subscription that is down: since when, and which of its failures are worth a line in the log.
//!
//! Attempts go on every few seconds for as long as it takes, so a line for each would bury what else there is
//! to read. What is new is said at once, what is known once a minute. It does not decide when to try again.

use std::time::Duration;

use tidings_core::{Error, ErrorKind};
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

/// How often it is said that nothing has changed.
const SUMMARY: Duration = Duration::from_secs(60);

/// How many texts are told from one another: errors that never read the same must not each be a line.
const TEXTS: usize = 8;

/// From the first failure until the subscription is back.
#[derive(Debug)]
pub(crate) struct Outage {
    since: Instant,
    said: Instant,
    failures: u32,
    texts: Vec<String>,
}

/// What a failure adds to what the log says already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    /// A text that was not there before.
    New,
    /// Nothing for a minute, so that it is time to say it again.
    Still,
    /// Nothing.
    Known,
}

impl Outage {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self {
            since: now,
            said: now,
            failures: 0,
            texts: Vec::new(),
        }
    }

    /// Logs a failure as loudly as it is news.
    pub(crate) fn failed(&mut self, queue: &str, failure: &Error) {
        let error = failure.chain();
        let news = self.news(&error);
        let (failures, down_seconds) = (self.failures, self.seconds());
        let is_gone = failure.kind() == ErrorKind::NotFound;
        match (news, is_gone) {
            (News::New, true) => error!(
                error,
                queue,
                failures,
                down_seconds,
                "the queue does not exist; if it was deleted, the messages in it are gone; trying again"
            ),
            (News::New, false) => warn!(
                error,
                queue, failures, down_seconds, "the subscription is broken; trying again"
            ),
            (News::Still, true) => error!(
                error,
                queue, failures, down_seconds, "the queue still does not exist; trying again"
            ),
            (News::Still, false) => warn!(
                error,
                queue, failures, down_seconds, "the subscription is still broken; trying again"
            ),
            (News::Known, _) => debug!(
                error,
                queue, failures, down_seconds, "the subscription is still broken; trying again"
            ),
        }
    }

    /// Logs the end of it.
    pub(crate) fn over(self, queue: &str) {
        let (failures, down_seconds) = (self.failures, self.seconds());
        info!(queue, failures, down_seconds, "the subscription is back");
    }

    fn news(&mut self, text: &str) -> News {
        self.failures = self.failures.saturating_add(1);
        let news = if self.texts.len() < TEXTS && !self.texts.iter().any(|it| it == text) {
            self.texts.push(text.to_owned());
            News::New
        } else if self.said.elapsed() >= SUMMARY {
            News::Still
        } else {
            return News::Known;
        };
        self.said = Instant::now();
        news
    }

    fn seconds(&self) -> u64 {
        self.since.elapsed().as_secs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn says_what_is_new_at_once_and_what_is_known_once_a_minute() {
        let mut outage = Outage::new();
        let mut heard = Vec::new();
        for second in 0..150 {
            let text = if second < 5 { "refused" } else { "not found" };
            let news = outage.news(text);
            if news != News::Known {
                heard.push((second, news));
            }
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        let expected = [
            (0, News::New),
            (5, News::New),
            (65, News::Still),
            (125, News::Still),
        ];
        assert_eq!(heard, expected);
        assert_eq!((outage.failures, outage.seconds()), (150, 150));
    }

    #[tokio::test(start_paused = true)]
    async fn texts_that_alternate_or_never_repeat_end_in_summaries() {
        let mut outage = Outage::new();
        let heard = |outage: &mut Outage, text: &str| outage.news(text) == News::New;
        assert!(heard(&mut outage, "one") && heard(&mut outage, "other"));
        assert!(!heard(&mut outage, "one") && !heard(&mut outage, "other"));
        let new = (0..100).filter(|it| heard(&mut outage, &it.to_string()));
        assert_eq!(new.count(), TEXTS - 2);
    }
}
