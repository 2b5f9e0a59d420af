//! The heap backend: state in memory, for as long as the process lives, with snapshots that do not
//! stop it.
//!
//! An invocation works on the whole batch in stages, so that the cache misses of its keys overlap:
//! compute every key's group and row, read all those rows, and only then compare keys. Reads and
//! writes that follow find their rows in the cache and do not hash again.

mod change;
mod cleaner;
mod collections;
mod copy;
mod doomed;
mod entries;
mod evolve;
mod group;
mod hold;
mod invocation;
mod migrate;
mod restore;
mod row;
mod sheet;
mod slab;
mod table;
mod values;

use std::fmt;
use std::path::Path;

use cleaner::Cleaner;
use collections::Entries as Store;
use doomed::Doomed;
use entries::Expired;
use evolve::Sweeper;
use group::{Group, Progress};
use hold::Held;
use invocation::Invocation;
use migrate::Cursor;
use row::{Layout, Mark};

use crate::backend::{Backend, DueTimers, Entries, Now, Scan};
use crate::column::Column;
use crate::declaration::{
    self, KeyLayout, StateDeclaration, StateId, TimeDomain, TimerDeclaration, TimerId,
};
use crate::error::Error;
use crate::evolve::{Convert, Move, Moved, Which};
use crate::key::{KeyGroup, KeyGroupRange, KeyGroups};
use crate::segment::Schema;
use crate::snapshot::{Segment, Snapshot};
use crate::timers::{Heads, Key, Timer};
use crate::window::Window;
use crate::writes::WriteSet;

/// Keyed state and timers in memory.
///
/// Serves every kind of state. A snapshot copies a value or an entry only if it is written while the snapshot still
/// needs it; after the first snapshot of a group, the next ones hold its changes, until those outgrow it.
pub struct HeapBackend {
    schema: Schema,
    /// How the sheets of the groups are laid out.
    layouts: Vec<Layout>,
    /// For each state, where its values or entries are.
    homes: Vec<Home>,
    key_groups: KeyGroups,
    range: KeyGroupRange,
    groups: Vec<Group>,
    heads: Heads,
    invocation: Invocation,
    /// Entries that the invocation's reads found expired.
    expired: Vec<Expired>,
    /// The number of the next list element: above all that were ever given or restored.
    next_element: u64,
    cleaner: Option<Cleaner>,
    /// Begins anew with each snapshot that starts; 0 is what no write of an invocation has.
    version: u32,
    /// Whether something may have been written in this version.
    written: bool,
    running: Option<Running>,
    /// Where values are moved on from.
    cursor: Option<Cursor>,
    sweeper: Option<Sweeper>,
    doomed: Doomed,
    held: Option<Box<Held>>,
    undo_bytes_max: usize,
}

/// Where the values or entries of a state are in each group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Home {
    /// In a column of a sheet.
    Column {
        /// The sheet, of which 0 is the first.
        sheet: usize,
        /// The column in its layout.
        column: usize,
    },
    /// In a store.
    Store(usize),
}

/// The snapshot under way.
struct Running {
    epoch: u64,
    next_group: usize,
    segments: Vec<Segment>,
}

impl fmt::Debug for HeapBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeapBackend")
            .field("range", &self.range)
            .field("entries", &self.entries())
            .finish_non_exhaustive()
    }
}

impl HeapBackend {
    /// An empty backend for these declarations and groups.
    ///
    /// # Errors
    /// If a state is of a kind that it cannot serve, or a name is declared twice, or the range has
    /// groups that the job has not.
    pub fn new(
        key: KeyLayout,
        states: &[StateDeclaration],
        timers: &[TimerDeclaration],
        groups: KeyGroups,
        range: KeyGroupRange,
    ) -> Result<Self, Error> {
        declaration::check_all(states, timers)?;
        if range.start > range.end || range.end > groups.count() {
            return Err(Error::Access {
                reason: format!(
                    "key groups {}..{} are not among the job's {}",
                    range.start,
                    range.end,
                    groups.count()
                ),
            });
        }
        let schema = Schema::new(key, states, timers);
        let cells = (0..).map(StateId).zip(states).filter(|(_, state)| state.kind.is_cell());
        let (mut column, mut store) = (0, 0);
        let mut home = |state: &StateDeclaration| {
            if state.kind.is_cell() {
                column += 1;
                return Home::Column { sheet: 0, column: column - 1 };
            }
            store += 1;
            Home::Store(store - 1)
        };
        Ok(Self {
            layouts: vec![Layout::new(key, &cells.collect::<Vec<_>>())],
            homes: states.iter().map(&mut home).collect(),
            key_groups: groups,
            range,
            groups: range.iter().map(|_| Group::new(1, stores(&schema), timers.len())).collect(),
            heads: Heads::new(timers.len()),
            invocation: Invocation::new(key.is_words()),
            expired: Vec::new(),
            next_element: 0,
            cleaner: Cleaner::new(states),
            version: 1,
            written: false,
            running: None,
            cursor: None,
            sweeper: None,
            doomed: Doomed::default(),
            held: None,
            undo_bytes_max: hold::UNDO_BYTES_MAX,
            schema,
        })
    }

