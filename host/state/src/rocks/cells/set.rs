//! States with one value a key that share the rows of a cache, and what goes between the cache and RocksDB.

use rocksdb::WriteBatch;

use super::apply;
use crate::backend::Now;
use crate::column::{BytesColumn, Column};
use crate::declaration::TtlUpdate;
use crate::error::Error;
use crate::key::KeyGroups;
use crate::merge;
use crate::rocks::cache::{DELTA, DIRTY, KNOWN, Layout, PRESENT, Table};
use crate::rocks::database::{Change, Database, TableWriter};
use crate::rocks::keys;
use crate::segment::{Cell, Stamped};
use crate::ttl::{self, NO_STAMP};
use crate::window::Window;
use crate::writes::{StateWrites, WriteOp, WriteSet};

/// Where a flush is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::rocks) enum FlushTo {
    Memory,
    Files,
}

/// This many keys go to files as a table: it need not sort them again, nor copy them from memory to a file.
const TABLE_KEYS_MIN: usize = if cfg!(test) { 24 } else { 4096 };

/// States that are served since the same time: the cells of the keys used last, and where those of this invocation are.
#[derive(Debug)]
pub(super) struct CellSet {
    pub(super) layout: Layout,
    pub(super) table: Table,
    pub(super) key_groups: KeyGroups,
    /// The rows of the invocation's slots.
    pub(super) rows: Vec<u32>,
    pub(super) now: Now,
}

impl CellSet {
    pub(super) fn new(layout: Layout, key_groups: KeyGroups) -> Self {
        let table = Table::new(&layout);
        Self { layout, table, key_groups, rows: Vec::new(), now: Now::default() }
    }

    /// Keys whose values RocksDB has not got yet.
    pub(super) fn dirty(&self) -> usize {
        self.table.dirty().len()
    }

    /// Finds the keys of an invocation.
    pub(super) fn begin(&mut self, keys: &Column, hashes: &[u64], now: Now) {
        self.now = now;
        self.table.find(keys, hashes, &mut self.rows);
    }

    /// Fills a window.
    pub(super) fn load(
        &mut self,
        database: &Database,
        cell: usize,
        window: &mut Window,
    ) -> Result<(), Error> {
        if !self.gather(cell, window) {
            let rows = self.rows.clone();
            self.fetch(database, cell, rows)?;
            let complete = self.gather(cell, window);
            debug_assert!(complete, "what was fetched is known");
        }
        Ok(())
    }

    /// Fills a window from the cache. Whether everything was there.
    fn gather(&self, cell: usize, window: &mut Window) -> bool {
        let (table, cell) = (&self.table, &self.layout.cells[cell]);
        window.reset(self.rows.len());
        let mut known = KNOWN;
        for (word, rows) in self.rows.chunks(64).enumerate() {
            let mut bits = 0;
            for (bit, &row) in rows.iter().enumerate() {
                let mark = table.mark(cell, row);
                known &= mark;
                let visible = mark & PRESENT != 0
                    && cell
                        .ttl
                        .is_none_or(|ttl| ttl::is_visible(&ttl, table.stamp(cell, row), self.now));
                bits |= u64::from(visible) << bit;
                match &mut window.values {
                    Column::Words(values) => {
                        values.push(if visible { table.word(cell, row) } else { 0 });
                    }
                    Column::Bytes(values) => {
                        let value = if visible { table.bytes(cell, row) } else { &[] };
                        window.too_large |= !values.push_if_it_fits(value);
                    }
                }
            }
            window.present.set_word(word, bits);
        }
        known != 0
    }

    /// The key of a value in RocksDB.
    pub(super) fn push_key(&self, to: &mut Vec<u8>, tag: u16, row: u32) {
        keys::push_head(to, self.key_groups.group_of(self.table.hash(row)).0, tag);
        keys::push_key(to, self.table.key(&self.layout, row));
    }

