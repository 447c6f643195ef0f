//! Which brackets are open, without recursion and without memory of its own.

use super::DEEPEST;

/// Which of the open brackets are braces: one bit for each level, so that depth costs no memory.
pub(super) struct Nesting {
    bits: [u64; DEEPEST / 64],
    depth: usize,
}

impl Default for Nesting {
    fn default() -> Self {
        Self {
            bits: [0; DEEPEST / 64],
            depth: 0,
        }
    }
}

impl Nesting {
    /// Opens a bracket; false if it is one too many.
    pub(super) fn push(&mut self, object: bool) -> bool {
        let Some(bits) = self.bits.get_mut(self.depth / 64) else {
            return false;
        };
        let bit = 1 << (self.depth % 64);
        *bits = if object { *bits | bit } else { *bits & !bit };
        self.depth += 1;
        true
    }

    /// Closes the innermost bracket.
    pub(super) fn pop(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    /// Whether the innermost open bracket is a brace; `None` if none is open.
    pub(super) fn innermost(&self) -> Option<bool> {
        let level = self.depth.checked_sub(1)?;
        Some(self.bits[level / 64] >> (level % 64) & 1 == 1)
    }
}
