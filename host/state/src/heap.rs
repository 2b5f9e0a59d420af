//! The heap backend: state in memory, for as long as the process lives, with snapshots that do not
//! stop it.
//!
//! An invocation works on the whole batch in stages, so that the cache misses of its keys overlap:
//! compute every key's group and row, read all those rows, and only then compare keys. Reads and
//! writes that follow find their rows in the cache and do not hash again.

mod cleaner;
mod collections;
mod entries;
mod group;
mod invocation;
mod part;
mod row;
mod slab;
mod table;

use std::fmt;
use std::path::Path;

use cleaner::Cleaner;
use collections::Point;
use entries::Expired;
use group::{Group, Progress};
use invocation::Invocation;
use row::{Layout, Mark};

use crate::backend::{Backend, DueTimers, Entries, Now, Scan};
use crate::column::Column;
use crate::declaration::{
    self, KeyLayout, StateDeclaration, StateId, StateKind, TimeDomain, TimerDeclaration, TimerId,
};
use crate::error::Error;
use crate::key::{KeyGroup, KeyGroupRange, KeyGroups};
use crate::segment::{Cell, Reader, Record, Schema};
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
    layout: Layout,
    key_groups: KeyGroups,
    range: KeyGroupRange,
    groups: Vec<Group>,
    heads: Heads,
    invocation: Invocation,
    /// For each state, its number among the collections, if it is one.
    collections: Vec<Option<usize>>,
    /// Entries that the invocation's reads found expired.
    expired: Vec<Expired>,
    /// The number of the next list element: above all that were ever given or restored.
    next_element: u64,
    cleaner: Option<Cleaner>,
    /// Begins anew with each snapshot that starts; 0 is what no write of an invocation has.
    version: u32,
    running: Option<Running>,
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
        let mut numbers = 0..;
        let number = |state: &StateDeclaration| {
            if state.kind.is_collection() { numbers.next() } else { None }
        };
        Ok(Self {
            layout: Layout::new(&schema),
            key_groups: groups,
            range,
            groups: range.iter().map(|_| new_group(&schema)).collect(),
            heads: Heads::new(timers.len()),
            invocation: Invocation::new(key.is_words()),
            collections: states.iter().map(number).collect(),
            expired: Vec::new(),
            next_element: 0,
            cleaner: states.iter().any(|state| state.ttl.is_some()).then(Cleaner::default),
            version: 1,
            running: None,
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
        let old = group.timers().first_time(family);
        if group.change_timer(family, timer, set) {
            self.heads.update(family, index, old, group.timers().first_time(family));
        }
    }

    /// The families of a clock that have timers, each with its earliest time.
    fn first_times(&self, domain: TimeDomain) -> impl Iterator<Item = (i64, usize)> {
        let families = self.schema.timers().iter().enumerate();
        families
            .filter(move |(_, timer)| timer.domain == domain)
            .filter_map(|(family, _)| Some((self.heads.first_time(family)?, family)))
    }

    fn restore_record(&mut self, group: KeyGroup, record: &Record<'_>) -> Result<(), Error> {
        let hash = record.key().hash();
        let owner = self.key_groups.group_of(hash);
        if owner != group {
            return Err(Error::Segment {
                group,
                reason: format!(
                    "it holds a key of {owner}; the job was snapshotted with another number of key \
                     groups than {}",
                    self.key_groups.count()
                ),
            });
        }
        let index = u32::from(group.0) - self.range.start;
        match *record {
            Record::Value { state, key, value } => {
                let cell = self.layout.ids.iter().position(|id| *id == state);
                let cell = cell.expect("the reader has compared kinds");
                let group = &mut self.groups[index as usize];
                group.restore_value(&self.layout, hash, key, cell, value);
            }
            Record::Entry { state, key, entry, value } => {
                let collection = self.collections[state.0 as usize];
                let collection = collection.expect("the reader has compared kinds");
                let group = &mut self.groups[index as usize];
                let (entries, mut change) = group.change_collection(collection, 0);
                let point = Point { hash, key, entry };
                match value {
                    Some(value) => entries.set(&mut change, point, value),
                    None => entries.remove(&mut change, point),
                }
                if let (StateKind::List, Cell::Word(number)) =
                    (self.schema.states()[state.0 as usize].kind, entry)
                {
                    self.next_element = self.next_element.max(number.saturating_add(1));
                }
            }
            Record::Timer { timer, key, time, namespace, set } => {
                let timer_id = timer.0 as usize;
                let timer = Timer { time, hash, key: Key::from(key), namespace };
                self.change_timer(index, timer_id, timer, set);
            }
        }
        Ok(())
    }
}

