//! How the rows of a table are laid out in buckets, and the mark of each value in them.
//!
//! A bucket is one or more cache lines for two to four rows: their keys, then their values state by
//! state, then the stamps of states with a time-to-live, then the values' marks, two a word. Rows
//! of one numeric state are three to a line, so that a look-up reads one line: the keys that it
//! compares, the value and its mark. A numeric key or value is its word; of bytes, the word is a
//! number in a slab, and for a key also a tag of its hash in the upper half, so that other keys are
//! told apart without looking at their bytes.
//!
//! A row is named by its bucket, times four, plus its place in it.

use crate::declaration::{KeyLayout, StateDeclaration, StateId, Ttl};

/// Words in a cache line.
pub(super) const LINE: usize = 8;

/// Where things are in a bucket. Its columns are states with one value a key, numbered from 0 in their order.
#[derive(Debug)]
pub(super) struct Layout {
    /// Whether keys are words.
    pub(super) key_words: bool,
    /// For each column, whether its values are words.
    pub(super) states: Vec<bool>,
    /// For each column, how long its values live.
    pub(super) ttls: Vec<Option<Ttl>>,
    /// For each column, the number of its state in the declaration; none once the state is gone.
    pub(super) ids: Vec<Option<StateId>>,
    /// The same as of the last hold.
    pub(super) held: Vec<Option<StateId>>,
    /// For each column, which column of stamps is its; none if its state had no time-to-live.
    stamps: Vec<Option<usize>>,
    /// Rows in a bucket.
    pub(super) slots: usize,
    /// Lines in a bucket.
    pub(super) lines: usize,
    /// The first word of a bucket's marks.
    marks: usize,
}

impl Layout {
    pub(super) fn new(key: KeyLayout, states: &[(StateId, &StateDeclaration)]) -> Self {
        let mut expiring = states.len()..;
        let mut column = |state: &StateDeclaration| state.ttl.and_then(|_| expiring.next());
        let stamps: Vec<Option<usize>> = states.iter().map(|(_, state)| column(state)).collect();
        let columns = states.len() + stamps.iter().flatten().count();
        // As many as fill a line, or the least of lines, with the least left over.
        let slots = match columns {
            0 | 1 => 3,
            2 => 2,
            _ => 4,
        };
        let marks = slots * (1 + columns);
        let words = marks + (slots * states.len()).div_ceil(2);
        Self {
            key_words: key.is_words(),
            states: states.iter().map(|(_, state)| state.value.is_words()).collect(),
            ttls: states.iter().map(|(_, state)| state.ttl).collect(),
            ids: states.iter().map(|(id, _)| Some(*id)).collect(),
            held: vec![None; states.len()],
            stamps,
            slots,
            lines: words.div_ceil(LINE),
            marks,
        }
    }

    /// The columns whose states are declared, with their ids.
    pub(super) fn live(&self) -> impl Iterator<Item = (usize, StateId)> {
        self.ids.iter().enumerate().filter_map(|(column, id)| Some((column, (*id)?)))
    }

    /// Whether no column's state is declared.
    pub(super) fn is_gone(&self) -> bool {
        self.ids.iter().all(Option::is_none)
    }

    /// Whether any state has a time-to-live.
    pub(super) fn expires(&self) -> bool {
        self.ttls.iter().any(Option::is_some)
    }

    /// The word of a row's key.
    #[inline]
    pub(super) fn key(&self, row: u32) -> usize {
        self.bucket(row) + place(row)
    }

    /// The word of a row's value.
    #[inline]
    pub(super) fn value(&self, row: u32, state: usize) -> usize {
        self.bucket(row) + self.slots * (1 + state) + place(row)
    }

    /// The word that holds a value's mark, and the number of the mark, whose lowest bit says which
    /// half.
    #[inline]
    pub(super) fn mark(&self, row: u32, state: usize) -> (usize, usize) {
        let number = self.slots * state + place(row);
        (self.bucket(row) + self.marks + number / 2, number)
    }

    /// The word of a value's stamp, if the state has stamps.
    #[inline]
    pub(super) fn stamp(&self, row: u32, state: usize) -> Option<usize> {
        let column = self.stamps[state]?;
        Some(self.bucket(row) + self.slots * (1 + column) + place(row))
    }

    #[inline]
    fn bucket(&self, row: u32) -> usize {
        (row >> 2) as usize * self.lines * LINE
    }
}

/// A row's place in its bucket.
#[inline]
pub(super) fn place(row: u32) -> usize {
    (row & 3) as usize
}

/// What is known of one value: whether it is there, when it was last written, and whether it was
/// there before that.
///
/// Time is counted in versions: each snapshot that starts begins a new one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
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

    /// Takes a mark out of the word that holds it.
    #[inline]
    pub(super) fn of(word: u64, number: usize) -> Self {
        Self((word >> (number % 2 * 32)) as u32)
    }

    /// Whether the row has a key, if this is the mark of its first state.
    #[inline]
    pub(super) fn occupied(self) -> bool {
        u64::from(self.0) & Self::OCCUPIED != 0
    }

    /// Puts it back.
    #[inline]
    pub(super) fn within(self, word: u64, number: usize) -> u64 {
        let shift = number % 2 * 32;
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

    /// Whether there is a value that was last written in that version.
    #[inline]
    pub(super) fn is_written(self, version: u32) -> bool {
        let other_bits = Self::BASE | Self::OCCUPIED as u32;
        self.0 & !other_bits == version << Self::VERSION_SHIFT | Self::PRESENT
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
