//! The table of one key group: open addressing over buckets that hold keys, marks and values
//! together.
//!
//! A key's bucket is the lower half of its hash scaled to the number of buckets, or the next one
//! with room if that one is full; growth by any factor moves rows from front to back. Rows are
//! never taken out one by one: a row whose values were all removed keeps its key, is found by the
//! next look-up, tells the next increment of the removals, and goes when the table is rebuilt. So
//! the rows of a bucket fill up from its first place, and a bucket whose last place is vacant ends
//! a search.

mod rebuild;

use super::row::{LINE, Layout, Mark, place};
use super::slab::Slab;
use crate::backend::Now;
use crate::segment::Cell;
use crate::ttl::{self, NO_STAMP};

/// No row.
pub(super) const ABSENT: u32 = u32::MAX;

/// The fewest buckets of a table that holds anything.
const BUCKETS_MIN: usize = 4;

/// One cache line.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Line([u64; LINE]);

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
    lines: Vec<Line>,
    buckets: u64,
    /// Rows with a key.
    used: usize,
    /// Rows with a key and no value.
    dead: usize,
    /// Values in all rows, by column; empty as long as there were none.
    values: Box<[usize]>,
    keys: Slab,
    cells: Slab,
}

impl Table {
    /// Every row is less than this, but not all that are less are rows.
    pub(super) fn end(&self) -> u32 {
        (self.buckets << 2) as u32
    }

    /// How many values a column has.
    pub(super) fn values(&self, column: usize) -> usize {
        self.values.get(column).copied().unwrap_or(0)
    }

    /// Whether it holds no memory.
    pub(super) fn is_vacant(&self) -> bool {
        self.lines.is_empty()
    }

    pub(super) fn allocated_bytes(&self) -> usize {
        self.lines.capacity() * size_of::<Line>()
            + self.keys.allocated_bytes()
            + self.cells.allocated_bytes()
    }

    #[inline]
    fn word_at(&self, at: usize) -> u64 {
        self.lines[at / LINE].0[at % LINE]
    }

    #[inline]
    fn word_at_mut(&mut self, at: usize) -> &mut u64 {
        &mut self.lines[at / LINE].0[at % LINE]
    }

    /// The first row of the bucket where the search for a key with this hash begins.
    #[inline]
    pub(super) fn home(&self, hash: u64) -> u32 {
        ((((hash & 0xffff_ffff) * self.buckets) >> 32) << 2) as u32
    }

    /// The first row of the bucket after that of a row.
    #[inline]
    fn next(&self, row: u32) -> u32 {
        let next = (row & !3) + 4;
        if next == self.end() { 0 } else { next }
    }

    /// Reads the lines of a bucket, so that a search that follows finds them in the cache.
    #[inline]
    pub(super) fn touch(&self, layout: &Layout, row: u32) -> u64 {
        if layout.lines == 1 {
            return self.lines.get((row >> 2) as usize).map_or(0, |line| line.0[0]);
        }
        let first = (row >> 2) as usize * layout.lines;
        let lines = self.lines.get(first..first + layout.lines).unwrap_or_default();
        lines.iter().fold(0, |sum, line| sum ^ line.0[0])
    }

    /// Compares a numeric key with a bucket, without a branch on the outcome.
    #[inline]
    pub(super) fn step(&self, layout: &Layout, row: u32, key: u64) -> Step {
        if layout.slots != 3 {
            return Step { row, open: true };
        }
        // Three keys, three values, three marks: one line.
        let Some(Line([first, second, third, _, _, _, marks, last])) =
            self.lines.get((row >> 2) as usize)
        else {
            return Step { row: ABSENT, open: false };
        };
        let occupied = |word: u64, number| Mark::of(word, number).occupied();
        let full = occupied(*last, 0);
        let found = u32::from((*first == key) & occupied(*marks, 0))
            | u32::from((*second == key) & occupied(*marks, 1)) << 1
            | u32::from((*third == key) & full) << 2;
        // All ones, which is `ABSENT`, unless the search goes on.
        let other = self.next(row) | u32::from(full).wrapping_sub(1);
        let row = if found != 0 { row + found.trailing_zeros() } else { other };
        Step { row, open: (found == 0) & full }
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
        if self.lines.is_empty() {
            return ABSENT;
        }
        let mut bucket = home;
        loop {
            for row in bucket..bucket + layout.slots as u32 {
                if !self.is_occupied(layout, row) {
                    return ABSENT;
                }
                if is_key(self.word_at(layout.key(row))) {
                    return row;
                }
            }
            bucket = self.next(bucket);
        }
    }

    /// Whether one more row fits. At most 7 of 10 are taken: few buckets are full.
    pub(super) fn has_room(&self, layout: &Layout) -> bool {
        (self.used + 1) * 10 <= self.buckets as usize * layout.slots * 7
    }

    /// Whether so many more rows fit.
    pub(super) fn has_room_for(&self, layout: &Layout, rows: usize) -> bool {
        (self.used + rows) * 10 <= self.buckets as usize * layout.slots * 7
    }

    /// Whether more of it is dead than a table should carry along.
    pub(super) fn is_sparse(&self) -> bool {
        self.dead * 2 > self.buckets as usize && self.buckets as usize > BUCKETS_MIN
    }