/// How many rows a full segment has at least: as many as its largest state.
fn rows_of(mut reader: Reader<'_>, states: usize) -> Result<usize, Error> {
    let mut rows = vec![0; states];
    while let Some(record) = reader.next()? {
        if let Record::Value { state, .. } = record {
            rows[state.0 as usize] += 1;
        }
    }
    Ok(rows.into_iter().max().unwrap_or(0))
}

impl Backend for HeapBackend {
    fn begin(&mut self, keys: &Column, hashes: &[u64], now: Now) -> Result<(), Error> {
        if self.cleaner.is_some() {
            self.remove_expired();
        }
        let (groups, layout) = (&self.groups, &self.layout);
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
        let cell = self.layout.ids.iter().position(|id| *id == state);
        let cell = cell.expect("what is no collection has a column");
        self.invocation.load(&self.groups, &self.layout, cell, window);
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
        self.invocation.commit(writes, &mut self.groups, &self.layout, self.version);
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
                group.compact(&self.layout, self.version);
            }
        }
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
        let group = |index: u32| self.groups[index as usize].timers();
        Some(self.heads.due(family, group, until, limit, self.layout.key_words))
    }

    fn start_snapshot(&mut self, epoch: u64, full: bool) -> Result<(), Error> {
        if let Some(running) = &self.running {
            return Err(Error::SnapshotRunning { epoch, running: running.epoch });
        }
        for group in &mut self.groups {
            group.start(&self.schema, self.version, full, self.invocation.now());
        }
        self.version = Mark::next_version(self.version);
        self.running = Some(Running { epoch, next_group: 0, segments: Vec::new() });
        Ok(())
    }

    fn advance_snapshot(&mut self, entries: usize) -> Result<Option<Snapshot>, Error> {
        let Some(running) = &mut self.running else { return Ok(None) };
        let mut budget = entries.max(1);
        while let Some(group) = self.groups.get_mut(running.next_group) {
            let id = KeyGroup((self.range.start as usize + running.next_group) as u16);
            match group.advance(&self.layout, self.version, id, &mut budget) {
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
        if !self.range.contains(group) {
            return Err(Error::Segment {
                group,
                reason: format!(
                    "this task owns key groups {}..{}",
                    self.range.start, self.range.end
                ),
            });
        }
        self.running = None;
        self.groups.iter_mut().filter(|group| group.is_in_snapshot()).for_each(Group::abandon);
        self.invocation.end();
        let index = (u32::from(group.0) - self.range.start) as usize;
        if full {
            for family in 0..self.schema.timers().len() {
                let old = self.groups[index].timers().first_time(family);
                self.heads.update(family, index as u32, old, None);
            }
            self.groups[index] = new_group(&self.schema);
        }
        self.groups[index].start_restore();
        let schema = self.schema.clone();
        if full {
            let rows = rows_of(Reader::open(group, segment, &schema)?, schema.states().len())?;
            self.groups[index].table.make_room(&self.layout, rows);
        }
        let mut reader = Reader::open(group, segment, &schema)?;
        while let Some(record) = reader.next()? {
            self.restore_record(group, &record)?;
        }
        self.groups[index].end_restore(full, segment.len());
        Ok(())
    }

    fn restore_tables(&mut self, directory: &Path) -> Result<(), Error> {
        self.abandon_snapshot();
        self.invocation.end();
        let (schema, key_groups, range) = (self.schema.clone(), self.key_groups, self.range);
        let mut restore = |group, record: &Record<'_>| self.restore_record(group, record);
        crate::rocks::read_tables(directory, &schema, key_groups, range, &mut restore)?;
        self.groups.iter_mut().for_each(Group::follow_tables);
        Ok(())
    }

    fn entries(&self) -> u64 {
        self.groups.iter().map(|group| group.entries() as u64).sum()
    }

    fn declared(&self) -> (&[StateDeclaration], &[TimerDeclaration]) {
        (self.schema.states(), self.schema.timers())
    }

    fn values(&self, _state: StateId) -> u64 {
        unimplemented!()
    }
}

fn new_group(schema: &Schema) -> Group {
    let states = (0..).zip(schema.states()).filter(|(_, state)| state.kind.is_collection());
    let stores = states.map(|(id, state)| collections::store(StateId(id), state));
    Group::new(stores.collect(), schema.timers().len())
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
