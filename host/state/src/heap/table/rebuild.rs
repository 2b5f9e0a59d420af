//! A table in another size, and what is given back of it.

use super::{ABSENT, BUCKETS_MIN, Line, Table};
use crate::heap::row::{LINE, Layout};
use crate::heap::slab::Slab;
use crate::key::{hash_bytes, hash_word};

impl Table {
    /// Gives back some of the memory of a table that is not used any more. Whether none is left.
    pub(in crate::heap) fn shed(&mut self, budget: &mut usize) -> bool {
        self.lines = Vec::new();
        self.keys.shed(budget) && self.cells.shed(budget)
    }

    /// Makes room for so many rows in a table that has none yet.
    ///
    /// Rows that come in the order of their hashes, as those of a full segment do, would otherwise all go to the first
    /// part of each size that the table grows through, and every search would walk over most of them.
    pub(in crate::heap) fn make_room(&mut self, layout: &Layout, rows: usize) {
        let buckets = buckets_for(layout, rows);
        if self.used == 0 && buckets > self.buckets as usize {
            self.lines = vec![Line([0; LINE]); buckets * layout.lines];
            self.buckets = buckets as u64;
        }
    }

    /// Removes the values of a row whose states are gone.
    pub(in crate::heap) fn empty_doomed(&mut self, layout: &Layout, row: u32) {
        if !self.is_occupied(layout, row) {
            return;
        }
        for state in layout.doomed() {
            let mark = self.mark(layout, row, state);
            if mark.present() && layout.states[state] {
                self.set_word(layout, row, state, None, mark);
            } else if mark.present() {
                self.set_bytes(layout, row, state, None, mark);
            }
        }
    }

    /// Moves every row that has a value or is to be kept into buckets half full, with room for `more` of them. Returns
    /// where each old row went.
    pub(in crate::heap) fn rebuild(
        &mut self,
        layout: &Layout,
        more: usize,
        keep: impl Fn(&Self, u32) -> bool,
    ) -> Vec<u32> {
        if layout.doomed().next().is_some() {
            (0..self.end()).for_each(|row| self.empty_doomed(layout, row));
        }
        let mut moved = vec![ABSENT; self.end() as usize];
        let mut kept = 0_usize;
        for row in 0..self.end() {
            if !self.is_occupied(layout, row) {
                continue;
            }
            if self.has_values(layout, row) || keep(self, row) {
                moved[row as usize] = 0;
                kept += 1;
            } else if !layout.key_words {
                let word = self.word_at(layout.key(row));
                self.keys.remove(word & 0xffff_ffff);
            }
        }
        let buckets = buckets_for(layout, kept + more);
        let lines = vec![Line([0; LINE]); buckets * layout.lines];
        let old = Self { lines: std::mem::replace(&mut self.lines, lines), ..Self::default() };
        self.buckets = buckets as u64;
        self.used = kept;
        self.dead = 0;
        if kept == 0 {
            (self.keys, self.cells) = (Slab::default(), Slab::default());
        }
        for (row, to) in moved.iter_mut().enumerate().filter(|(_, to)| **to != ABSENT) {
            *to = self.take_over(layout, &old, row as u32);
            self.dead += usize::from(!self.has_values(layout, *to));
        }
        moved
    }

    /// Copies a row of another table, whose slabs are already this one's.
    fn take_over(&mut self, layout: &Layout, old: &Self, row: u32) -> u32 {
        let key = old.word_at(layout.key(row));
        let hash = if layout.key_words {
            hash_word(key)
        } else {
            hash_bytes(self.keys.get(key & 0xffff_ffff))
        };
        let to = self.vacant(layout, self.home(hash));
        *self.word_at_mut(layout.key(to)) = key;
        for state in 0..layout.states.len() {
            *self.word_at_mut(layout.value(to, state)) = old.word_at(layout.value(row, state));
            self.set_stamp(layout, to, state, old.stamp(layout, row, state));
            self.set_mark(layout, to, state, old.mark(layout, row, state));
        }
        to
    }
}

/// How many buckets a table gets for so many rows: about half of it stays free.
fn buckets_for(layout: &Layout, rows: usize) -> usize {
    let buckets = (rows * 2).div_ceil(layout.slots).max(BUCKETS_MIN);
    assert!(buckets < (ABSENT >> 2) as usize, "a key group holds under 2^30 keys");
    buckets
}
