//! How a row of a table is laid out, and the mark of each value in it.
//!
//! A row is some words in a table's one flat buffer: the key, the marks (two a word), and a word
//! for each state. A numeric key or value is its word; of bytes, the word is a number in a slab,
//! and for a key also a tag of its hash in the upper half, so that other keys are told apart
//! without looking at their bytes.

use crate::declaration::{KeyLayout, StateDeclaration};

/// Where things are in a row.
#[derive(Debug)]
pub(super) struct Layout {
    /// Whether keys are words.
    pub(super) key_words: bool,
    /// For each state, whether its values are words.
    pub(super) states: Vec<bool>,
    /// Words in a row.
    pub(super) stride: usize,
    /// The first value's word.
    pub(super) values: usize,
}

impl Layout {
    pub(super) fn new(key: KeyLayout, states: &[StateDeclaration]) -> Self {
        let values = 1 + states.len().div_ceil(2);
        Self {
            key_words: key.is_words(),
            states: states.iter().map(|state| state.value.is_words()).collect(),
            stride: values + states.len(),
            values,
        }
    }
}

/// What is known of one value: whether it is there, when it was last written, and whether it was
/// there before that.
///
/// Time is counted in versions: each snapshot that starts begins a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark(u32);

impl Mark {
    /// Says, in the mark of the row's first state, that the row has a key. An all-zero row has
    /// none.
    pub(super) const OCCUPIED: u64 = 4;
    const PRESENT: u32 = 1;
    const BASE: u32 = 2;
    const VERSION_SHIFT: u32 = 3;
    const VERSION_MAX: u32 = u32::MAX >> Self::VERSION_SHIFT;

    /// The version after that one. Versions come round again after 2^29 snapshots, by when no mark
    /// of their last turn is left: every finished snapshot clears the marks that it was made of.
    pub(super) fn next_version(version: u32) -> u32 {
        if version == Self::VERSION_MAX { 1 } else { version + 1 }
    }

    /// Takes the mark of state `state` out of the word that holds it.
    #[inline]
    pub(super) fn of(word: u64, state: usize) -> Self {
        Self((word >> (state % 2 * 32)) as u32)
    }

    /// Puts it back.
    #[inline]
    pub(super) fn within(self, word: u64, state: usize) -> u64 {
        let shift = state % 2 * 32;
        word & !(0xffff_ffff << shift) | u64::from(self.0) << shift
    }

    /// Whether there is a value.
    #[inline]
    pub(super) fn present(self) -> bool {
        self.0 & Self::PRESENT != 0
    }

    /// Whether there was a value when the version began in which it was last written.
    pub(super) fn was_present(self) -> bool {
        self.0 & Self::BASE != 0
    }

    /// The version of the last write; 0 if a finished snapshot holds it.
    #[inline]
    pub(super) fn version(self) -> u32 {
        self.0 >> Self::VERSION_SHIFT
    }

    /// The mark as of the first write in a version.
    #[inline]
    pub(super) fn first_write(self, version: u32) -> Self {
        let kept = self.0 & (Self::PRESENT | Self::OCCUPIED as u32);
        Self(kept | (self.0 & Self::PRESENT) << 1 | version << Self::VERSION_SHIFT)
    }

    #[inline]
    pub(super) fn with_present(self, present: bool) -> Self {
        Self(self.0 & !Self::PRESENT | u32::from(present))
    }

    /// The mark once a snapshot holds the value.
    pub(super) fn settled(self) -> Self {
        Self(self.0 & (Self::PRESENT | Self::OCCUPIED as u32))
    }
}
