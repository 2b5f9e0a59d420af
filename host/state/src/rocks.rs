//! The RocksDB backend: state on disk, larger than memory, with snapshots that are links to files.
//!
//! Values of one a key pass through a write-behind cache of decoded entries ([`cells`]); entries of lists and maps go
//! to RocksDB when an invocation commits, with no decoded cache in front ([`collections`]); timers are kept in memory
//! and in RocksDB ([`timers`]). RocksDB keeps no log: the checkpoint is the log, and what a process that died left in
//! its directory is worth nothing.
//!
//! # Layout
//!
//! A task has a directory of its own. `db-<n>` in it is the database, of which [`keys`] documents the entries and
//! [`catalog`] the one that describes them; `snapshot-<epoch>-<n>` are snapshots under way to where they are kept.
//!
//! # Swaps
//!
//! [`evolve`] changes what is served while the backend runs, and finds back to a snapshot that was just started;
//! [`migrate`] moves values from a state's older form to its new one, and [`count`] says how many are left.
//!
//! # Failures
//!
//! A commit that fails has changed nothing. Values that could not be flushed stay in the cache. A task whose storage
//! fails is restarted from a checkpoint by its job, elsewhere if need be.

mod access;
mod cache;
mod catalog;
mod cells;
mod collections;
mod copy;
mod count;
mod database;
mod evolve;
mod files;
mod free;
mod keys;
mod migrate;
mod options;
mod restore;
mod slab;
mod tables;
mod tagged;
mod timers;
mod walk;

use std::collections::HashSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rocksdb::WriteBatch;

use catalog::{Catalog, Tags};
use cells::{Cells, FlushTo};
use collections::{Collection, Invocation};
use database::{Clock, Database, file_error};
use evolve::Held;
use migrate::Sweep;
use timers::Timers;

pub use options::{CompactionStyle, Compression, RocksOptions, RocksResources};
pub use tables::read_tables;

use crate::backend::{Backend, DueTimers, Entries, Now, Scan};
use crate::column::Column;
use crate::declaration::{
    self, KeyLayout, StateDeclaration, StateId, TimeDomain, TimerDeclaration, TimerId,
};
use crate::error::Error;
use crate::evolve::{Convert, Move, Moved, Which};
use crate::key::{KeyGroup, KeyGroupRange, KeyGroups};
use crate::segment::Schema;
use crate::snapshot::{Segment, Snapshot, Tables};
use crate::timers::{Key, Timer};
use crate::window::Window;
use crate::writes::WriteSet;

/// Keyed state and timers in RocksDB. See the [module](self).
pub struct RocksBackend {
    schema: Schema,
    key_groups: KeyGroups,
    range: KeyGroupRange,
    directory: PathBuf,
    resources: RocksResources,
    clock: Arc<Clock>,
    database: Database,
    catalog: Catalog,
    tags: Tags,
    cells: Cells,
    collections: Vec<Option<Collection>>,
    timers: Timers,
    invocation: Invocation,
    running: Option<Snapshot>,
    /// Whether nothing was committed yet, and no tables restored.
    empty: bool,
    /// Groups that segments were restored to.
    restored: HashSet<KeyGroup>,
    /// Tags of states and timers that were removed, and of which RocksDB still has what there was.
    dropped: Vec<u16>,
    sweeps: Vec<Sweep>,
    held: Option<Held>,
    /// Whether all is as it was when the last snapshot was started.
    unchanged: bool,
}

impl fmt::Debug for RocksBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RocksBackend")
            .field("directory", &self.directory)
            .field("range", &self.range)
            .finish_non_exhaustive()
    }
}

