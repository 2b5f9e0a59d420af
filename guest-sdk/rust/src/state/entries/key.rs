//! Map keys in the order in which the host has them.

use std::cmp::Ordering;

use crate::bindings::{Bound as WireBound, BytesColumn, Cell as WireCell, Column};
use crate::codec::{Decode, Encode, Layout};
use crate::column::row_bytes;
use crate::error::Result;

/// The sign bit: signed numbers are kept with it turned, so that they sort as unsigned ones.
const SIGN: u64 = 1 << 63;

/// The key of an entry. Numbers sort by number, bytes by byte.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum EntryKey {
    /// A number; a signed one with its sign turned.
    Word(u64),
    Bytes(Vec<u8>),
}

impl Default for EntryKey {
    fn default() -> Self {
        Self::Word(0)
    }
}

#[inline(always)]
fn turn(layout: Layout, word: u64) -> u64 {
    if layout == Layout::S64 { word ^ SIGN } else { word }
}

impl EntryKey {
    pub(crate) fn of<K: Encode>(key: &K) -> Result<Self> {
        let mut made = Self::default();
        made.fill(key)?;
        Ok(made)
    }

    /// Becomes another key, and keeps its memory.
    #[inline]
    pub(crate) fn fill<K: Encode>(&mut self, key: &K) -> Result<()> {
        if K::layout().is_word() {
            *self = Self::Word(turn(K::layout(), key.to_word()));
            return Ok(());
        }
        if let Self::Word(_) = self {
            *self = Self::Bytes(Vec::new());
        }
        if let Self::Bytes(bytes) = self {
            bytes.clear();
            key.write(bytes)?;
        }
        Ok(())
    }

    pub(crate) fn read<K: Decode>(&self) -> Result<K> {
        match self {
            Self::Word(word) => K::from_word(turn(K::layout(), *word)),
            Self::Bytes(bytes) => K::read(bytes),
        }
    }

    /// The key as a row of a column of that layout: a word, or bytes.
    pub(crate) fn row(&self, layout: Layout) -> (u64, &[u8]) {
        match self {
            Self::Word(word) => (turn(layout, *word), &[]),
            Self::Bytes(bytes) => (0, bytes),
        }
    }

    /// The key in the last row of a column.
    pub(crate) fn last_of(keys: &Column) -> Option<Self> {
        let last = crate::column::len(keys).checked_sub(1)?;
        Some(match keys {
            Column::U64s(words) => Self::Word(words[last]),
            Column::S64s(words) => Self::Word(words[last] as u64 ^ SIGN),
            Column::F64s(words) => Self::Word(words[last].to_bits()),
            Column::Bytes(bytes) => Self::Bytes(row_bytes(bytes, last)?.to_vec()),
        })
    }

    fn to_wire(&self, layout: Layout) -> WireCell {
        match self {
            Self::Word(word) => WireCell::Word(turn(layout, *word)),
            Self::Bytes(bytes) => WireCell::Bytes(bytes.clone()),
        }
    }
}

/// A bound as the host takes it.
pub(crate) fn to_wire(bound: &std::ops::Bound<EntryKey>, layout: Layout) -> WireBound {
    match bound {
        std::ops::Bound::Unbounded => WireBound::Unbounded,
        std::ops::Bound::Included(key) => WireBound::Included(key.to_wire(layout)),
        std::ops::Bound::Excluded(key) => WireBound::Excluded(key.to_wire(layout)),
    }
}

/// Where the keys that begin with a prefix end.
pub(crate) fn end_of_prefix(prefix: &[u8]) -> std::ops::Bound<EntryKey> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return std::ops::Bound::Excluded(EntryKey::Bytes(end));
        }
    }
    std::ops::Bound::Unbounded
}

/// A column of keys, in order.
pub(crate) struct KeyRows {
    words: Vec<u64>,
    bytes: BytesColumn,
}

impl KeyRows {
    pub(crate) fn new(column: Column) -> Self {
        let mut rows = Self {
            words: Vec::new(),
            bytes: BytesColumn { offsets: Vec::new(), arena: Vec::new() },
        };
        match column {
            Column::Bytes(bytes) => rows.bytes = bytes,
            Column::S64s(words) => {
                rows.words = words.into_iter().map(|word| word as u64 ^ SIGN).collect();
            }
            words => rows.words = crate::column::into_words(words),
        }
        rows
    }

    pub(crate) fn len(&self) -> u32 {
        self.words.len().max(self.bytes.offsets.len().saturating_sub(1)) as u32
    }

    #[inline]
    pub(crate) fn compare(&self, row: u32, key: &EntryKey) -> Ordering {
        match key {
            EntryKey::Word(word) => self.words.get(row as usize).cmp(&Some(word)),
            EntryKey::Bytes(bytes) => {
                row_bytes(&self.bytes, row as usize).cmp(&Some(bytes.as_slice()))
            }
        }
    }

    pub(crate) fn key(&self, row: u32) -> EntryKey {
        match self.words.get(row as usize) {
            Some(&word) => EntryKey::Word(word),
            None => EntryKey::Bytes(row_bytes(&self.bytes, row as usize).unwrap_or(&[]).to_vec()),
        }
    }

    /// The first of these rows that is not before a key, and whether it is that key.
    pub(crate) fn lower_bound(&self, from: u32, to: u32, key: &EntryKey) -> (u32, bool) {
        let (mut from, mut to) = (from, to);
        while from < to {
            let middle = from + (to - from) / 2;
            match self.compare(middle, key) {
                Ordering::Less => from = middle + 1,
                Ordering::Equal => return (middle, true),
                Ordering::Greater => to = middle,
            }
        }
        (from, false)
    }

    /// The row of a key.
    pub(crate) fn search(&self, from: u32, to: u32, key: &EntryKey) -> Option<u32> {
        let (row, same) = self.lower_bound(from, to, key);
        same.then_some(row)
    }
}