    /// Bytes of memory held by keys, values and entries, spare room included, and that of trees estimated; timers are
    /// not counted.
    pub fn allocated_bytes(&self) -> usize {
        self.groups.iter().map(Group::allocated_bytes).sum()
    }

    fn declared(&self, state: StateId) -> Result<&StateDeclaration, Error> {
        self.schema.states().get(state.0 as usize).ok_or_else(|| Error::Access {
            reason: format!("there is no state number {}", state.0),
        })
    }

    fn change_timer(&mut self, index: u32, family: usize, timer: Timer, set: bool) {
        let group = &mut self.groups[index as usize];
        let old = group.timers.first_time(family);
        if group.change_timer(family, timer, set) {
            self.heads.update(family, index, old, group.timers.first_time(family));
        }
    }

    /// The families of a clock that have timers, each with its earliest time.
    fn first_times(&self, domain: TimeDomain) -> impl Iterator<Item = (i64, usize)> {
        let families = self.schema.timers().iter().enumerate();
        families
            .filter(move |(_, timer)| timer.domain == domain)
            .filter_map(|(family, _)| Some((self.heads.first_time(family)?, family)))
    }

    /// How many values, entries and timers a group has.
    fn entries_of(&self, group: &Group) -> usize {
        let of_states: usize = self.homes.iter().map(|home| values_in(group, *home)).sum();
        of_states + group.timers.len_of(self.schema.timers().len())
    }
}

/// How many values or entries a state has in a group.
fn values_in(group: &Group, home: Home) -> usize {
    match home {
        Home::Column { sheet, column } => group.sheets.get(sheet).table.values(column),
        Home::Store(store) => group.stores[store].len(),
    }
}

impl Backend for HeapBackend {
    fn begin(&mut self, keys: &Column, hashes: &[u64], now: Now) -> Result<(), Error> {
        if self.cleaner.is_some() {
            self.remove_expired();
        }
        let (groups, layout) = (&self.groups, &self.layouts[0]);
        let keys = (keys, hashes);
        self.invocation.begin(keys, now, self.key_groups, self.range, groups, layout)
    }

    fn load(&mut self, state: StateId, window: &mut Window) -> Result<(), Error> {
        let declared = self.declared(state)?;
        if declared.kind.is_collection() {
            return Err(Error::Access {
                reason: format!(
                    "state `{}` is of kind {:?}, which has no one value; load its entries",
                    declared.name, declared.kind
                ),
            });
        }
        if declared.value.is_words() != window.values.is_words() {
            return Err(wrong_window(declared));
        }
        let Home::Column { sheet, column } = self.homes[state.0 as usize] else {
            unreachable!("what is no collection has a column")
        };
        self.invocation.load(&self.groups, &self.layouts, (sheet, column), window);
        Ok(())
    }

    fn load_entries(
        &mut self,
        state: StateId,
        slots: &[u32],
        keys: &Column,
        window: &mut Window,
    ) -> Result<(), Error> {
        self.read_entries(state, slots, keys, window)
    }

    fn scan(
        &mut self,
        state: StateId,
        scan: &Scan<'_>,
        entries: &mut Entries,
    ) -> Result<bool, Error> {
        self.read_range(state, scan, entries)
    }

    fn commit(&mut self, writes: &WriteSet) -> Result<(), Error> {
        self.written = true;
        self.invocation.commit(writes, &mut self.groups, &self.layouts, self.version);
        self.write_entries(writes);
        for change in writes.timers() {
            let (index, hash, key) = self.invocation.key(change.slot as usize);
            let (key, namespace) = (Key::from(key), change.namespace);
            let timer = Timer { time: change.time, hash, key, namespace };
            self.change_timer(index, change.timer.0 as usize, timer, change.set);
        }
        if self.cleaner.is_some() {
            self.remove_expired();
            self.clean();
        }
        if self.invocation.end() {
            for group in &mut self.groups {
                group.compact(&self.layouts, self.version);
            }
        }
        self.tidy_in_passing();
        Ok(())
    }

