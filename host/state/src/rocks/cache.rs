//! The write-behind cache: decoded values of the keys used last, in front of RocksDB.
//!
//! Rows lie in one array and keep their place as long as they live; an index, open addressing with linear probing,
//! finds them by the lower half of the key's hash. A batch is looked up in stages, each over all keys of a stage, so
//! that the cache misses of its keys overlap: read the index, find the rows, read the rows, compare the keys.
//!
//! ```text
//! row   = key hash marks+ field+         64-bit words; key: the number, or that of a string in the slab
//! marks = 4 bits for the row, then 4 bits for every cell, from the lowest bit up
//! field = value, then stamp if the state has a time-to-live; a value of bytes is 1 + its number in the slab, or 0
//! ```
//!
//! What is known of a cell is in its mark: nothing, or that it has no value, or its value; or only what was merged
//! into a value that nobody has read. A row with a cell that RocksDB has not got yet is listed as dirty. Rows that are
//! not are thrown out by CLOCK: a hand goes round, spares those used since it came by, and takes the others.

mod row;

use std::hint::black_box;

pub(super) use row::{CellLayout, DELTA, DIRTY, KNOWN, Layout, PRESENT};
use row::{HEAD, LISTED, OCCUPIED, REFERENCED};

use super::slab::Slab;
use crate::column::Column;
use crate::segment::Cell;

/// Keys that each stage takes at once: few enough for the first-level cache.
const STAGE: usize = 256;

/// No row.
const ABSENT: u32 = u32::MAX;
const ROWS_MAX: usize = (u32::MAX - 2) as usize;
const INDEX_MIN: usize = 64;

/// The rows.
#[derive(Debug)]
pub(super) struct Table {
    words: Vec<u64>,
    stride: usize,
    /// Lower half of the hash in the upper half, 1 + row in the lower; 0 is vacant.
    index: Vec<u64>,
    used: usize,
    free: Vec<u32>,
    strings: Slab,
    hand: u32,
    dirty: Vec<u32>,
    dirty_bytes: usize,
    /// How often the list of dirty rows was begun anew.
    flushes: u64,
}

impl Table {
    pub(super) fn new(layout: &Layout) -> Self {
        Self {
            words: Vec::new(),
            stride: layout.stride,
            index: vec![0; INDEX_MIN],
            used: 0,
            free: Vec::new(),
            strings: Slab::default(),
            hand: 0,
            dirty: Vec::new(),
            dirty_bytes: 0,
            flushes: 0,
        }
    }

    /// Bytes of memory that rows take up.
    pub(super) fn used_bytes(&self) -> usize {
        self.used * self.row_bytes() + self.strings.allocated_bytes()
    }

    /// Bytes of it that RocksDB has not got yet, about.
    pub(super) fn dirty_bytes(&self) -> usize {
        self.dirty_bytes
    }

    pub(super) fn dirty(&self) -> &[u32] {
        &self.dirty
    }

    /// How often the list of dirty rows was begun anew.
    pub(super) fn flushes(&self) -> u64 {
        self.flushes
    }

    /// A row with its share of the index.
    pub(super) fn row_bytes(&self) -> usize {
        self.stride * 8 + 16
    }

    #[inline]
    fn base(&self, row: u32) -> usize {
        row as usize * self.stride
    }

    #[inline]
    fn mask(&self) -> usize {
        self.index.len() - 1
    }

    /// Finds the row of every key, and makes those that are missing.
    pub(super) fn find(&mut self, keys: &Column, hashes: &[u64], rows: &mut Vec<u32>) {
        self.reserve(hashes.len());
        rows.clear();
        for start in (0..hashes.len()).step_by(STAGE) {
            let end = hashes.len().min(start + STAGE);
            let hashes = &hashes[start..end];
            let homes = hashes.iter().map(|&hash| self.index[hash as usize & self.mask()]);
            black_box(homes.fold(0, |sum, slot| sum ^ slot));
            rows.extend(hashes.iter().map(|&hash| self.candidate(hash)));
            let found = rows[start..].iter().filter(|&&row| row != ABSENT);
            black_box(found.fold(0, |sum, &row| sum ^ self.words[self.base(row) + HEAD]));
            match keys {
                Column::Words(keys) => {
                    for ((row, &hash), &key) in
                        rows[start..].iter_mut().zip(hashes).zip(&keys[start..end])
                    {
                        let is = *row != ABSENT && self.words[self.base(*row)] == key;
                        if !is {
                            *row = self.find_or_insert(hash, Cell::Word(key));
                        }
                        let marks = self.base(*row) + HEAD;
                        self.words[marks] |= REFERENCED;
                    }
                }
                Column::Bytes(keys) => {
                    for (at, &hash) in (start..end).zip(hashes) {
                        let key = Cell::Bytes(keys.get(at));
                        if rows[at] == ABSENT || !self.is_key(rows[at], hash, key) {
                            rows[at] = self.find_or_insert(hash, key);
                        }
                        let marks = self.base(rows[at]) + HEAD;
                        self.words[marks] |= REFERENCED;
                    }
                }
            }
        }
    }