    /// Brings rows in the order of their keys in RocksDB. Only those of one tag; those of several go by tag within a
    /// group.
    pub(super) fn sort(&self, cells: &mut [(u32, u32)]) {
        let head = |&(row, cell): &(u32, u32)| {
            let group = self.key_groups.group_of(self.table.hash(row)).0;
            u32::from(group) << 16 | u32::from(self.layout.cells[cell as usize].tag)
        };
        if self.layout.key_words {
            let mut keyed: Vec<(u32, u64, u32, u32)> = Vec::with_capacity(cells.len());
            for at in cells.iter() {
                let Cell::Word(word) = self.table.key(&self.layout, at.0) else {
                    unreachable!("the layout says words")
                };
                keyed.push((head(at), word, at.0, at.1));
            }
            keyed.sort_unstable();
            for (to, (_, _, row, cell)) in cells.iter_mut().zip(keyed) {
                *to = (row, cell);
            }
        } else {
            cells.sort_unstable_by(|left, right| {
                let key = |row| match self.table.key(&self.layout, row) {
                    Cell::Bytes(bytes) => (bytes.len(), bytes),
                    Cell::Word(_) => unreachable!("the layout says bytes"),
                };
                head(left).cmp(&head(right)).then_with(|| key(left.0).cmp(&key(right.0)))
            });
        }
    }

    /// Reads what is not known of a state, for these rows, by one batch.
    pub(super) fn fetch(
        &mut self,
        database: &Database,
        cell: usize,
        rows: Vec<u32>,
    ) -> Result<(), Error> {
        let layout = &self.layout.cells[cell];
        let (tag, stamped, words) = (layout.tag, layout.ttl.is_some(), layout.words);
        let mut missing: Vec<(u32, u32)> = rows
            .into_iter()
            .filter(|&row| self.table.mark(layout, row) & KNOWN == 0)
            .map(|row| (row, cell as u32))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        self.sort(&mut missing);
        missing.dedup();
        let mut keys = BytesColumn::with_capacity(missing.len(), missing.len() * 16);
        let mut key = Vec::new();
        for &(row, _) in &missing {
            key.clear();
            self.push_key(&mut key, tag, row);
            keys.push(&key);
        }
        let mut values = Vec::with_capacity(missing.len());
        for value in database.get_sorted(keys.iter()) {
            values.push(value.map_err(|error| database.error("read", &error))?);
        }
        for (&(row, _), value) in missing.iter().zip(&values) {
            let value = match value {
                Some(value) => Some(
                    keys::read_value(value, stamped, words)
                        .ok_or_else(|| database.damaged("a value"))?,
                ),
                None => None,
            };
            self.fetched(cell, row, value);
        }
        Ok(())
    }

    /// Takes in what RocksDB has of a cell.
    fn fetched(&mut self, cell: usize, row: u32, value: Option<Stamped<'_>>) {
        let layout = &self.layout.cells[cell];
        let mark = self.table.mark(layout, row);
        let Some(value) = value else {
            // What was merged blindly is the value, where there is none.
            let mark = if mark & DELTA != 0 { KNOWN | PRESENT | DIRTY } else { KNOWN };
            self.table.set_mark(layout, row, mark);
            return;
        };
        if mark & DELTA == 0 {
            self.table.set_value(layout, row, value.value);
            self.table.set_mark(layout, row, KNOWN | PRESENT);
        } else {
            let (merge, of) = layout.merge.expect("only reducing states are merged into");
            match value.value {
                Cell::Word(base) => {
                    let delta = self.table.word(layout, row);
                    self.table.set_word(layout, row, merge::words(merge, of, base, delta));
                }
                Cell::Bytes(base) => self.table.update_bytes(layout, row, |delta| {
                    let mut merged = base.to_vec();
                    merge::bytes(merge, &mut merged, delta);
                    *delta = merged;
                }),
            }
            self.table.set_mark(layout, row, KNOWN | PRESENT | DIRTY);
        }
        if layout.ttl.is_some() {
            self.table.set_stamp(layout, row, value.stamp);
        }
    }

    /// Fetches what a write set needs to know before it is applied.
    pub(super) fn prepare(&mut self, database: &Database, writes: &WriteSet) -> Result<(), Error> {
        for cell in 0..self.layout.cells.len() {
            let layout = &self.layout.cells[cell];
            let Some(of_state) = layout.state.and_then(|state| writes.of(state)) else { continue };
            let StateWrites { slots, ops, .. } = of_state;
            let blind = layout.merges_blindly();
            let reads = |op: WriteOp| match op {
                WriteOp::Touch => {
                    layout.ttl.is_some_and(|ttl| ttl.update == TtlUpdate::OnReadAndWrite)
                }
                WriteOp::Merge => !blind,
                _ => false,
            };
            let needed: Vec<u32> = slots
                .iter()
                .zip(ops)
                .filter(|(_, op)| reads(**op))
                .map(|(&slot, _)| self.rows[slot as usize])
                .collect();
            self.fetch(database, cell, needed)?;
        }
        Ok(())
    }