impl RocksBackend {
    /// An empty backend for these declarations and groups, in a directory of its own, which is made if it is not
    /// there. A database that a process left there when it died is removed.
    ///
    /// # Errors
    /// If parts of a declaration do not go together, or a name is declared twice, or the range has groups that the job
    /// has not, or the directory is in use or cannot be written.
    pub fn open(
        directory: &Path,
        resources: &RocksResources,
        key: KeyLayout,
        (states, timers): (&[StateDeclaration], &[TimerDeclaration]),
        (key_groups, range): (KeyGroups, KeyGroupRange),
    ) -> Result<Self, Error> {
        check(states, timers, key_groups, range)?;
        fs::create_dir_all(directory)
            .map_err(|error| file_error(directory, "make the directory", &error))?;
        files::remove_databases(directory)?;
        let schema = Schema::new(key, states, timers);
        let catalog = Catalog::new(&schema, key_groups, range)?;
        let clock = Arc::new(Clock::new());
        let path = files::vacant(directory, "db-");
        let database = Database::open(&path, resources, catalog.tagged(), &clock)?;
        let mut backend = Self {
            cells: Cells::new(key, key_groups, resources.options().write_behind_cache),
            collections: Vec::new(),
            timers: Timers::new(range.start, range.len(), key.is_words()),
            invocation: Invocation::new(key.is_words()),
            schema,
            key_groups,
            range,
            directory: directory.to_owned(),
            resources: resources.clone(),
            clock,
            database,
            catalog,
            tags: Tags::default(),
            running: None,
            empty: true,
            restored: HashSet::new(),
            dropped: Vec::new(),
            sweeps: Vec::new(),
            held: None,
            unchanged: false,
        };
        let adopted = [];
        backend.start(&adopted)?;
        backend.timers.serve(timers, &backend.tags.timers);
        Ok(backend)
    }

    /// Sets up what depends on the tags, after the database and its catalog are there. Table files that are there
    /// already are those of another database.
    fn start(&mut self, adopted: &[u64]) -> Result<(), Error> {
        self.follow_schema();
        self.catalog.range = self.range;
        self.catalog.move_to(&self.database, adopted)?;
        let mut batch = WriteBatch::default();
        self.catalog.write_into(&mut batch);
        self.database.write(batch)
    }

    /// One of RocksDB's numbers about this task's database, such as `rocksdb.estimate-live-data-size`.
    pub fn property(&self, name: &str) -> u64 {
        self.database.property(name)
    }

    /// What RocksDB counted, if its statistics are on.
    pub fn statistics(&self) -> Option<String> {
        self.database.options().get_statistics()
    }

    /// Has RocksDB put all tables together now, which also cleans up what has expired.
    ///
    /// # Errors
    /// If storage fails.
    pub fn compact(&mut self) -> Result<(), Error> {
        self.flush()?;
        let flushed = self.database.db().flush();
        flushed.map_err(|error| self.database.error("flush", &error))?;
        self.database.db().compact_range(None::<&[u8]>, None::<&[u8]>);
        Ok(())
    }

    /// Hands all that RocksDB has not got yet to it. There is no way back before that.
    fn flush(&mut self) -> Result<(), Error> {
        self.forget();
        self.cells.flush(&self.database, FlushTo::Files)?;
        let live = self.database.db().live_files();
        let live = live.map_err(|error| self.database.error("list the tables", &error))?;
        let live: HashSet<u64> = live.iter().filter_map(|file| files::number(&file.name)).collect();
        self.catalog.retain(|number| live.contains(&number));
        let mut batch = WriteBatch::default();
        self.timers.flush_into(&mut batch);
        self.catalog.write_into(&mut batch);
        for (group, &tag) in self.range.iter().flat_map(|group| {
            let dropped = &self.dropped;
            dropped.iter().map(move |tag| (group, tag))
        }) {
            let (mut from, mut to) = (Vec::new(), Vec::new());
            keys::push_head(&mut from, group.0, tag);
            keys::push_head(&mut to, group.0, tag + 1);
            batch.delete_range(from, to);
        }
        self.database.write(batch)?;
        self.dropped.clear();
        self.timers.flushed();
        Ok(())
    }
}

impl Backend for RocksBackend {
    fn begin(&mut self, keys: &Column, hashes: &[u64], now: Now) -> Result<(), Error> {
        self.invocation.clear();
        self.cells.end();
        self.check_keys(keys, hashes)?;
        self.clock.set(now);
        self.cells.begin(&self.database, keys, hashes, now)?;
        self.invocation.now = now;
        self.invocation.keys.extend_from_range(keys, 0, keys.len());
        self.invocation.hashes.extend_from_slice(hashes);
        let groups = hashes.iter().map(|&hash| self.key_groups.group_of(hash).0);
        self.invocation.groups.extend(groups);
        Ok(())
    }

    fn load(&mut self, state: StateId, window: &mut Window) -> Result<(), Error> {
        self.check_layout(state, &window.values, None)?;
        let Some(place) = self.cells.place_of(state) else {
            return Err(self.refused(state, "is a collection"));
        };
        self.cells.load(&self.database, place, window)
    }