    /// The first row whose hash looks right.
    #[inline]
    fn candidate(&self, hash: u64) -> u32 {
        let mask = self.mask();
        let mut at = hash as usize & mask;
        loop {
            let slot = self.index[at];
            if slot == 0 {
                return ABSENT;
            }
            if slot >> 32 == hash & 0xffff_ffff {
                return slot as u32 - 1;
            }
            at = (at + 1) & mask;
        }
    }

    /// The row of a key, if it has one.
    pub(super) fn row_of(&self, hash: u64, key: Cell<'_>) -> Option<u32> {
        let mask = self.mask();
        let mut at = hash as usize & mask;
        while self.index[at] != 0 {
            let slot = self.index[at];
            let row = slot as u32 - 1;
            if slot >> 32 == hash & 0xffff_ffff && self.is_key(row, hash, key) {
                return Some(row);
            }
            at = (at + 1) & mask;
        }
        None
    }

    fn is_key(&self, row: u32, hash: u64, key: Cell<'_>) -> bool {
        let base = self.base(row);
        match key {
            Cell::Word(word) => self.words[base] == word,
            Cell::Bytes(bytes) => {
                self.words[base + 1] == hash && self.strings.get(self.words[base]) == bytes
            }
        }
    }

    fn find_or_insert(&mut self, hash: u64, key: Cell<'_>) -> u32 {
        let mask = self.mask();
        let mut at = hash as usize & mask;
        while self.index[at] != 0 {
            let slot = self.index[at];
            let row = slot as u32 - 1;
            if slot >> 32 == hash & 0xffff_ffff && self.is_key(row, hash, key) {
                return row;
            }
            at = (at + 1) & mask;
        }
        let row = self.free.pop().unwrap_or_else(|| {
            let row = self.words.len() / self.stride;
            assert!(row < ROWS_MAX, "a cache holds under 2^32 keys");
            self.words.resize(self.words.len() + self.stride, 0);
            row as u32
        });
        let base = self.base(row);
        self.words[base] = match key {
            Cell::Word(word) => word,
            Cell::Bytes(bytes) => self.strings.insert(bytes),
        };
        self.words[base + 1] = hash;
        self.words[base + HEAD..base + self.stride].fill(0);
        self.words[base + HEAD] = OCCUPIED;
        self.index[at] = hash << 32 | u64::from(row + 1);
        self.used += 1;
        row
    }

    /// Makes room in the index: at most half of it is taken.
    fn reserve(&mut self, more: usize) {
        let wanted = ((self.used + more) * 2).next_power_of_two().max(INDEX_MIN);
        if wanted <= self.index.len() {
            return;
        }
        let old = std::mem::replace(&mut self.index, vec![0; wanted]);
        let mask = self.mask();
        for slot in old.into_iter().filter(|&slot| slot != 0) {
            let mut at = (slot >> 32) as usize & mask;
            while self.index[at] != 0 {
                at = (at + 1) & mask;
            }
            self.index[at] = slot;
        }
    }

    /// Throws rows out, none of them dirty, until that many bytes are left, or nothing can be thrown out.
    pub(super) fn evict(&mut self, layout: &Layout, target_bytes: usize) {
        let end = (self.words.len() / self.stride) as u32;
        let mut steps = 2 * end;
        while self.used_bytes() > target_bytes && steps > 0 {
            steps -= 1;
            self.hand = if self.hand + 1 < end { self.hand + 1 } else { 0 };
            let marks = self.base(self.hand) + HEAD;
            match self.words[marks] & (OCCUPIED | LISTED | REFERENCED) {
                OCCUPIED => self.remove(layout, self.hand),
                _ => self.words[marks] &= !REFERENCED,
            }
        }
    }

    fn remove(&mut self, layout: &Layout, row: u32) {
        let base = self.base(row);
        self.unlink(self.words[base + 1], row);
        if !layout.key_words {
            self.strings.remove(self.words[base]);
        }
        for cell in 0..layout.cells.len() {
            self.drop_value(&layout.cells[cell], row);
        }
        self.words[base + HEAD] = 0;
        self.free.push(row);
        self.used -= 1;
    }

    /// Takes a row out of the index, and moves those up that it kept from their place.
    fn unlink(&mut self, hash: u64, row: u32) {
        let mask = self.mask();
        let mut at = hash as usize & mask;
        while self.index[at] as u32 != row + 1 {
            at = (at + 1) & mask;
        }
        let mut next = at;
        loop {
            next = (next + 1) & mask;
            let slot = self.index[next];
            if slot == 0 {
                break;
            }
            let home = (slot >> 32) as usize & mask;
            if next.wrapping_sub(home) & mask >= next.wrapping_sub(at) & mask {
                self.index[at] = slot;
                at = next;
            }
        }
        self.index[at] = 0;
    }

