//! Which deliveries of one channel are settled, and which acks are still to be sent.
//!
//! RabbitMQ takes one ack for many deliveries (`multiple`): all up to a tag. That is several times cheaper for both
//! sides than an ack each, but such an ack must never cover a delivery that somebody still works on. So acks are
//! gathered here, and leave as one frame as far as nothing unsettled lies between them. The book only decides; the
//! frames are written by whoever calls it, while it is locked, so that their order is the order of the decisions.

use std::collections::VecDeque;

/// How many acks are gathered at most before they are sent.
const MOST: usize = 32;

/// What is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// These deliveries are done.
    Ack {
        /// The delivery.
        tag: u64,
        /// And all before it that are not settled yet.
        multiple: bool,
    },
    /// Back into the queue.
    Requeue(u64),
    /// Never again.
    Reject(u64),
}

/// How a delivery is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Return {
    /// Into the queue.
    Requeue,
    /// To the dead-letter exchange, or nowhere.
    Reject,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Delivered, or not even that.
    Unsettled,
    /// Its ack is to be sent.
    Acked,
    /// The broker has been told.
    Told,
}

/// The deliveries of one channel. Tags count up from 1.
#[derive(Debug)]
pub(crate) struct Book {
    /// The tag of the first of `states`. The broker has been told of all before it.
    first: u64,
    states: VecDeque<State>,
    /// How many acks are to be sent.
    waiting: usize,
    /// How many deliveries have been settled.
    settled: u64,
    /// How many acks may wait before they are worth a frame.
    enough: usize,
    /// Counts how often no ack was left to be sent.
    rounds: u64,
}

impl Book {
    /// For a consumer with this prefetch. While acks wait, the broker does not send as many new messages, so
    /// they wait for a quarter of the prefetch at most.
    pub(crate) fn new(prefetch: u16) -> Self {
        Self {
            first: 1,
            states: VecDeque::new(),
            waiting: 0,
            settled: 0,
            enough: usize::from(prefetch / 4).clamp(1, MOST),
            rounds: 0,
        }
    }

    /// Acks a delivery. Acks are sent as soon as there are enough of them; until then, somebody has to [`flush`](Self::flush).
    pub(crate) fn ack(&mut self, tag: u64, send: &mut impl FnMut(Frame)) {
        if !self.settle(tag, State::Acked) {
            return;
        }
        self.waiting += 1;
        if self.waiting >= 2 * self.enough {
            self.flush(send);
        } else if self.waiting >= self.enough && 2 * self.contiguous() >= self.enough {
            self.send_contiguous(send);
        }
    }

    /// Gives a delivery back, at once; the acks before it are sent first.
    pub(crate) fn give_back(&mut self, tag: u64, how: Return, send: &mut impl FnMut(Frame)) {
        // First the acks: as long as this delivery counts as unsettled, none of them covers it.
        self.flush(send);
        if !self.settle(tag, State::Told) {
            return;
        }
        send(match how {
            Return::Requeue => Frame::Requeue(tag),
            Return::Reject => Frame::Reject(tag),
        });
    }

    /// Sends every ack that waits.
    pub(crate) fn flush(&mut self, send: &mut impl FnMut(Frame)) {
        self.send_contiguous(send);
        if self.waiting == 0 {
            return;
        }
        for (tag, state) in (self.first..).zip(&mut self.states) {
            if *state == State::Acked {
                *state = State::Told;
                let multiple = false;
                send(Frame::Ack { tag, multiple });
            }
        }
        self.waiting = 0;
        self.rounds += 1;
    }

    /// Whether acks wait to be sent.
    pub(crate) fn waits(&self) -> bool {
        self.waiting > 0
    }

    /// Counts how often no ack was left to be sent: as long as that goes on, none waits for long.
    pub(crate) fn rounds(&self) -> u64 {
        self.rounds
    }

    /// The first tag that is not settled, or not sent yet.
    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    /// How many deliveries have been settled.
    pub(crate) fn settled(&self) -> u64 {
        self.settled
    }

    /// Notes a settlement; false if there was one already.
    fn settle(&mut self, tag: u64, state: State) -> bool {
        let Some(index) = tag
            .checked_sub(self.first)
            .and_then(|index| usize::try_from(index).ok())
        else {
            return false;
        };
        if index >= self.states.len() {
            self.states.resize(index + 1, State::Unsettled);
        }
        if self.states[index] != State::Unsettled {
            return false;
        }
        self.states[index] = state;
        self.settled += 1;
        true
    }

    /// How many acks could leave as one frame.
    fn contiguous(&self) -> usize {
        let settled = self
            .states
            .iter()
            .take_while(|state| **state != State::Unsettled);
        settled.filter(|state| **state == State::Acked).count()
    }

