//! Answers that are queued and not written yet, and the acks that wait for them.
//!
//! An answer goes ahead of the ack of its request on one channel, but lapin writes acks before publishes: an ack that is
//! queued while its answer still is would overtake it. Whoever has answered does not wait for that. The ack is kept here,
//! and whoever has to do with the acks of the channel next looks which answers are written; so the thread that writes
//! wakes nobody. How many there are is bounded by the prefetch: none of these deliveries is acked.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use tidings_core::Result;

/// Resolves once an answer is written.
pub(crate) type Writing = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// The answers of one channel, in the order in which they are written.
#[derive(Debug, Default)]
pub(crate) struct Unwritten(VecDeque<Answer>);

struct Answer {
    /// The delivery that it answers.
    tag: u64,
    writing: Writing,
    is_acked: bool,
}

impl Unwritten {
    /// The answer to a delivery is queued.
    pub(crate) fn add(&mut self, tag: u64, writing: Writing) {
        self.0.push_back(Answer {
            tag,
            writing,
            is_acked: false,
        });
    }

    /// Keeps the ack of a delivery until its answer is written; false if there is nothing to wait for.
    pub(crate) fn keep_ack(&mut self, tag: u64) -> bool {
        // Answers are settled right after they were given, so it is one of the last.
        let answer = self.0.iter_mut().rev().find(|answer| answer.tag == tag);
        let Some(answer) = answer else {
            return false;
        };
        answer.is_acked = true;
        true
    }

    /// Forgets the answer to a delivery that is given back.
    pub(crate) fn forget(&mut self, tag: u64) {
        self.0.retain(|answer| answer.tag != tag);
    }

    /// The next delivery whose ack has waited long enough, and whether its answer is written.
    pub(crate) fn next(&mut self) -> Option<(u64, Result<()>)> {
        let first = self.0.front_mut().filter(|first| first.is_acked)?;
        let mut context = Context::from_waker(Waker::noop());
        let Poll::Ready(written) = first.writing.as_mut().poll(&mut context) else {
            return None;
        };
        let answer = self.0.pop_front()?;
        Some((answer.tag, written))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("tag", &self.tag)
            .field("is_acked", &self.is_acked)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tidings_core::{Error, ErrorKind};
    use tokio::sync::oneshot;

    use super::*;

    fn add(unwritten: &mut Unwritten, tag: u64) -> oneshot::Sender<()> {
        let (tell, told) = oneshot::channel();
        let lost = |_| Error::new(ErrorKind::Closed, "the channel has ended");
        unwritten.add(tag, Box::pin(async move { told.await.map_err(lost) }));
        tell
    }

    fn next(unwritten: &mut Unwritten) -> Option<(u64, bool)> {
        let (tag, written) = unwritten.next()?;
        Some((tag, written.is_ok()))
    }

    #[test]
    fn an_ack_waits_until_its_answer_and_those_before_it_are_written() {
        let mut unwritten = Unwritten::default();
        let (one, two) = (add(&mut unwritten, 1), add(&mut unwritten, 2));
        assert!(unwritten.keep_ack(2) && unwritten.keep_ack(1));
        assert_eq!(next(&mut unwritten), None);
        two.send(()).unwrap();
        assert_eq!(next(&mut unwritten), None);
        one.send(()).unwrap();
        assert_eq!(next(&mut unwritten), Some((1, true)));
        assert_eq!(next(&mut unwritten), Some((2, true)));
        assert!(unwritten.is_empty());
    }

    #[test]
    fn a_written_answer_waits_for_its_ack() {
        let mut unwritten = Unwritten::default();
        add(&mut unwritten, 1).send(()).unwrap();
        assert_eq!(next(&mut unwritten), None);
        assert!(unwritten.keep_ack(1));
        assert_eq!(next(&mut unwritten), Some((1, true)));
    }

    #[test]
    fn an_answer_that_was_not_written_is_told() {
        let mut unwritten = Unwritten::default();
        drop(add(&mut unwritten, 1));
        assert!(unwritten.keep_ack(1));
        assert_eq!(next(&mut unwritten), Some((1, false)));
    }

    #[test]
    fn what_has_no_answer_does_not_wait() {
        let mut unwritten = Unwritten::default();
        let (_one, _two) = (add(&mut unwritten, 1), add(&mut unwritten, 2));
        unwritten.forget(1);
        assert!(!unwritten.keep_ack(1) && !unwritten.keep_ack(3));
        assert!(unwritten.keep_ack(2));
    }
}
