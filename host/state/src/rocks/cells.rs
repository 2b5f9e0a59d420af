//! States with one value a key: caches in front of RocksDB, and what goes between the two.
//!
//! Whatever an invocation reads that is not in a cache is fetched by one sorted batch of look-ups; that there is no
//! value is remembered too. Writes stay in the cache until they are half of it, or a snapshot starts, and then go to
//! RocksDB in order, all at once. Merges into a value that nobody has read are gathered, and go there as merges.
//!
//! The rows of a cache cannot change their layout. States that are added later get a cache of their own, and share the
//! room with those before; a cache that no state needs any more goes. So an operator that was never replaced has one.

mod apply;
mod moving;
mod set;

use super::cache::Layout;
use super::database::Database;
use super::free;
use crate::backend::Now;
use crate::column::Column;
use crate::declaration::{KeyLayout, StateDeclaration, StateId};
use crate::error::Error;
use crate::key::KeyGroups;
use crate::window::Window;
use crate::writes::WriteSet;

pub(super) use moving::{Cached, DirtyFrom};
use set::CellSet;
pub(super) use set::FlushTo;

/// A set, and a cell of its rows.
type Place = (usize, usize);

/// The cells of all states that have one value a key.
#[derive(Debug)]
pub(super) struct Cells {
    key: KeyLayout,
    key_groups: KeyGroups,
    /// What all caches together may take.
    capacity_bytes: usize,
    sets: Vec<CellSet>,
    /// Where the cells of each state are.
    places: Vec<Option<Place>>,
}

impl Cells {
    pub(super) fn new(key: KeyLayout, key_groups: KeyGroups, capacity_bytes: u64) -> Self {
        let capacity_bytes = usize::try_from(capacity_bytes).unwrap_or(usize::MAX);
        Self { key, key_groups, capacity_bytes, sets: Vec::new(), places: Vec::new() }
    }

    /// From now on serves these states, by their tags: those that it has already keep their cells. Ends the invocation.
    pub(super) fn serve(&mut self, states: &[StateDeclaration], tags: &[u16]) {
        for cell in self.sets.iter_mut().flat_map(|set| &mut set.layout.cells) {
            let id = tags.iter().position(|tag| *tag == cell.tag);
            cell.state = id.map(|id| StateId(id as u32));
            if let Some(id) = id {
                cell.ttl = states[id].ttl;
            }
        }
        let has = |tag: u16| {
            self.sets.iter().any(|set| set.layout.cells.iter().any(|cell| cell.tag == tag))
        };
        let ids = (0..).map(StateId);
        let new: Vec<_> = ids
            .zip(states.iter().zip(tags))
            .filter(|(_, (state, tag))| state.kind.is_cell() && !has(**tag))
            .map(|(id, (state, &tag))| (id, tag, state))
            .collect();
        if !new.is_empty() {
            self.sets.push(CellSet::new(Layout::new(self.key, &new), self.key_groups));
        }
        let is_gone = |set: &mut CellSet| set.layout.cells.iter().all(|cell| cell.state.is_none());
        let gone: Vec<_> = self.sets.extract_if(.., is_gone).collect();
        if !gone.is_empty() {
            free::later(gone);
        }
        self.places = vec![None; states.len()];
        for (index, set) in self.sets.iter_mut().enumerate() {
            set.rows.clear();
            for (cell, layout) in set.layout.cells.iter().enumerate() {
                if let Some(state) = layout.state {
                    self.places[state.0 as usize] = Some((index, cell));
                }
            }
        }
    }

    /// Where the cells of a state are, if it has one value a key.
    pub(super) fn place_of(&self, state: StateId) -> Option<Place> {
        *self.places.get(state.0 as usize)?
    }

    /// Forgets everything, also what RocksDB has not got.
    pub(super) fn clear(&mut self) {
        for set in &mut self.sets {
            set.clear();
        }
    }

    /// Keys whose values RocksDB has not got yet.
    pub(super) fn dirty(&self) -> usize {
        self.sets.iter().map(CellSet::dirty).sum()
    }

    pub(super) fn used_bytes(&self) -> usize {
        self.sets.iter().map(|set| set.table.used_bytes()).sum()
    }

    /// Finds the keys of an invocation, after making room for them.
    pub(super) fn begin(
        &mut self,
        database: &Database,
        keys: &Column,
        hashes: &[u64],
        now: Now,
    ) -> Result<(), Error> {
        self.end();
        let row_bytes: usize = self.sets.iter().map(|set| set.table.row_bytes()).sum();
        let wanted = hashes.len() * row_bytes;
        let dirty_bytes: usize = self.sets.iter().map(|set| set.table.dirty_bytes()).sum();
        if dirty_bytes >= self.capacity_bytes / 2 {
            self.flush(database, FlushTo::Memory)?;
        }
        if self.used_bytes() + wanted > self.capacity_bytes {
            // Somewhat more than is needed, so that not every invocation comes here.
            let target = (self.capacity_bytes - self.capacity_bytes / 16).saturating_sub(wanted);
            self.evict(target);
            if self.used_bytes() + wanted > self.capacity_bytes && self.dirty() > 0 {
                self.flush(database, FlushTo::Memory)?;
                self.evict(target);
            }
        }
        for set in &mut self.sets {
            set.begin(keys, hashes, now);
        }
        Ok(())
    }

    /// Throws out rows that are not dirty, of the largest caches first, until that many bytes are left, or nothing can
    /// be thrown out.
    fn evict(&mut self, target_bytes: usize) {
        let mut order: Vec<usize> = (0..self.sets.len()).collect();
        order.sort_unstable_by_key(|&set| std::cmp::Reverse(self.sets[set].table.used_bytes()));
        for index in order {
            let all = self.used_bytes();
            if all <= target_bytes {
                break;
            }
            let set = &mut self.sets[index];
            let others = all - set.table.used_bytes();
            set.table.evict(&set.layout, target_bytes.saturating_sub(others));
        }
    }

    pub(super) fn end(&mut self) {
        self.sets.iter_mut().for_each(|set| set.rows.clear());
    }

    /// Fills a window.
    pub(super) fn load(
        &mut self,
        database: &Database,
        (set, cell): Place,
        window: &mut Window,
    ) -> Result<(), Error> {
        self.sets[set].load(database, cell, window)
    }

    /// Fetches what a write set needs to know before it is applied.
    pub(super) fn prepare(&mut self, database: &Database, writes: &WriteSet) -> Result<(), Error> {
        self.sets.iter_mut().try_for_each(|set| set.prepare(database, writes))
    }

    /// Applies the writes to a state. Cannot fail: what it needs to know was fetched.
    pub(super) fn apply(&mut self, writes: &WriteSet) {
        self.sets.iter_mut().for_each(|set| set.apply(writes));
    }

    /// Hands everything that is dirty to RocksDB.
    pub(super) fn flush(&mut self, database: &Database, to: FlushTo) -> Result<(), Error> {
        self.sets.iter_mut().try_for_each(|set| set.flush(database, to))
    }
}