    /// Sends the acks before the first unsettled delivery, as one frame.
    fn send_contiguous(&mut self, send: &mut impl FnMut(Frame)) {
        let (mut acks, mut last) = (0, 0);
        while let Some(state) = self.states.front()
            && *state != State::Unsettled
        {
            if *state == State::Acked {
                acks += 1;
                last = self.first;
            }
            self.first += 1;
            self.states.pop_front();
        }
        if acks == 0 {
            return;
        }
        // The broker refuses an ack for a tag that it knows to be settled, so it names the last one that it does not.
        send(Frame::Ack {
            tag: last,
            multiple: acks > 1,
        });
        self.waiting -= acks;
        self.rounds += u64::from(self.waiting == 0);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::{collection::vec, prelude::*, sample::Index};

    use super::*;

    /// What RabbitMQ makes of frames: it closes the channel on a tag that it does not know.
    struct Broker {
        open: BTreeMap<u64, Option<Return>>,
        acked: Vec<u64>,
        returned: Vec<(u64, Return)>,
    }

    impl Broker {
        fn new(delivered: u64) -> Self {
            Self {
                open: (1..=delivered).map(|tag| (tag, None)).collect(),
                acked: Vec::new(),
                returned: Vec::new(),
            }
        }

        fn take(&mut self, frame: Frame) {
            match frame {
                Frame::Ack { tag, multiple } => {
                    assert!(self.open.contains_key(&tag), "unknown delivery tag {tag}");
                    let covered = |known: u64| known == tag || (multiple && known < tag);
                    let tags: Vec<_> = self.open.keys().copied().filter(|t| covered(*t)).collect();
                    for tag in tags {
                        self.open.remove(&tag);
                        self.acked.push(tag);
                    }
                }
                Frame::Requeue(tag) => self.give_back(tag, Return::Requeue),
                Frame::Reject(tag) => self.give_back(tag, Return::Reject),
            }
        }

        fn give_back(&mut self, tag: u64, how: Return) {
            assert!(
                self.open.remove(&tag).is_some(),
                "unknown delivery tag {tag}"
            );
            self.returned.push((tag, how));
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        AckFirst,
        Ack(Index),
        GiveBack(Index, bool),
        Flush,
        Deliver(u8),
        Twice(Index),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            12 => Just(Step::AckFirst),
            6 => any::<Index>().prop_map(Step::Ack),
            2 => (any::<Index>(), any::<bool>()).prop_map(|(at, requeue)| Step::GiveBack(at, requeue)),
            1 => Just(Step::Flush),
            3 => any::<u8>().prop_map(|count| Step::Deliver(count % 40)),
            1 => any::<Index>().prop_map(Step::Twice),
        ]
    }

    proptest! {
        #[test]
        fn the_broker_learns_exactly_what_was_settled(prefetch in 1..400_u16, steps in vec(step(), 0..300)) {
            let (mut book, mut broker) = (Book::new(prefetch), Broker::new(0));
            let mut delivered = 0;
            let mut in_hand: Vec<u64> = Vec::new();
            let (mut acked, mut returned) = (Vec::new(), Vec::new());
            for step in steps {
                match step {
                    Step::Deliver(count) => for _ in 0..count {
                        delivered += 1;
                        broker.open.insert(delivered, None);
                        in_hand.push(delivered);
                    },
                    Step::AckFirst | Step::Ack(_) if !in_hand.is_empty() => {
                        let at = if let Step::Ack(at) = step { at.index(in_hand.len()) } else { 0 };
                        let tag = in_hand.remove(at);
                        acked.push(tag);
                        book.ack(tag, &mut |frame| broker.take(frame));
                    }
                    Step::GiveBack(at, requeue) if !in_hand.is_empty() => {
                        let tag = in_hand.remove(at.index(in_hand.len()));
                        let how = if requeue { Return::Requeue } else { Return::Reject };
                        returned.push((tag, how));
                        book.give_back(tag, how, &mut |frame| broker.take(frame));
                        prop_assert!(!book.waits(), "the acks before it went first");
                    }
                    Step::Twice(at) if !acked.is_empty() => {
                        let tag = acked[at.index(acked.len())];
                        book.ack(tag, &mut |frame| broker.take(frame));
                        book.give_back(tag, Return::Reject, &mut |frame| broker.take(frame));
                    }
                    Step::Flush => book.flush(&mut |frame| broker.take(frame)),
                    _ => {}
                }
                let told: Vec<_> = broker.acked.iter().filter(|tag| !acked.contains(tag)).collect();
                prop_assert!(told.is_empty(), "acks for what nobody acked: {told:?}");
                let waiting = acked.len() - broker.acked.len();
                prop_assert_eq!(waiting, book.waiting);
                prop_assert!(waiting < 64);
                prop_assert_eq!(book.settled(), delivered - in_hand.len() as u64);
            }
            book.flush(&mut |frame| broker.take(frame));
            broker.acked.sort_unstable();
            acked.sort_unstable();
            prop_assert_eq!(&broker.acked, &acked);
            prop_assert_eq!(&broker.returned, &returned);
            prop_assert_eq!(broker.open.into_keys().collect::<Vec<_>>(), in_hand);
        }
    }

    /// The frames for these tags, acked in this order.
    fn frames(prefetch: u16, tags: impl IntoIterator<Item = u64>) -> Vec<Frame> {
        let (mut book, mut frames) = (Book::new(prefetch), Vec::new());
        for tag in tags {
            book.ack(tag, &mut |frame| frames.push(frame));
        }
        frames
    }

    fn ack(tag: u64, multiple: bool) -> Frame {
        Frame::Ack { tag, multiple }
    }

    #[test]
    fn acks_leave_in_frames_of_thirty_two() {
        let expected: Vec<_> = (1..=8).map(|frame| ack(frame * 32, true)).collect();
        assert_eq!(frames(256, 1..=256), expected);
    }

    #[test]
    fn a_small_prefetch_gathers_less() {
        assert_eq!(frames(8, 1..=4), [ack(2, true), ack(4, true)]);
        assert_eq!(frames(2, 1..=2), [ack(1, false), ack(2, false)]);
    }

    #[test]
    fn a_slow_handler_does_not_hold_the_others_back() {
        // Tag 1 stays in hand.
        let sent = frames(256, 2..=65);
        assert_eq!(sent.len(), 64);
        assert_eq!(sent[0], ack(2, false));
    }
}
