//! The publishes of this process that its owner has not answered yet, in the order in which they were made.
//!
//! They are kept until they are answered and sent again, with the same numbers, to whoever owns the file next;
//! the engine stores a number of a producer once. Only a window of them is on the wire at a time. What is
//! beyond the window waits here and not inside the caller's completion, because a publish must go on, in its
//! place, when its completion is dropped; that wait is bounded, and beyond the bound a publish fails with `Full`.

use std::collections::VecDeque;

use tidings_core::{Call, Completion, Error, ErrorKind, Result};
use tokio::sync::oneshot;

use super::{frame, wire::corrupt};

/// How many publishes of one process are on the wire and unanswered.
pub(super) const WINDOW: usize = 4_096;
/// How many bytes of publishes are on the wire and unanswered, unless one alone has more.
const WINDOW_BYTES: usize = 16 << 20;
/// How many publishes of one process wait in all.
const MAX_WAITING: usize = 65_536;
/// How many bytes of publishes of one process wait in all.
const MAX_WAITING_BYTES: usize = 256 << 20;
/// What a publish weighs beside its payload, roughly.
const OVERHEAD: usize = 256;

/// What a publisher learns if the whole link ends under it.
const LOST: &str = "the embedded broker was dropped before it answered";

/// Where the answer to a publish goes.
pub(super) type AnswerTo = oneshot::Sender<Result<()>>;

/// The unanswered publishes, oldest first, with consecutive numbers.
#[derive(Debug)]
pub(super) struct Publishes {
    first: u64,
    ring: VecDeque<Entry>,
    /// How many from the front are on the wire of the present session.
    sent: usize,
    sent_bytes: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    bytes: usize,
    /// Whether it was ever on a wire: only then may it have been stored.
    tried: bool,
    /// `None` once it is answered, while one before it is not.
    open: Option<(Call, AnswerTo)>,
}

impl Publishes {
    /// None, the next of which will have the number `first`.
    pub(super) fn new(first: u64) -> Self {
        Self {
            first,
            ring: VecDeque::new(),
            sent: 0,
            sent_bytes: 0,
            bytes: 0,
        }
    }

    /// Adds a publish behind all others.
    pub(super) fn push(&mut self, call: Call) -> Completion {
        let bytes = call.envelope.payload.len() + OVERHEAD;
        if self.ring.len() >= MAX_WAITING
            || (self.bytes + bytes > MAX_WAITING_BYTES && !self.ring.is_empty())
        {
            return Completion::ready(Err(self.full()));
        }
        let (answer, completion) = oneshot::channel();
        self.bytes += bytes;
        self.ring.push_back(Entry {
            bytes,
            tried: false,
            open: Some((call, answer)),
        });
        Completion::waiting(completion, LOST)
    }

    fn full(&self) -> Error {
        Error::new(
            ErrorKind::Full,
            format!(
                "{} publishes ({} bytes) wait for the process that owns the embedded file: await the completions of earlier publishes before making more",
                self.ring.len(),
                self.bytes
            ),
        )
    }

    /// Appends to `wire` what the window allows.
    pub(super) fn send(&mut self, wire: &mut Vec<u8>) {
        while self.sent < WINDOW.min(self.ring.len()) {
            let seq = self.first + self.sent as u64;
            let entry = &mut self.ring[self.sent];
            if self.sent_bytes + entry.bytes > WINDOW_BYTES && self.sent > 0 {
                return;
            }
            self.sent += 1;
            self.sent_bytes += entry.bytes;
            if let Some((call, _)) = &entry.open {
                entry.tried = true;
                if let Err(error) = frame::put_publish(wire, seq, call) {
                    self.close(seq, Err(error));
                }
            }
        }
    }

    /// Takes the answer to the publish `seq`.
    ///
    /// # Errors
    /// `Corrupt` if no such publish is on the wire.
    pub(super) fn answer(&mut self, seq: u64, result: Result<()>) -> Result<()> {
        if seq >= self.first + self.sent as u64 {
            return Err(corrupt(format_args!(
                "publish {seq} was answered before it was sent"
            )));
        }
        self.close(seq, result);
        Ok(())
    }

    /// The wire is gone: everything unanswered has to be sent again.
    pub(super) fn rewind(&mut self) {
        self.sent = 0;
        self.sent_bytes = 0;
    }