    /// Adds a row, without values, for a key that has none. There must be room.
    pub(super) fn insert(&mut self, layout: &Layout, hash: u64, key: Cell<'_>) -> u32 {
        let word = match key {
            Cell::Word(word) => word,
            Cell::Bytes(bytes) => tag(hash) << 32 | self.keys.insert(bytes),
        };
        let row = self.vacant(layout, self.home(hash));
        *self.word_at_mut(layout.key(row)) = word;
        let (at, number) = layout.mark(row, 0);
        *self.word_at_mut(at) |= Mark::OCCUPIED << (number % 2 * 32);
        self.used += 1;
        self.dead += 1;
        row
    }

    fn vacant(&self, layout: &Layout, home: u32) -> u32 {
        let mut bucket = home;
        loop {
            let mut rows = bucket..bucket + layout.slots as u32;
            if let Some(row) = rows.find(|&row| !self.is_occupied(layout, row)) {
                return row;
            }
            bucket = self.next(bucket);
        }
    }

    #[inline]
    pub(super) fn is_occupied(&self, layout: &Layout, row: u32) -> bool {
        place(row) < layout.slots && self.mark(layout, row, 0).occupied()
    }

    #[inline]
    pub(super) fn mark(&self, layout: &Layout, row: u32, state: usize) -> Mark {
        let (at, number) = layout.mark(row, state);
        Mark::of(self.word_at(at), number)
    }

    #[inline]
    pub(super) fn set_mark(&mut self, layout: &Layout, row: u32, state: usize, mark: Mark) {
        let (at, number) = layout.mark(row, state);
        let word = self.word_at_mut(at);
        *word = mark.within(*word, number);
    }

    /// A value's word, and whether there is a value; the word is zero if not.
    #[inline]
    pub(super) fn word(&self, layout: &Layout, row: u32, state: usize) -> (u64, bool) {
        let mark = self.mark(layout, row, state);
        (self.word_at(layout.value(row, state)), mark.present())
    }

    /// A value of bytes.
    pub(super) fn bytes(&self, layout: &Layout, row: u32, state: usize) -> Option<&[u8]> {
        let (word, present) = self.word(layout, row, state);
        present.then(|| self.cells.get(word))
    }

    /// Sets a numeric value that is there and was already written in this version, which changes
    /// nothing but the value. Says whether that was so.
    #[inline]
    pub(super) fn overwrite(
        &mut self,
        layout: &Layout,
        version: u32,
        row: u32,
        state: usize,
        value: u64,
    ) -> bool {
        let fits = self.mark(layout, row, state).is_written(version);
        if fits {
            *self.word_at_mut(layout.value(row, state)) = value;
        }
        fits
    }

    /// A value's stamp, or that of none if the state has no stamps.
    #[inline]
    pub(super) fn stamp(&self, layout: &Layout, row: u32, state: usize) -> i64 {
        layout.stamp(row, state).map_or(NO_STAMP, |at| self.word_at(at) as i64)
    }

    /// Whether a value's time is up.
    #[inline]
    pub(super) fn is_expired(&self, layout: &Layout, row: u32, state: usize, now: Now) -> bool {
        let ttl = &layout.ttls[state];
        ttl.is_some_and(|ttl| ttl::is_expired(&ttl, self.stamp(layout, row, state), now))
    }

    /// Sets a value's stamp, if the state has stamps.
    #[inline]
    pub(super) fn set_stamp(&mut self, layout: &Layout, row: u32, state: usize, stamp: i64) {
        if let Some(at) = layout.stamp(row, state) {
            *self.word_at_mut(at) = stamp as u64;
        }
    }

    /// Changes a value of bytes that is there, under its new mark.
    pub(super) fn update_bytes(
        &mut self,
        layout: &Layout,
        row: u32,
        state: usize,
        mark: Mark,
        change: impl FnOnce(&mut Vec<u8>),
    ) {
        let (word, _) = self.word(layout, row, state);
        self.cells.update(word, change);
        self.set_mark(layout, row, state, mark);
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
            self.count(layout, row, state, value.is_some());
        }
        *self.word_at_mut(layout.value(row, state)) = value.unwrap_or(0);
        self.set_mark(layout, row, state, mark.with_present(value.is_some()));
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
    #[inline(never)]
    fn count(&mut self, layout: &Layout, row: u32, state: usize, appears: bool) {
        let present =
            (0..layout.states.len()).filter(|&state| self.mark(layout, row, state).present());
        let others = present.count() - usize::from(!appears);
        if self.values.is_empty() {
            self.values = vec![0; layout.states.len()].into();
        }
        if appears {
            self.values[state] += 1;
            self.dead -= usize::from(others == 0);
        } else {
            self.values[state] -= 1;
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
        let word = self.word_at(layout.key(row));
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

    /// The same of a row that may be [`ABSENT`].
    pub(super) fn value_of(&self, layout: &Layout, row: u32, state: usize) -> Option<Cell<'_>> {
        if row == ABSENT { None } else { self.value(layout, row, state) }
    }

    /// The key of a row, if it is one.
    pub(super) fn key_of(&self, layout: &Layout, row: u32) -> Option<Cell<'_>> {
        self.is_occupied(layout, row).then(|| self.key(layout, row))
    }
}

/// What tells most keys of bytes apart: bits of the hash that neither the group nor the place is
/// made of alone.
fn tag(hash: u64) -> u64 {
    hash >> 16 & 0xffff_ffff
}
