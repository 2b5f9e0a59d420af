//! What rows of the cache look like.

use crate::declaration::{KeyLayout, Merge, StateDeclaration, StateId, Ttl, ValueLayout};

/// Words before the marks.
pub(super) const HEAD: usize = 2;

/// A cell's mark: what the value in RocksDB is overlaid with is known.
pub(in crate::rocks) const KNOWN: u8 = 1;
/// There is a value.
pub(in crate::rocks) const PRESENT: u8 = 2;
/// RocksDB has not got it yet.
pub(in crate::rocks) const DIRTY: u8 = 4;
/// It is to be merged into what RocksDB has.
pub(in crate::rocks) const DELTA: u8 = 8;

/// A row that is in use.
pub(super) const OCCUPIED: u64 = 1;
/// It was used since the hand came by.
pub(super) const REFERENCED: u64 = 2;
/// It is in the list of those that are dirty.
pub(super) const LISTED: u64 = 4;

/// A state with one value a key.
#[derive(Debug, Clone)]
pub(in crate::rocks) struct CellLayout {
    /// `None` if it is not served any more: what is left of it is of no use.
    pub(in crate::rocks) state: Option<StateId>,
    pub(in crate::rocks) tag: u16,
    pub(in crate::rocks) words: bool,
    pub(in crate::rocks) ttl: Option<Ttl>,
    pub(in crate::rocks) merge: Option<(Merge, ValueLayout)>,
    /// The word of its value in a row; its stamp, if it has one, is the next.
    pub(super) value: usize,
    /// The word of its mark, and how far up it is.
    pub(super) mark: (usize, u32),
}

impl CellLayout {
    /// Whether values can be merged without knowing what they are merged into: in whatever order, the outcome is the
    /// same to the last bit, and no stamp is to be looked at first.
    pub(in crate::rocks) fn merges_blindly(&self) -> bool {
        self.ttl.is_none() && self.merge.is_some_and(|(_, layout)| layout != ValueLayout::F64)
    }
}

/// What rows look like.
#[derive(Debug)]
pub(in crate::rocks) struct Layout {
    pub(in crate::rocks) key_words: bool,
    pub(in crate::rocks) cells: Vec<CellLayout>,
    pub(super) stride: usize,
}

impl Layout {
    /// Rows with a cell for each of these states, which have one value a key: with their ids and tags.
    pub(in crate::rocks) fn new(
        key: KeyLayout,
        states: &[(StateId, u16, &StateDeclaration)],
    ) -> Self {
        let mut next = HEAD + (states.len() + 1).div_ceil(16);
        let mut cells = Vec::with_capacity(states.len());
        for (nibble, &(id, tag, state)) in (1..).zip(states) {
            cells.push(CellLayout {
                state: Some(id),
                tag,
                words: state.value.is_words(),
                ttl: state.ttl,
                merge: state.merge.map(|merge| (merge, state.value)),
                value: next,
                mark: (HEAD + nibble / 16, (nibble % 16 * 4) as u32),
            });
            next += 1 + usize::from(state.ttl.is_some());
        }
        Self { key_words: key.is_words(), cells, stride: next }
    }
}