    /// Gives back the memory of a value that is no more.
    pub(super) fn drop_value(&mut self, cell: &CellLayout, row: u32) {
        let at = self.base(row) + cell.value;
        if !cell.words && self.words[at] != 0 {
            self.strings.remove(self.words[at] - 1);
            self.words[at] = 0;
        }
    }

    #[inline]
    pub(super) fn key(&self, layout: &Layout, row: u32) -> Cell<'_> {
        let word = self.words[self.base(row)];
        if layout.key_words { Cell::Word(word) } else { Cell::Bytes(self.strings.get(word)) }
    }

    #[inline]
    pub(super) fn hash(&self, row: u32) -> u64 {
        self.words[self.base(row) + 1]
    }

    #[inline]
    pub(super) fn mark(&self, cell: &CellLayout, row: u32) -> u8 {
        (self.words[self.base(row) + cell.mark.0] >> cell.mark.1) as u8 & 15
    }

    /// Sets a cell's mark, and lists the row if it is dirty now.
    #[inline]
    pub(super) fn set_mark(&mut self, cell: &CellLayout, row: u32, mark: u8) {
        let base = self.base(row);
        let word = &mut self.words[base + cell.mark.0];
        *word = *word & !(15 << cell.mark.1) | u64::from(mark) << cell.mark.1;
        if mark & DIRTY != 0 && self.words[base + HEAD] & LISTED == 0 {
            self.words[base + HEAD] |= LISTED;
            self.dirty.push(row);
            self.dirty_bytes += self.row_bytes();
        }
    }

    #[inline]
    pub(super) fn word(&self, cell: &CellLayout, row: u32) -> u64 {
        self.words[self.base(row) + cell.value]
    }

    #[inline]
    pub(super) fn set_word(&mut self, cell: &CellLayout, row: u32, word: u64) {
        let at = self.base(row) + cell.value;
        self.words[at] = word;
    }

    pub(super) fn bytes(&self, cell: &CellLayout, row: u32) -> &[u8] {
        match self.word(cell, row) {
            0 => &[],
            number => self.strings.get(number - 1),
        }
    }

    /// Changes a value of bytes in place; an empty one if there was none.
    pub(super) fn update_bytes(
        &mut self,
        cell: &CellLayout,
        row: u32,
        change: impl FnOnce(&mut Vec<u8>),
    ) {
        let at = self.base(row) + cell.value;
        let before = self.strings.allocated_bytes();
        if self.words[at] == 0 {
            self.words[at] = 1 + self.strings.insert(&[]);
        }
        self.strings.update(self.words[at] - 1, change);
        if self.mark(cell, row) & DIRTY != 0 {
            self.dirty_bytes += self.strings.allocated_bytes().saturating_sub(before);
        }
    }

    /// Counts a value of bytes that was just made dirty.
    pub(super) fn note_dirty_bytes(&mut self, cell: &CellLayout, row: u32) {
        self.dirty_bytes += self.bytes(cell, row).len();
    }

    pub(super) fn value(&self, cell: &CellLayout, row: u32) -> Cell<'_> {
        if cell.words {
            Cell::Word(self.word(cell, row))
        } else {
            Cell::Bytes(self.bytes(cell, row))
        }
    }

    pub(super) fn set_value(&mut self, cell: &CellLayout, row: u32, value: Cell<'_>) {
        match value {
            Cell::Word(word) => self.set_word(cell, row, word),
            Cell::Bytes(bytes) => self.update_bytes(cell, row, |string| {
                string.clear();
                string.extend_from_slice(bytes);
            }),
        }
    }

    /// The stamp of a state with a time-to-live.
    pub(super) fn stamp(&self, cell: &CellLayout, row: u32) -> i64 {
        self.words[self.base(row) + cell.value + 1] as i64
    }

    pub(super) fn set_stamp(&mut self, cell: &CellLayout, row: u32, stamp: i64) {
        let at = self.base(row) + cell.value + 1;
        self.words[at] = stamp as u64;
    }

    /// Says that RocksDB has got all that is dirty.
    pub(super) fn flushed(&mut self, layout: &Layout) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for row in dirty.drain(..) {
            for cell in &layout.cells {
                let mark = self.mark(cell, row);
                if mark & DELTA != 0 {
                    // What it was merged into is still unknown.
                    self.drop_value(cell, row);
                    self.set_mark(cell, row, 0);
                } else if mark & DIRTY != 0 {
                    self.set_mark(cell, row, mark & !DIRTY);
                }
            }
            let marks = self.base(row) + HEAD;
            self.words[marks] &= !LISTED;
        }
        self.dirty = dirty;
        self.dirty_bytes = 0;
        self.flushes += 1;
    }
}

#[cfg(test)]
mod tests;