    /// Whether nothing is unanswered.
    pub(super) fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }

    /// Whether some are not on the wire.
    pub(super) fn has_waiting(&self) -> bool {
        self.sent < self.ring.len()
    }

    /// The number of the next publish.
    pub(super) fn next(&self) -> u64 {
        self.first + self.ring.len() as u64
    }

    /// Takes out everything unanswered, in order, for the process that has become the owner itself.
    pub(super) fn take(&mut self) -> Vec<(u64, Call, AnswerTo)> {
        let (first, next) = (self.first, self.next());
        let open = (first..)
            .zip(std::mem::take(&mut self.ring))
            .filter_map(|(seq, entry)| entry.open.map(|(call, answer)| (seq, call, answer)))
            .collect();
        *self = Self::new(next);
        open
    }

    /// Gives up on everything unanswered. What was never sent was certainly not stored.
    pub(super) fn fail(&mut self, why: &str) {
        let next = self.next();
        for entry in std::mem::take(&mut self.ring) {
            let Some((_, answer)) = entry.open else {
                continue;
            };
            let error = if entry.tried {
                Error::new(
                    ErrorKind::Unconfirmed,
                    format!("{why}; it is not known whether the message was stored"),
                )
            } else {
                Error::new(ErrorKind::Unavailable, why)
            };
            // Nobody waits for an answer that was given up.
            drop(answer.send(Err(error)));
        }
        *self = Self::new(next);
    }

    fn close(&mut self, seq: u64, result: Result<()>) {
        let index = seq
            .checked_sub(self.first)
            .and_then(|index| usize::try_from(index).ok());
        if let Some(entry) = index.and_then(|index| self.ring.get_mut(index))
            && let Some((_, answer)) = entry.open.take()
        {
            drop(answer.send(result));
        }
        while let Some(entry) = self.ring.pop_front_if(|entry| entry.open.is_none()) {
            self.first += 1;
            self.bytes -= entry.bytes;
            if self.sent > 0 {
                self.sent -= 1;
                self.sent_bytes -= entry.bytes;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tidings_core::{Address, Envelope};

    use super::*;

    fn call(len: usize) -> Call {
        Call::new(Address::queue("q"), Envelope::new(vec![0; len]))
    }

    #[test]
    fn answers_come_in_any_order() {
        let mut publishes = Publishes::new(7);
        let completions: Vec<_> = (0..3).map(|_| publishes.push(call(1))).collect();
        publishes.send(&mut Vec::new());
        for seq in [8, 9, 7] {
            publishes.answer(seq, Ok(())).unwrap();
        }
        assert!(publishes.is_empty());
        assert_eq!(publishes.next(), 10);
        for completion in completions {
            futures_util::FutureExt::now_or_never(completion)
                .unwrap()
                .unwrap();
        }
    }

    #[test]
    fn only_a_window_is_on_the_wire() {
        let mut publishes = Publishes::new(0);
        for _ in 0..WINDOW + 1 {
            drop(publishes.push(call(1)));
        }
        let mut wire = Vec::new();
        publishes.send(&mut wire);
        wire.clear();
        publishes.send(&mut wire);
        assert!(wire.is_empty());
        assert!(publishes.answer(WINDOW as u64, Ok(())).is_err());
        publishes.answer(0, Ok(())).unwrap();
        publishes.send(&mut wire);
        assert!(!wire.is_empty());
    }

    #[test]
    fn a_new_wire_gets_everything_unanswered_with_the_same_numbers() {
        let mut publishes = Publishes::new(0);
        for _ in 0..3 {
            drop(publishes.push(call(1)));
        }
        let mut wire = Vec::new();
        publishes.send(&mut wire);
        publishes.answer(1, Ok(())).unwrap();
        publishes.rewind();
        publishes.send(&mut wire);
        let taken: Vec<_> = publishes.take().into_iter().map(|(seq, ..)| seq).collect();
        assert_eq!(taken, [0, 2]);
        assert_eq!(publishes.next(), 3);
    }

    #[test]
    fn what_was_sent_fails_as_unconfirmed_and_the_rest_as_unavailable() {
        let mut publishes = Publishes::new(0);
        let sent = publishes.push(call(1));
        publishes.send(&mut Vec::new());
        let waiting = publishes.push(call(1));
        publishes.fail("no owner");
        let kind = |completion| {
            let result: Result<()> = futures_util::FutureExt::now_or_never(completion).unwrap();
            result.unwrap_err().kind()
        };
        assert_eq!(kind(sent), ErrorKind::Unconfirmed);
        assert_eq!(kind(waiting), ErrorKind::Unavailable);
    }

    #[test]
    fn an_endless_backlog_is_refused() {
        let mut publishes = Publishes::new(0);
        for _ in 0..MAX_WAITING {
            drop(publishes.push(call(0)));
        }
        let refused = futures_util::FutureExt::now_or_never(publishes.push(call(0))).unwrap();
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Full);
    }
}
