//! Values that leave one cell for another, and what the caches know of those that RocksDB moves.

use super::{CellSet, Cells, Place};
use crate::column::Column;
use crate::error::Error;
use crate::evolve::{Convert, Moved, NotMoved};
use crate::key::KeyGroup;
use crate::rocks::cache::{CellLayout, DELTA, DIRTY, KNOWN, PRESENT};
use crate::rocks::database::Database;
use crate::rocks::keys;
use crate::rocks::migrate::{CONVERT_BYTES_MAX, Found, converted, stamps_stay};
use crate::segment::{Cell, Stamped};
use crate::ttl::NO_STAMP;

/// What a cache knows of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::rocks) enum Cached<'a> {
    /// Nothing: RocksDB has to be asked.
    Unknown,
    Absent {
        dirty: bool,
    },
    Value {
        value: Stamped<'a>,
        dirty: bool,
    },
    /// What is to be merged into what RocksDB has.
    Delta(Cell<'a>),
}

/// Up to where the list of rows that RocksDB has not got yet was looked through.
#[derive(Debug, Clone, Copy)]
pub(in crate::rocks) struct DirtyFrom {
    flushes: u64,
    at: usize,
}

/// Rows of that list that are looked at in one go, whatever the limit.
const LOOKS_MIN: usize = 4096;

