//! Whether the log server takes records, told once however many connections find out.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// How often a refusal is worth a line in the log.
const QUIET: Duration = Duration::from_secs(60);

/// What the connections to one log server know together.
#[derive(Debug, Default)]
pub(super) struct Outage {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    now: Option<Begun>,
    /// How many there have been.
    number: u64,
    ended: Option<Instant>,
    refused: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Begun {
    at: Instant,
    dropped: u64,
}

/// How an outage has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) after: Duration,
    /// How many records were dropped meanwhile.
    pub(super) dropped: u64,
}

/// The outage that one connection has found, if it has found one.
#[derive(Debug, Default)]
pub(super) struct Found(Option<u64>);

impl Outage {
    /// An attempt that began then has failed. Returns whether that is news; `dropped` is how many records have been
    /// dropped ever.
    pub(super) fn failed(&self, found: &mut Found, began: Instant, dropped: u64) -> bool {
        let mut state = self.state();
        // What was asked before the log server came back says nothing about how it is since.
        if state.ended.is_some_and(|ended| began < ended) {
            return false;
        }
        let is_news = state.now.is_none();
        if is_news {
            state.number += 1;
            let at = Instant::now();
            state.now = Some(Begun { at, dropped });
        }
        found.0 = Some(state.number);
        is_news
    }

    /// A record has been answered for. Returns how the outage has gone if it is over by that: only who has found it can
    /// tell, as others may have sent what the log server had no trouble with.
    pub(super) fn answered(&self, found: &mut Found, dropped: u64) -> Option<Ended> {
        let number = found.0.take()?;
        let mut state = self.state();
        let begun = state.now.filter(|_| state.number == number)?;
        state.now = None;
        state.ended = Some(Instant::now());
        Some(Ended {
            after: begun.at.elapsed(),
            dropped: dropped.saturating_sub(begun.dropped),
        })
    }

    /// Whether a refusal is worth a line.
    pub(super) fn refused(&self) -> bool {
        let mut state = self.state();
        let is_news = state.refused.is_none_or(|last| last.elapsed() >= QUIET);
        if is_news {
            state.refused = Some(Instant::now());
        }
        is_news
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn an_outage_begins_and_ends_once_however_many_find_it() {
        let outage = Outage::default();
        let (mut one, mut other, mut third) = Default::default();
        assert!(outage.failed(&mut one, Instant::now(), 3));
        assert!(!outage.failed(&mut other, Instant::now(), 4));
        assert!(!outage.failed(&mut one, Instant::now(), 5));
        advance(SECOND).await;
        assert_eq!(
            outage.answered(&mut third, 9),
            None,
            "it has not found any outage"
        );
        let (after, dropped) = (SECOND, 6);
        let ended = Some(Ended { after, dropped });
        assert_eq!(outage.answered(&mut other, 9), ended);
        assert_eq!(outage.answered(&mut one, 9), None);
        advance(SECOND).await;
        assert!(outage.failed(&mut one, Instant::now(), 9), "the next one");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_asked_during_an_outage_begins_no_other() {
        let outage = Outage::default();
        let (mut one, mut slow) = Default::default();
        let began = Instant::now();
        assert!(outage.failed(&mut one, began, 0));
        advance(SECOND).await;
        assert!(outage.answered(&mut one, 0).is_some());
        assert!(!outage.failed(&mut slow, began, 0));
        assert_eq!(outage.answered(&mut slow, 0), None);
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_are_told_once_a_minute() {
        let outage = Outage::default();
        assert!(outage.refused());
        assert!(!outage.refused());
        advance(QUIET).await;
        assert!(outage.refused());
    }
}
