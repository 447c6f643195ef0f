//! Which publishes of which producer have been accepted, so that one sent twice is stored once.
//!
//! A producer's publishes are numbered. Known is everything up to the highest number except the refused ones,
//! which count as never sent: their producer may have missed the refusal, and must not be told "stored".
//!
//! Every process that ever published leaves a producer behind, so those that have been silent for a day are
//! forgotten: they will not ask again. Time is counted in hours that somebody else calls out
//! ([`Producers::forget_idle`]), so that a publish costs no look at a clock.

use std::collections::BTreeSet;

use foldhash::{HashMap, HashMapExt};

use crate::broker::{DEDUPE_WINDOW, ProducerId, Sequence};

/// For how many hours a producer may be silent.
const LIFETIME: u8 = 24;

/// All producers of a broker.
#[derive(Debug)]
pub(crate) struct Producers(HashMap<ProducerId, Producer>);

/// One producer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Producer {
    /// The highest number seen.
    pub(crate) last: Sequence,
    /// Numbers up to it that were refused, as far back as anybody may still ask.
    pub(crate) refused: BTreeSet<Sequence>,
    /// Refusals that the journal has not been told about.
    untold: Vec<Sequence>,
    /// For how many hours it has been silent.
    idle: u8,
}

impl Producer {
    /// As the journal remembers it.
    pub(crate) fn recovered(last: Sequence, refused: BTreeSet<Sequence>) -> Self {
        Self {
            last,
            refused,
            ..Self::default()
        }
    }

    /// Notes an accepted number.
    pub(crate) fn accept(&mut self, sequence: Sequence) {
        self.idle = 0;
        self.refused.remove(&sequence);
        self.last = self.last.max(sequence);
    }

    /// Notes that an hour has passed. False once it has been silent for too long.
    pub(crate) fn stays(&mut self) -> bool {
        self.idle = self.idle.saturating_add(1);
        self.idle <= LIFETIME
    }

    /// Notes a refused number.
    pub(crate) fn refuse(&mut self, sequence: Sequence) {
        self.idle = 0;
        self.last = self.last.max(sequence);
        self.refused.insert(sequence);
        let window = self.last.saturating_sub(DEDUPE_WINDOW);
        while self.refused.first().is_some_and(|oldest| *oldest < window) {
            self.refused.pop_first();
        }
    }
}

impl Producers {
    pub(crate) fn new() -> Self {
        Self(HashMap::new())
    }

    pub(crate) fn recover(&mut self, id: ProducerId, producer: Producer) {
        self.0.insert(id, producer);
    }

    /// Accepts a number for the first time; returns false if it had been accepted before.
    pub(crate) fn admit(&mut self, (id, sequence): (ProducerId, Sequence)) -> bool {
        let producer = self.0.entry(id).or_default();
        producer.idle = 0;
        let new = sequence > producer.last || producer.refused.contains(&sequence);
        if new {
            producer.accept(sequence);
        }
        new
    }

    /// Takes an acceptance back.
    pub(crate) fn refuse(&mut self, (id, sequence): (ProducerId, Sequence)) {
        let producer = self.0.entry(id).or_default();
        producer.refuse(sequence);
        producer.untold.push(sequence);
    }

    pub(crate) fn is_refused(&self, (id, sequence): (ProducerId, Sequence)) -> bool {
        self.0
            .get(&id)
            .is_some_and(|producer| producer.refused.contains(&sequence))
    }

    /// Notes that an hour has passed, and forgets those that have been silent for a day.
    pub(crate) fn forget_idle(&mut self) {
        self.0.retain(|_, producer| producer.stays());
    }

    /// The refusals since the last call, for the journal.
    pub(crate) fn take_untold(&mut self, id: ProducerId) -> Vec<Sequence> {
        self.0
            .get_mut(&id)
            .map(|producer| std::mem::take(&mut producer.untold))
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const P: ProducerId = ProducerId(7);

    #[test]
    fn a_number_is_new_once() {
        let mut producers = Producers::new();
        assert!(producers.admit((P, 1)));
        assert!(!producers.admit((P, 1)));
        assert!(producers.admit((P, 2)));
        assert!(!producers.admit((P, 1)));
        assert!(
            producers.admit((ProducerId(8), 1)),
            "another producer counts for itself"
        );
    }

    #[test]
    fn a_refused_number_is_new_again() {
        let mut producers = Producers::new();
        assert!(producers.admit((P, 1)));
        producers.refuse((P, 1));
        assert!(producers.admit((P, 2)));
        assert_eq!(producers.take_untold(P), [1]);
        assert!(producers.is_refused((P, 1)));
        assert!(producers.admit((P, 1)));
        assert!(!producers.admit((P, 1)));
    }

    #[test]
    fn a_producer_is_forgotten_after_a_day_of_silence() {
        let mut producers = Producers::new();
        for number in 1..=2 {
            assert!(producers.admit((P, number)));
            (0..LIFETIME).for_each(|_| producers.forget_idle());
            assert_eq!(producers.0.len(), 1);
        }
        assert!(!producers.admit((P, 2)), "it is known, and asking keeps it");
        (0..LIFETIME).for_each(|_| producers.forget_idle());
        assert_eq!(producers.0.len(), 1);
        producers.forget_idle();
        assert_eq!(producers.0.len(), 0);
    }

    #[test]
    fn refusals_are_forgotten_behind_the_window() {
        let mut producer = Producer::default();
        producer.refuse(1);
        producer.accept(DEDUPE_WINDOW + 10);
        producer.refuse(DEDUPE_WINDOW + 11);
        assert_eq!(producer.refused.len(), 1);
    }
}