impl Cells {
    /// What the cache knows of a key's cell.
    pub(in crate::rocks) fn cached(
        &self,
        (set, cell): Place,
        hash: u64,
        key: Cell<'_>,
    ) -> Cached<'_> {
        let set = &self.sets[set];
        let Some(row) = set.table.row_of(hash, key) else { return Cached::Unknown };
        let layout = &set.layout.cells[cell];
        let mark = set.table.mark(layout, row);
        let dirty = mark & DIRTY != 0;
        let stamp = if layout.ttl.is_some() { set.table.stamp(layout, row) } else { NO_STAMP };
        if mark & DELTA != 0 {
            Cached::Delta(set.table.value(layout, row))
        } else if mark & KNOWN == 0 {
            Cached::Unknown
        } else if mark & PRESENT == 0 {
            Cached::Absent { dirty }
        } else {
            Cached::Value { value: Stamped { value: set.table.value(layout, row), stamp }, dirty }
        }
    }

    /// Takes note of what RocksDB has of a key's cell now, if the key is in the cache.
    pub(in crate::rocks) fn stored(
        &mut self,
        (set, cell): Place,
        hash: u64,
        key: Cell<'_>,
        value: Option<Stamped<'_>>,
    ) {
        let set = &mut self.sets[set];
        let Some(row) = set.table.row_of(hash, key) else { return };
        let layout = &set.layout.cells[cell];
        set.table.set_mark(layout, row, 0);
        let Some(value) = value else {
            set.table.drop_value(layout, row);
            set.table.set_mark(layout, row, KNOWN);
            return;
        };
        set.table.set_value(layout, row, value.value);
        if layout.ttl.is_some() {
            set.table.set_stamp(layout, row, value.stamp);
        }
        set.table.set_mark(layout, row, KNOWN | PRESENT);
    }

    /// How many values of a state RocksDB has not got yet.
    pub(in crate::rocks) fn dirty_values(&self, (set, cell): Place) -> u64 {
        let set = &self.sets[set];
        let layout = &set.layout.cells[cell];
        let is = |row: &&u32| set.table.mark(layout, **row) & (DIRTY | PRESENT) == DIRTY | PRESENT;
        set.table.dirty().iter().filter(is).count() as u64
    }

    /// Where to begin to look through what RocksDB has not got yet.
    pub(in crate::rocks) fn dirty_from(&self, (set, _): Place) -> DirtyFrom {
        DirtyFrom { flushes: self.sets[set].table.flushes(), at: 0 }
    }

    /// Finds values of a state that RocksDB has not got yet, at most `limit`. Whether there may be more: those handed
    /// over meanwhile are not found any more.
    pub(in crate::rocks) fn find_dirty(
        &mut self,
        database: &Database,
        (set, cell): Place,
        from: &mut DirtyFrom,
        limit: usize,
        found: &mut Found,
    ) -> Result<bool, Error> {
        let set = &mut self.sets[set];
        if from.flushes != set.table.flushes() {
            return Ok(false);
        }
        let layout = &set.layout.cells[cell];
        let (tag, stamped) = (layout.tag, layout.ttl.is_some());
        let looks = limit.saturating_mul(4).max(LOOKS_MIN);
        let mut rows = Vec::new();
        for &row in set.table.dirty().iter().skip(from.at).take(looks) {
            if rows.len() == limit {
                break;
            }
            from.at += 1;
            if set.table.mark(layout, row) & (DIRTY | PRESENT) == DIRTY | PRESENT {
                rows.push((row, cell as u32));
            }
        }
        let more = from.at < set.table.dirty().len();
        set.sort(&mut rows);
        let of_rows = rows.iter().map(|&(row, _)| row).collect();
        set.fetch(database, cell, of_rows)?;
        let layout = &set.layout.cells[cell];
        let mut key = Vec::new();
        for (row, _) in rows {
            key.clear();
            set.push_key(&mut key, tag, row);
            let stamp = if stamped { set.table.stamp(layout, row) } else { NO_STAMP };
            let value = Stamped { value: set.table.value(layout, row), stamp };
            let (group, rest) = keys::split(&key).expect("it was put together here");
            found.push(group, set.table.hash(row), rest, value);
        }
        Ok(more)
    }

    /// Moves the values of the invocation's keys. Keys that are `past` have none: RocksDB is not asked.
    pub(in crate::rocks) fn move_slots(
        &mut self,
        database: &Database,
        (from, to): (Place, Place),
        past: &dyn Fn(KeyGroup, Cell<'_>) -> bool,
        convert: &mut Convert<'_>,
        moved: &mut Moved,
    ) -> Result<(), Error> {
        let rows = self.sets[from.0].unknown(from.1, past);
        self.sets[from.0].fetch(database, from.1, rows)?;
        let mut slots = self.present(from);
        if slots.is_empty() {
            return Ok(());
        }
        let rows = slots.iter().map(|&slot| self.sets[to.0].rows[slot as usize]).collect();
        self.sets[to.0].fetch(database, to.1, rows)?;
        let newer: Vec<u32> = slots.extract_if(.., |slot| self.has(to, *slot)).collect();
        newer.into_iter().for_each(|slot| self.take_away(from, slot));
        let mut rest = &slots[..];
        while !rest.is_empty() {
            let chunk = self.move_chunk((from, to), rest, convert, moved)?;
            rest = &rest[chunk..];
        }
        Ok(())
    }

    /// Moves some of the values of these slots. How many it looked at.
    fn move_chunk(
        &mut self,
        (from, to): (Place, Place),
        slots: &[u32],
        convert: &mut Convert<'_>,
        moved: &mut Moved,
    ) -> Result<usize, Error> {
        let old = &self.sets[from.0];
        let (of_old, of_new) = (self.layout(from), self.layout(to));
        let mut values = Column::empty(of_old.words);
        for &slot in slots {
            values.push_cell(old.table.value(of_old, old.rows[slot as usize]));
            if values.size_bytes() >= CONVERT_BYTES_MAX {
                break;
            }
        }
        let slots = &slots[..values.len()];
        let new = converted(convert, &values, of_new.words)?;
        let stamps_stay = stamps_stay(of_old.ttl, of_new.ttl);
        let mut failed = new.failed.into_iter().peekable();
        for (row, &slot) in slots.iter().enumerate() {
            if let Some((_, reason)) = failed.next_if(|(failed, _)| *failed as usize == row) {
                let (set, at) = (&self.sets[from.0], slot as usize);
                let mut key = Column::empty(set.layout.key_words);
                key.push_cell(set.table.key(&set.layout, set.rows[at]));
                moved.failed.push(NotMoved { slot: Some(slot), key, reason });
                continue;
            }
            let mut stamp = NO_STAMP;
            if stamps_stay {
                let set = &self.sets[from.0];
                stamp = set.table.stamp(&set.layout.cells[from.1], set.rows[slot as usize]);
            }
            self.take_away(from, slot);
            self.put(to, slot, Stamped { value: new.values.cell(row), stamp });
            moved.moved += 1;
        }
        Ok(slots.len())
    }

    fn layout(&self, (set, cell): Place) -> &CellLayout {
        &self.sets[set].layout.cells[cell]
    }

    /// The slots that have a value, which is known of all.
    fn present(&self, place: Place) -> Vec<u32> {
        let slots = 0..self.sets[place.0].rows.len() as u32;
        slots.filter(|&slot| self.has(place, slot)).collect()
    }

    fn has(&self, (set, cell): Place, slot: u32) -> bool {
        let set = &self.sets[set];
        set.table.mark(&set.layout.cells[cell], set.rows[slot as usize]) & PRESENT != 0
    }

    fn take_away(&mut self, (set, cell): Place, slot: u32) {
        let set = &mut self.sets[set];
        let (layout, row) = (&set.layout.cells[cell], set.rows[slot as usize]);
        set.table.drop_value(layout, row);
        set.table.set_mark(layout, row, KNOWN | DIRTY);
    }

    fn put(&mut self, (set, cell): Place, slot: u32, value: Stamped<'_>) {
        let set = &mut self.sets[set];
        let (layout, row) = (&set.layout.cells[cell], set.rows[slot as usize]);
        set.table.set_value(layout, row, value.value);
        if layout.ttl.is_some() {
            set.table.set_stamp(layout, row, value.stamp);
        }
        set.table.set_mark(layout, row, KNOWN | PRESENT | DIRTY);
        if !layout.words {
            set.table.note_dirty_bytes(layout, row);
        }
    }
}

impl CellSet {
    /// The invocation's rows of which nothing is known yet. Those that are `past` are known to have nothing.
    fn unknown(&mut self, cell: usize, past: &dyn Fn(KeyGroup, Cell<'_>) -> bool) -> Vec<u32> {
        let layout = &self.layout.cells[cell];
        let mut unknown = Vec::new();
        for &row in &self.rows {
            if self.table.mark(layout, row) & KNOWN != 0 {
                continue;
            }
            let group = self.key_groups.group_of(self.table.hash(row));
            let dirty = self.table.mark(layout, row) & DIRTY != 0;
            if !dirty && past(group, self.table.key(&self.layout, row)) {
                self.table.set_mark(layout, row, KNOWN);
            } else {
                unknown.push(row);
            }
        }
        unknown
    }
}
