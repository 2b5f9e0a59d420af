//! The heap backend: state in memory, for as long as the process lives, with snapshots that do not
//! stop it.
//!
//! An invocation works on the whole batch in stages, so that the cache misses of its keys overlap:
//! compute every key's group and row, read all those rows, and only then compare keys. Reads and
//! writes that follow find their rows in the cache and do not hash again.

mod group;
mod invocation;
mod row;
mod slab;
mod table;

use std::fmt;
use std::path::Path;

use group::{Group, Progress};
use invocation::Invocation;
use row::{Layout, Mark};

use crate::backend::{Backend, DueTimers, Entries, Now, Scan};
use crate::column::Column;
use crate::declaration::{
    KeyLayout, StateDeclaration, StateId, StateKind, TimeDomain, TimerDeclaration,
};
use crate::error::Error;
use crate::key::{KeyGroup, KeyGroupRange, KeyGroups};
use crate::segment::{Reader, Record, Schema};
use crate::snapshot::{Segment, Snapshot};
use crate::timers::{Heads, Key, Timer};
use crate::window::Window;
use crate::writes::WriteSet;

/// Keyed state and timers in memory.
///
/// Serves value states without time-to-live. A snapshot copies a value only if it is written while
/// the snapshot still needs it; after the first snapshot of a group, the next ones hold its
/// changes, until those outgrow it.
pub struct HeapBackend {
    schema: Schema,
    layout: Layout,
    key_groups: KeyGroups,
    range: KeyGroupRange,
    groups: Vec<Group>,
    heads: Heads,
    invocation: Invocation,
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
        check_declarations(states, timers)?;
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
        Ok(Self {
            schema: Schema::new(key, states, timers),
            layout: Layout::new(key, states),
            key_groups: groups,
            range,
            groups: range.iter().map(|_| Group::new(timers.len())).collect(),
            heads: Heads::new(timers.len()),
            invocation: Invocation::new(key.is_words()),
            version: 1,
            running: None,
        })
    }

    /// Bytes of memory held by keys and values, spare room included; timers are not counted.
    pub fn allocated_bytes(&self) -> usize {
        self.groups.iter().map(Group::allocated_bytes).sum()
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
                let group = &mut self.groups[index as usize];
                let value = value.map(|value| value.value);
                group.restore_value(&self.layout, hash, key, state.0 as usize, value);
            }
            Record::Entry { .. } => unreachable!("no state is a collection"),
            Record::Timer { timer, key, time, namespace, set } => {
                let timer_id = timer.0 as usize;
                let timer = Timer { time, hash, key: Key::from(key), namespace };
                self.change_timer(index, timer_id, timer, set);
            }
        }
        Ok(())
    }
}

impl Backend for HeapBackend {
    fn begin(&mut self, keys: &Column, hashes: &[u64], _now: Now) -> Result<(), Error> {
        let (groups, layout) = (&self.groups, &self.layout);
        self.invocation.begin(keys, hashes, self.key_groups, self.range, groups, layout)
    }

    fn load(&mut self, state: StateId, window: &mut Window) -> Result<(), Error> {
        let Some(declared) = self.schema.states().get(state.0 as usize) else {
            return Err(Error::Access { reason: format!("there is no state number {}", state.0) });
        };
        if declared.value.is_words() != window.values.is_words() {
            return Err(Error::Access {
                reason: format!(
                    "state `{}` holds {:?}, and the window is made for another layout",
                    declared.name, declared.value
                ),
            });
        }
        self.invocation.load(&self.groups, &self.layout, state.0 as usize, window);
        Ok(())
    }

    fn load_entries(
        &mut self,
        state: StateId,
        _slots: &[u32],
        _keys: &Column,
        _window: &mut Window,
    ) -> Result<(), Error> {
        Err(Error::Access { reason: format!("state {} is no collection", state.0) })
    }

    fn scan(
        &mut self,
        state: StateId,
        _scan: &Scan<'_>,
        _entries: &mut Entries,
    ) -> Result<bool, Error> {
        Err(Error::Access { reason: format!("state {} is no collection", state.0) })
    }

    fn commit(&mut self, writes: &WriteSet) -> Result<(), Error> {
        self.invocation.commit(writes, &mut self.groups, &self.layout, self.version);
        for change in writes.timers() {
            let (index, hash, key) = self.invocation.key(change.slot as usize);
            let (key, namespace) = (Key::from(key), change.namespace);
            let timer = Timer { time: change.time, hash, key, namespace };
            self.change_timer(index, change.timer.0 as usize, timer, change.set);
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
            group.start(&self.schema, self.version, full);
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

    fn abandon_snapshot(&mut self) {
        self.running = None;
        for group in &mut self.groups {
            group.abandon();
        }
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
        self.abandon_snapshot();
        self.invocation.end();
        let index = u32::from(group.0) - self.range.start;
        let families = self.schema.timers().len();
        if full {
            for family in 0..families {
                let old = self.groups[index as usize].timers().first_time(family);
                self.heads.update(family, index, old, None);
            }
        }
        self.groups[index as usize].start_restore(full);
        let schema = self.schema.clone();
        let mut reader = Reader::open(group, segment, &schema)?;
        while let Some(record) = reader.next()? {
            self.restore_record(group, &record)?;
        }
        Ok(())
    }

    fn restore_tables(&mut self, directory: &Path) -> Result<(), Error> {
        let reason = format!("the heap backend cannot read tables ({})", directory.display());
        Err(Error::Access { reason })
    }

    fn entries(&self) -> u64 {
        self.groups.iter().map(|group| group.entries() as u64).sum()
    }
}

fn check_declarations(
    states: &[StateDeclaration],
    timers: &[TimerDeclaration],
) -> Result<(), Error> {
    for (index, state) in states.iter().enumerate() {
        let reason = if state.kind != StateKind::Value {
            format!("it is of kind {:?}, and the heap backend serves value states", state.kind)
        } else if state.ttl.is_some() {
            "it has a time-to-live, and the heap backend serves states without one".to_owned()
        } else if states[..index].iter().any(|other| other.name == state.name) {
            "it is declared twice; give each state a name of its own".to_owned()
        } else {
            continue;
        };
        return Err(Error::Declaration { state: state.name.clone(), reason });
    }
    for (index, timer) in timers.iter().enumerate() {
        if timers[..index].iter().any(|other| other.name == timer.name) {
            return Err(Error::Timers {
                timer: timer.name.clone(),
                reason: "they are declared twice; give each family a name of its own".to_owned(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
