//! The table of one key group: open addressing over rows that hold key, marks and values together.
//!
//! A look-up costs one cache miss, two where the row crosses a line. The row's place is the lower
//! half of the hash scaled to the capacity, and the next free row after it if that one is taken, so
//! growth by any factor moves rows from front to back. Rows are never taken out one by one: a row
//! whose values were all removed keeps its key, is found by the next look-up, tells the next
//! increment of the removals, and goes when the table is rebuilt.

use super::row::{Layout, Mark};
use super::slab::Slab;
use crate::key::{hash_bytes, hash_word};
use crate::segment::Cell;

/// No row.
pub(super) const ABSENT: u32 = u32::MAX;

/// The least capacity of a table that holds anything, in rows.
const ROWS_MIN: usize = 8;

/// What one comparison came to.
pub(super) struct Step {
    /// The key's row, or [`ABSENT`], or where to go on.
    pub(super) row: u32,
    /// Whether to go on.
    pub(super) open: bool,
}

/// The rows of one key group. What every look-up needs comes first, to lie in one line.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct Table {
    rows: Vec<u64>,
    capacity: u64,
    /// Rows with a key.
    used: usize,
    /// Rows with a key and no value.
    dead: usize,
    /// Values in all rows.
    values: usize,
    keys: Slab,
    cells: Slab,
}

impl Table {
    pub(super) fn capacity(&self) -> u32 {
        self.capacity as u32
    }

    pub(super) fn values(&self) -> usize {
        self.values
    }

    pub(super) fn allocated_bytes(&self) -> usize {
        self.rows.capacity() * 8 + self.keys.allocated_bytes() + self.cells.allocated_bytes()
    }

    /// Where the search for a key with this hash begins.
    #[inline]
    pub(super) fn home(&self, hash: u64) -> u32 {
        (((hash & 0xffff_ffff) * self.capacity) >> 32) as u32
    }

    /// Reads a row's first and last word, so that a search that follows finds it in the cache.
    #[inline]
    pub(super) fn touch(&self, layout: &Layout, row: u32) -> u64 {
        let at = row as usize * layout.stride;
        match self.rows.get(at..at + layout.stride) {
            Some(row) => row[0] ^ row[layout.stride - 1],
            None => 0,
        }
    }

    /// Compares a numeric key with one row, without a branch on the outcome.
    #[inline]
    pub(super) fn step(&self, layout: &Layout, row: u32, key: u64) -> Step {
        let at = row as usize * layout.stride;
        let Some(words) = self.rows.get(at..at + 2) else {
            return Step { row: ABSENT, open: false };
        };
        let occupied = words[1] & Mark::OCCUPIED != 0;
        let found = occupied & (words[0] == key);
        let next = if row + 1 == self.capacity as u32 { 0 } else { row + 1 };
        let other = if occupied { next } else { ABSENT };
        Step { row: if found { row } else { other }, open: occupied & !found }
    }

    /// The row of a numeric key.
    #[inline]
    pub(super) fn find_word(&self, layout: &Layout, home: u32, key: u64) -> u32 {
        self.probe(layout, home, |word| word == key)
    }

    /// The row of a key of bytes.
    pub(super) fn find_bytes(&self, layout: &Layout, home: u32, hash: u64, key: &[u8]) -> u32 {
        let tag = tag(hash);
        self.probe(layout, home, |word| {
            word >> 32 == tag && self.keys.get(word & 0xffff_ffff) == key
        })
    }

    pub(super) fn find(&self, layout: &Layout, hash: u64, key: Cell<'_>) -> u32 {
        match key {
            Cell::Word(word) => self.find_word(layout, self.home(hash), word),
            Cell::Bytes(bytes) => self.find_bytes(layout, self.home(hash), hash, bytes),
        }
    }