    /// Applies the writes to a state. Cannot fail: what it needs to know was fetched.
    pub(super) fn apply(&mut self, writes: &WriteSet) {
        for cell in 0..self.layout.cells.len() {
            let layout = &self.layout.cells[cell];
            let Some(of_state) = layout.state.and_then(|state| writes.of(state)) else { continue };
            let (table, rows) = (&mut self.table, &self.rows);
            match (&of_state.values, layout.ttl) {
                (Column::Words(values), None) => {
                    for ((&slot, &op), &value) in
                        of_state.slots.iter().zip(&of_state.ops).zip(values)
                    {
                        apply::word(table, layout, rows[slot as usize], op, value, of_state);
                    }
                }
                _ => {
                    let event_time = |slot| writes.event_time(slot).unwrap_or(self.now.watermark);
                    for (write, &slot) in of_state.slots.iter().enumerate() {
                        let stamp = layout
                            .ttl
                            .map_or(NO_STAMP, |ttl| ttl::stamp(&ttl, self.now, event_time(slot)));
                        let row = rows[slot as usize];
                        apply::any(table, layout, row, of_state, write, (stamp, self.now));
                    }
                }
            }
        }
    }

    /// Forgets everything, also what RocksDB has not got.
    pub(super) fn clear(&mut self) {
        self.table = Table::new(&self.layout);
        self.rows.clear();
    }

    /// Hands everything that is dirty to RocksDB: as a batch, which RocksDB gathers with others in memory, or, if much
    /// of it is to be in files at once, as a table.
    pub(super) fn flush(&mut self, database: &Database, to: FlushTo) -> Result<(), Error> {
        let dirty = self.dirty_cells();
        if to == FlushTo::Memory || dirty.len() < TABLE_KEYS_MIN {
            let mut batch = WriteBatch::default();
            self.visit(&dirty, |key, change| {
                match change {
                    Change::Put(value) => batch.put(key, value),
                    Change::Merge(value) => batch.merge(key, value),
                    Change::Delete => batch.delete(key),
                }
                Ok(())
            })?;
            if !batch.is_empty() {
                database.write(batch)?;
            }
        } else {
            let mut table = TableWriter::new(database)?;
            self.visit(&dirty, |key, change| table.add(key, change))?;
            table.finish()?;
        }
        self.table.flushed(&self.layout);
        Ok(())
    }

    /// The rows and cells that are dirty, in the order of their keys.
    fn dirty_cells(&self) -> Vec<(u32, u32)> {
        let mut dirty = Vec::with_capacity(self.dirty());
        for &row in self.table.dirty() {
            for (index, cell) in self.layout.cells.iter().enumerate() {
                if cell.state.is_some() && self.table.mark(cell, row) & DIRTY != 0 {
                    dirty.push((row, index as u32));
                }
            }
        }
        self.sort(&mut dirty);
        dirty
    }

    /// Calls with every key that is dirty, and what becomes of it.
    fn visit(
        &self,
        dirty: &[(u32, u32)],
        mut visit: impl FnMut(&[u8], Change<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let (mut key, mut value) = (Vec::new(), Vec::new());
        for &(row, cell) in dirty {
            let layout = &self.layout.cells[cell as usize];
            key.clear();
            self.push_key(&mut key, layout.tag, row);
            let mark = self.table.mark(layout, row);
            if mark & PRESENT == 0 {
                visit(&key, Change::Delete)?;
                continue;
            }
            value.clear();
            let stamp = if layout.ttl.is_some() { self.table.stamp(layout, row) } else { NO_STAMP };
            let stamped = Stamped { value: self.table.value(layout, row), stamp };
            keys::push_value(&mut value, layout.ttl.is_some(), stamped);
            if mark & DELTA != 0 {
                visit(&key, Change::Merge(&value))?;
            } else {
                visit(&key, Change::Put(&value))?;
            }
        }
        Ok(())
    }
}
