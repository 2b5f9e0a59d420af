//! The map of a broadcast state.

use std::collections::BTreeMap;

use crate::declaration::KeyLayout;
use crate::segment::Cell;

/// A key or a value that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kept {
    Word(u64),
    Bytes(Box<[u8]>),
}

impl Kept {
    pub(super) fn cell(&self) -> Cell<'_> {
        match self {
            Self::Word(word) => Cell::Word(*word),
            Self::Bytes(bytes) => Cell::Bytes(bytes),
        }
    }

    /// Bytes that count towards [`TASK_STATE_BYTES_MAX`](super::TASK_STATE_BYTES_MAX).
    fn size(&self) -> usize {
        cell_size(self.cell())
    }
}

impl From<Cell<'_>> for Kept {
    fn from(cell: Cell<'_>) -> Self {
        match cell {
            Cell::Word(word) => Self::Word(word),
            Cell::Bytes(bytes) => Self::Bytes(bytes.into()),
        }
    }
}

fn cell_size(cell: Cell<'_>) -> usize {
    match cell {
        Cell::Word(_) => 8,
        Cell::Bytes(bytes) => bytes.len() + 4,
    }
}

/// A map key that sorts as the contract says: numbers by number, bytes by byte.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum MapKey {
    /// A `u64`, or an `s64` moved up by half the range.
    Word(u64),
    Bytes(Box<[u8]>),
}

/// What moves an `s64` to where it sorts as a `u64`, and back.
const HALF: u64 = 1 << 63;

impl MapKey {
    pub(super) fn new(layout: KeyLayout, cell: Cell<'_>) -> Self {
        match cell {
            Cell::Word(word) if layout == KeyLayout::S64 => Self::Word(word ^ HALF),
            Cell::Word(word) => Self::Word(word),
            Cell::Bytes(bytes) => Self::Bytes(bytes.into()),
        }
    }

    pub(super) fn cell(&self, layout: KeyLayout) -> Cell<'_> {
        match self {
            Self::Word(word) if layout == KeyLayout::S64 => Cell::Word(word ^ HALF),
            Self::Word(word) => Cell::Word(*word),
            Self::Bytes(bytes) => Cell::Bytes(bytes),
        }
    }
}

/// Sets or removes an entry, and keeps count of the bytes. Returns what was there.
pub(super) fn set(
    entries: &mut BTreeMap<MapKey, Kept>,
    bytes: &mut usize,
    layout: KeyLayout,
    key: MapKey,
    value: Option<Kept>,
) -> Option<Kept> {
    let key_size = cell_size(key.cell(layout));
    let added = value.as_ref().map_or(0, |value| key_size + value.size());
    let old = match value {
        Some(value) => entries.insert(key, value),
        None => entries.remove(&key),
    };
    *bytes = *bytes + added - old.as_ref().map_or(0, |old| key_size + old.size());
    old
}