    #[inline]
    fn probe(&self, layout: &Layout, home: u32, is_key: impl Fn(u64) -> bool) -> u32 {
        let stride = layout.stride;
        let mut row = home as usize;
        if self.rows.is_empty() {
            return ABSENT;
        }
        loop {
            let words = &self.rows[row * stride..row * stride + 2];
            if words[1] & Mark::OCCUPIED == 0 {
                return ABSENT;
            }
            if is_key(words[0]) {
                return row as u32;
            }
            row += 1;
            if row == self.capacity as usize {
                row = 0;
            }
        }
    }

    /// Whether one more row fits. At most 5 of 8 rows are taken: the longest runs stay short.
    pub(super) fn has_room(&self) -> bool {
        (self.used + 1) * 8 <= self.capacity as usize * 5
    }

    /// Whether more of it is dead than a table should carry along.
    pub(super) fn is_sparse(&self) -> bool {
        self.dead * 4 > self.capacity as usize && self.capacity as usize > ROWS_MIN
    }

    /// Adds a row, without values, for a key that has none. There must be room.
    pub(super) fn insert(&mut self, layout: &Layout, hash: u64, key: Cell<'_>) -> u32 {
        let word = match key {
            Cell::Word(word) => word,
            Cell::Bytes(bytes) => tag(hash) << 32 | self.keys.insert(bytes),
        };
        let row = self.vacant(layout, self.home(hash));
        let at = row * layout.stride;
        self.rows[at] = word;
        self.rows[at + 1] = Mark::OCCUPIED;
        self.used += 1;
        self.dead += 1;
        row as u32
    }

    fn vacant(&self, layout: &Layout, home: u32) -> usize {
        let mut row = home as usize;
        while self.rows[row * layout.stride + 1] & Mark::OCCUPIED != 0 {
            row += 1;
            if row == self.capacity as usize {
                row = 0;
            }
        }
        row
    }

    pub(super) fn is_occupied(&self, layout: &Layout, row: u32) -> bool {
        self.rows[row as usize * layout.stride + 1] & Mark::OCCUPIED != 0
    }

    #[inline]
    pub(super) fn mark(&self, layout: &Layout, row: u32, state: usize) -> Mark {
        Mark::of(self.rows[row as usize * layout.stride + 1 + state / 2], state)
    }

    #[inline]
    pub(super) fn set_mark(&mut self, layout: &Layout, row: u32, state: usize, mark: Mark) {
        let word = &mut self.rows[row as usize * layout.stride + 1 + state / 2];
        *word = mark.within(*word, state);
    }

    /// A value's word, and whether there is a value; the word is zero if not.
    #[inline]
    pub(super) fn word(&self, layout: &Layout, row: u32, state: usize) -> (u64, bool) {
        let at = row as usize * layout.stride;
        let row = &self.rows[at..at + layout.stride];
        (row[layout.values + state], Mark::of(row[1 + state / 2], state).present())
    }

    /// A value of bytes.
    pub(super) fn bytes(&self, layout: &Layout, row: u32, state: usize) -> Option<&[u8]> {
        let (word, present) = self.word(layout, row, state);
        present.then(|| self.cells.get(word))
    }

    /// Sets or removes a numeric value, under its new mark.
    #[inline]
    pub(super) fn set_word(
        &mut self,
        layout: &Layout,
        row: u32,
        state: usize,
        value: Option<u64>,
        mark: Mark,
    ) {
        if value.is_some() != mark.present() {
            self.count(layout, row, value.is_some());
        }
        let at = row as usize * layout.stride;
        let row = &mut self.rows[at..at + layout.stride];
        row[layout.values + state] = value.unwrap_or(0);
        let marks = &mut row[1 + state / 2];
        *marks = mark.with_present(value.is_some()).within(*marks, state);
    }

