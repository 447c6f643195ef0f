//! Which parts of the file have been replayed.

use std::collections::BTreeMap;

/// Disjoint ranges of offsets; neighbours are joined, so that a replay in order is one range however long it is.
#[derive(Debug, Default)]
pub(super) struct Ranges(BTreeMap<u64, u64>);

impl Ranges {
    pub(super) fn insert(&mut self, mut start: u64, mut end: u64) {
        while let Some((&from, &to)) = self.0.range(..=end).next_back() {
            if to < start {
                break;
            }
            self.0.remove(&from);
            start = start.min(from);
            end = end.max(to);
        }
        self.0.insert(start, end);
    }

    /// The first offset from this one on that is in no range.
    pub(super) fn skip(&self, offset: u64) -> u64 {
        match self.0.range(..=offset).next_back() {
            Some((_, &end)) if end > offset => end,
            _ => offset,
        }
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(inserted: &[(u64, u64)], expected: &[(u64, u64)]) {
        let mut ranges = Ranges::default();
        for (start, end) in inserted {
            ranges.insert(*start, *end);
        }
        let found: Vec<(u64, u64)> = ranges.0.into_iter().collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn neighbours_and_overlaps_are_joined() {
        check(&[(0, 5), (5, 9)], &[(0, 9)]);
        check(&[(5, 9), (0, 5)], &[(0, 9)]);
        check(&[(0, 3), (6, 9)], &[(0, 3), (6, 9)]);
        check(&[(0, 3), (6, 9), (3, 6)], &[(0, 9)]);
        check(&[(2, 4), (6, 8), (0, 20)], &[(0, 20)]);
        check(&[(0, 20), (2, 4)], &[(0, 20)]);
    }

    #[test]
    fn skips_to_the_end_of_the_range_it_is_in() {
        let mut ranges = Ranges::default();
        ranges.insert(10, 20);
        assert_eq!(ranges.skip(9), 9);
        assert_eq!(ranges.skip(10), 20);
        assert_eq!(ranges.skip(19), 20);
        assert_eq!(ranges.skip(20), 20);
    }
}
