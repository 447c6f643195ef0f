//! A hash that is the same in every process and every build, because keys that are hashed with it are compared
//! across processes (a lock store) and across versions of a service.
//!
//! FNV-1a with a final mix. Keys are no secrets and a collision only makes two of them wait for one another, so it
//! need not resist an attacker.

use std::hash::{Hash, Hasher};

const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// The hash of a key.
pub(crate) fn of(key: &impl Hash) -> u64 {
    let mut hasher = Fnv(OFFSET);
    key.hash(&mut hasher);
    hasher.finish()
}

struct Fnv(u64);

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(PRIME);
        }
    }

    // The default writes numbers in the order of the machine's bytes.
    fn write_u16(&mut self, number: u16) {
        self.write(&number.to_le_bytes());
    }

    fn write_u32(&mut self, number: u32) {
        self.write(&number.to_le_bytes());
    }

    fn write_u64(&mut self, number: u64) {
        self.write(&number.to_le_bytes());
    }

    fn write_u128(&mut self, number: u128) {
        self.write(&number.to_le_bytes());
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn finish(&self) -> u64 {
        // The last byte would otherwise reach the low bits only.
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_same_for_ever() {
        let of_text = of(&("create_site", "example.com"));
        let of_numbers = of(&(1_u8, 2_u16, 3_u32, 4_u64, 5_u128, 6_usize, -7_i64));
        assert_eq!(
            (of_text, of_numbers),
            (14687629011747924122, 8956882862344542973)
        );
    }

    #[test]
    fn tells_neighbours_apart() {
        let keys: std::collections::HashSet<_> = (0..100_000_u32).map(|key| of(&key)).collect();
        assert_eq!(keys.len(), 100_000);
        assert_ne!(of(&("a", "bc")), of(&("ab", "c")));
    }
}