    fn load_entries(
        &mut self,
        state: StateId,
        slots: &[u32],
        keys: &Column,
        window: &mut Window,
    ) -> Result<(), Error> {
        self.check_layout(state, &window.values, Some(keys))?;
        let collection = self.collection(state)?;
        collection.load(&self.database, &self.invocation, slots, keys, window)
    }

    fn scan(
        &mut self,
        state: StateId,
        scan: &Scan<'_>,
        entries: &mut Entries,
    ) -> Result<bool, Error> {
        self.check_layout(state, &entries.values, Some(&entries.keys))?;
        let collection = self.collection(state)?;
        collection.scan(&self.database, &self.invocation, scan, entries)
    }

    fn commit(&mut self, writes: &WriteSet) -> Result<(), Error> {
        self.cells.prepare(&self.database, writes)?;
        let mut batch = WriteBatch::default();
        let mut next_element = self.catalog.next_element;
        for (id, collection) in self.collections.iter().enumerate() {
            let Some(collection) = collection else { continue };
            let of_state = (StateId(id as u32), writes);
            let (database, of) = (&self.database, &self.invocation);
            collection.write_into(&mut batch, database, of, of_state, &mut next_element)?;
        }
        if !batch.is_empty() {
            self.database.write(batch)?;
        }
        // From here on nothing fails.
        self.empty = false;
        self.unchanged = false;
        self.forget_sweeps(writes);
        self.catalog.next_element = next_element;
        self.cells.apply(writes);
        for change in writes.timers() {
            let slot = change.slot as usize;
            let timer = Timer {
                time: change.time,
                hash: self.invocation.hashes[slot],
                key: Key::from(self.invocation.key(slot)),
                namespace: change.namespace,
            };
            let group = self.invocation.groups[slot];
            self.timers.change(group, change.timer.0 as usize, timer, change.set, true);
        }
        self.invocation.clear();
        self.cells.end();
        Ok(())
    }

    fn next_timer(&self, domain: TimeDomain) -> Option<i64> {
        self.timers.next(domain)
    }

    fn has_timers(&self, timer: TimerId) -> bool {
        self.timers.has(timer)
    }

    fn due_timers(&mut self, domain: TimeDomain, until: i64, limit: usize) -> Option<DueTimers> {
        self.timers.due(domain, until, limit)
    }

    fn start_snapshot(&mut self, epoch: u64, _full: bool) -> Result<(), Error> {
        if let Some(running) = &self.running {
            return Err(Error::SnapshotRunning { epoch, running: running.epoch });
        }
        self.flush()?;
        let directory = files::vacant(&self.directory, &format!("snapshot-{epoch}-"));
        let files = files::checkpoint(&self.database, &self.catalog, &directory)?;
        let tables = Tables::new(directory, self.range, self.entries(), files);
        self.running = Some(Snapshot { epoch, segments: Vec::new(), tables: Some(tables) });
        self.unchanged = true;
        Ok(())
    }

    fn advance_snapshot(&mut self, _entries: usize) -> Result<Option<Snapshot>, Error> {
        Ok(self.running.take())
    }

    fn abandon_snapshot(&mut self) {
        self.running = None;
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
        // The catalog is a key, and no entry.
        let stored = self.database.property("rocksdb.estimate-num-keys").saturating_sub(1);
        stored + self.cells.dirty() as u64 + self.timers.len() as u64
    }

    fn declared(&self) -> (&[StateDeclaration], &[TimerDeclaration]) {
        (self.schema.states(), self.schema.timers())
    }

    fn values(&self, state: StateId) -> u64 {
        self.count_values(state)
    }

    fn evolve(
        &mut self,
        states: &[StateDeclaration],
        timers: &[TimerDeclaration],
    ) -> Result<(), Error> {
        self.serve(states, timers)
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
        self.remember();
    }

    fn release(&mut self) {
        self.forget();
    }

    fn revert(&mut self) -> Result<bool, Error> {
        self.come_back()
    }

    fn copy_keys(&mut self, keys: &Column, hashes: &[u64]) -> Result<Vec<Segment>, Error> {
        self.copy(keys, hashes)
    }
}

/// Refuses what no backend can serve.
fn check(
    states: &[StateDeclaration],
    timers: &[TimerDeclaration],
    key_groups: KeyGroups,
    range: KeyGroupRange,
) -> Result<(), Error> {
    declaration::check_all(states, timers)?;
    if range.start > range.end || range.end > key_groups.count() {
        return Err(Error::Access {
            reason: format!(
                "key groups {}..{} are not among the job's {}",
                range.start,
                range.end,
                key_groups.count()
            ),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