    fn next_timer(&self, domain: TimeDomain) -> Option<i64> {
        self.first_times(domain).map(|(time, _)| time).min()
    }

    fn has_timers(&self, timer: TimerId) -> bool {
        self.heads.first_time(timer.0 as usize).is_some()
    }

    fn due_timers(&mut self, domain: TimeDomain, until: i64, limit: usize) -> Option<DueTimers> {
        let (time, family) = self.first_times(domain).min()?;
        if time > until || limit == 0 {
            return None;
        }
        let group = |index: u32| &self.groups[index as usize].timers;
        Some(self.heads.due(family, group, until, limit, self.layouts[0].key_words))
    }

    fn start_snapshot(&mut self, epoch: u64, full: bool) -> Result<(), Error> {
        if let Some(running) = &self.running {
            return Err(Error::SnapshotRunning { epoch, running: running.epoch });
        }
        self.release();
        for index in 0..self.groups.len() {
            let is_empty = self.entries_of(&self.groups[index]) == 0;
            let (version, now) = (self.version, self.invocation.now());
            self.groups[index].start(&self.schema, version, full, now, is_empty);
        }
        self.written = false;
        self.version = Mark::next_version(self.version);
        self.running = Some(Running { epoch, next_group: 0, segments: Vec::new() });
        Ok(())
    }

    fn advance_snapshot(&mut self, entries: usize) -> Result<Option<Snapshot>, Error> {
        let Some(running) = &mut self.running else { return Ok(None) };
        let mut budget = entries.max(1);
        while let Some(group) = self.groups.get_mut(running.next_group) {
            let id = KeyGroup((self.range.start as usize + running.next_group) as u16);
            match group.advance(&self.layouts, self.version, id, &mut budget) {
                Progress::Paused => return Ok(None),
                Progress::Done(segment) => running.segments.extend(segment),
            }
            running.next_group += 1;
        }
        let finished = self.running.take();
        Ok(finished.map(|Running { epoch, segments, .. }| Snapshot {
            epoch,
            segments,
            tables: None,
        }))
    }

    fn take_segments(&mut self) -> Vec<Segment> {
        self.running
            .as_mut()
            .map(|running| std::mem::take(&mut running.segments))
            .unwrap_or_default()
    }

    fn abandon_snapshot(&mut self) {
        self.running = None;
        for group in &mut self.groups {
            group.abandon();
        }
    }

    fn drop_unclaimed(&mut self) {
        self.schema.drop_unclaimed();
    }

    fn restore(&mut self, group: KeyGroup, full: bool, segment: &[u8]) -> Result<(), Error> {
        self.restore_segment(group, full, segment)
    }

    fn restore_tables(&mut self, directory: &Path) -> Result<(), Error> {
        self.restore_directory(directory)
    }

    fn entries(&self) -> u64 {
        self.groups.iter().map(|group| self.entries_of(group) as u64).sum()
    }

    fn declared(&self) -> (&[StateDeclaration], &[TimerDeclaration]) {
        (self.schema.states(), self.schema.timers())
    }

    fn values(&self, state: StateId) -> u64 {
        let Some(home) = self.homes.get(state.0 as usize) else { return 0 };
        self.groups.iter().map(|group| values_in(group, *home) as u64).sum()
    }

    fn evolve(
        &mut self,
        states: &[StateDeclaration],
        timers: &[TimerDeclaration],
    ) -> Result<(), Error> {
        self.change_declarations(states, timers)
    }

    fn migrate(
        &mut self,
        values: Move,
        which: Which,
        convert: &mut Convert<'_>,
    ) -> Result<Moved, Error> {
        self.move_values(values, which, convert)
    }

    fn hold(&mut self) {
        self.start_hold();
    }

    fn release(&mut self) {
        self.end_hold();
    }

    fn revert(&mut self) -> Result<bool, Error> {
        self.go_back()
    }

    fn copy_keys(&mut self, keys: &Column, hashes: &[u64]) -> Result<Vec<Segment>, Error> {
        self.copy(keys, hashes)
    }
}

/// Empty stores for the collection states of a schema.
fn stores(schema: &Schema) -> Vec<Box<dyn Store>> {
    let states = (0..).map(StateId).zip(schema.states());
    let collections = states.filter(|(_, state)| state.kind.is_collection());
    collections.map(|(id, state)| collections::store(id, state)).collect()
}

fn wrong_window(state: &StateDeclaration) -> Error {
    Error::Access {
        reason: format!(
            "state `{}` holds {:?}, and the window is made for another layout",
            state.name, state.value
        ),
    }
}

#[cfg(test)]
mod tests;
