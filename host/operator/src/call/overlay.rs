//! What an invocation wrote to a collection, by entry, so that it reads its own writes. Made when a collection is read
//! after it was written, and kept up as more is written.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use statehouse_state::{Cell, KeyLayout, Scan, StateWrites, WriteOp};

/// What moves an `s64` to where it sorts as a `u64`, and back; and the first number of elements that were added in this
/// invocation and have no number of the backend yet.
pub(super) const HALF: u64 = 1 << 63;

/// A cell that sorts as entries do: signed numbers by sign.
pub(super) fn ordered(layout: KeyLayout, cell: Cell<'_>) -> Cell<'_> {
    match cell {
        Cell::Word(word) if layout == KeyLayout::S64 => Cell::Word(word ^ HALF),
        other => other,
    }
}

/// The key of an entry, as [`ordered`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum EntryKey {
    Word(u64),
    Bytes(Box<[u8]>),
}

impl EntryKey {
    pub(super) fn new(layout: KeyLayout, cell: Cell<'_>) -> Self {
        match ordered(layout, cell) {
            Cell::Word(word) => Self::Word(word),
            Cell::Bytes(bytes) => Self::Bytes(bytes.into()),
        }
    }

    pub(super) fn ordered(&self) -> Cell<'_> {
        match self {
            Self::Word(word) => Cell::Word(*word),
            Self::Bytes(bytes) => Cell::Bytes(bytes),
        }
    }

    /// The key as the operator knows it.
    pub(super) fn cell(&self, layout: KeyLayout) -> Cell<'_> {
        ordered(layout, self.ordered())
    }
}

/// The writes to one collection.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    indexed: usize,
    slots: HashMap<u32, SlotWrites>,
}

/// The writes to the entries of one slot: for each the write that set it, or nothing if it was removed.
#[derive(Debug, Default)]
pub(super) struct SlotWrites {
    /// Whether all entries that the backend has were removed.
    pub(super) cleared: bool,
    pub(super) entries: BTreeMap<EntryKey, Option<usize>>,
}

impl Overlay {
    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        if self.indexed > 0 {
            self.indexed = 0;
            self.slots.clear();
        }
    }

    /// Takes in the writes that were made since the last time.
    pub(super) fn update(&mut self, layout: KeyLayout, writes: &StateWrites) {
        for write in self.indexed..writes.slots.len() {
            let slot = self.slots.entry(writes.slots[write]).or_default();
            match writes.ops[write] {
                WriteOp::Set => {
                    slot.entries.insert(EntryKey::new(layout, writes.key(write)), Some(write));
                }
                WriteOp::Remove => {
                    slot.entries.insert(EntryKey::new(layout, writes.key(write)), None);
                }
                WriteOp::Append => {
                    slot.entries.insert(EntryKey::Word(HALF | write as u64), Some(write));
                }
                WriteOp::Clear => {
                    slot.cleared = true;
                    slot.entries.clear();
                }
                WriteOp::Touch | WriteOp::Merge => {}
            }
        }
        self.indexed = writes.slots.len();
    }

    /// What was written to a slot's entries.
    pub(super) fn slot(&self, slot: u32) -> Option<&SlotWrites> {
        self.slots.get(&slot)
    }

    /// Forgets an element that was added and taken back.
    pub(super) fn forget(&mut self, slot: u32, number: u64) {
        if let Some(writes) = self.slots.get_mut(&slot) {
            writes.entries.remove(&EntryKey::Word(number));
        }
    }
}

impl SlotWrites {
    /// The writes to the entries of a range that is not empty, in order.
    pub(super) fn range(
        &self,
        layout: KeyLayout,
        scan: &Scan<'_>,
    ) -> impl Iterator<Item = (&EntryKey, Option<usize>)> {
        let key = |cell| EntryKey::new(layout, cell);
        let (from, to) = (scan.from.map(key), scan.to.map(key));
        self.entries.range((from, to)).map(|(key, &write)| (key, write))
    }
}

/// Whether nothing can be in a range.
pub(super) fn is_empty_range(layout: KeyLayout, scan: &Scan<'_>) -> bool {
    let from = scan.from.map(|cell| ordered(layout, cell));
    let to = scan.to.map(|cell| ordered(layout, cell));
    match (from, to) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(from), Bound::Included(to)) => from > to,
        (
            Bound::Included(from) | Bound::Excluded(from),
            Bound::Included(to) | Bound::Excluded(to),
        ) => from >= to,
    }
}