    /// Sets or removes a value of bytes, under its new mark.
    pub(super) fn set_bytes(
        &mut self,
        layout: &Layout,
        row: u32,
        state: usize,
        value: Option<&[u8]>,
        mark: Mark,
    ) {
        let (old, _) = self.word(layout, row, state);
        let word = match (mark.present(), value) {
            (true, Some(value)) => {
                self.cells.replace(old, value);
                Some(old)
            }
            (false, Some(value)) => Some(self.cells.insert(value)),
            (true, None) => {
                self.cells.remove(old);
                None
            }
            (false, None) => None,
        };
        self.set_word(layout, row, state, word, mark);
    }

    /// Counts a value that appears in a row or leaves it. The row still has its old marks.
    #[inline]
    fn count(&mut self, layout: &Layout, row: u32, appears: bool) {
        let present =
            (0..layout.states.len()).filter(|&state| self.mark(layout, row, state).present());
        let others = present.count() - usize::from(!appears);
        if appears {
            self.values += 1;
            self.dead -= usize::from(others == 0);
        } else {
            self.values -= 1;
            self.dead += usize::from(others == 0);
        }
    }

    /// Whether any value of the row was written in that version.
    #[inline]
    pub(super) fn written_in(&self, layout: &Layout, row: u32, version: u32) -> bool {
        (0..layout.states.len()).any(|state| self.mark(layout, row, state).version() == version)
    }

    fn has_values(&self, layout: &Layout, row: u32) -> bool {
        (0..layout.states.len()).any(|state| self.mark(layout, row, state).present())
    }

    pub(super) fn key(&self, layout: &Layout, row: u32) -> Cell<'_> {
        let word = self.rows[row as usize * layout.stride];
        if layout.key_words {
            Cell::Word(word)
        } else {
            Cell::Bytes(self.keys.get(word & 0xffff_ffff))
        }
    }

    /// A value of any layout.
    pub(super) fn value(&self, layout: &Layout, row: u32, state: usize) -> Option<Cell<'_>> {
        let (word, present) = self.word(layout, row, state);
        let cell = || {
            if layout.states[state] { Cell::Word(word) } else { Cell::Bytes(self.cells.get(word)) }
        };
        present.then(cell)
    }

    /// Moves every row that has a value or is to be kept into a buffer of the right size, half
    /// full. Returns where each old row went.
    pub(super) fn rebuild(
        &mut self,
        layout: &Layout,
        keep: impl Fn(&Self, u32) -> bool,
    ) -> Vec<u32> {
        let mut moved = vec![ABSENT; self.capacity as usize];
        let mut kept = 0;
        for row in 0..self.capacity() {
            if !self.is_occupied(layout, row) {
                continue;
            }
            if self.has_values(layout, row) || keep(self, row) {
                moved[row as usize] = 0;
                kept += 1;
            } else if !layout.key_words {
                let word = self.rows[row as usize * layout.stride];
                self.keys.remove(word & 0xffff_ffff);
            }
        }
        let capacity = (kept * 2).max(ROWS_MIN);
        assert!(capacity < ABSENT as usize, "a key group holds under 2^31 keys");
        let old = std::mem::replace(&mut self.rows, vec![0; capacity * layout.stride]);
        self.capacity = capacity as u64;
        self.used = kept;
        self.dead = 0;
        for (row, to) in moved.iter_mut().enumerate().filter(|(_, to)| **to != ABSENT) {
            let words = &old[row * layout.stride..(row + 1) * layout.stride];
            let hash = if layout.key_words {
                hash_word(words[0])
            } else {
                hash_bytes(self.keys.get(words[0] & 0xffff_ffff))
            };
            let place = self.vacant(layout, self.home(hash));
            self.rows[place * layout.stride..(place + 1) * layout.stride].copy_from_slice(words);
            *to = place as u32;
            self.dead += usize::from(!self.has_values(layout, *to));
        }
        moved
    }
}

/// What tells most keys of bytes apart: bits of the hash that neither the group nor the place is
/// made of alone.
fn tag(hash: u64) -> u64 {
    hash >> 16 & 0xffff_ffff
}
