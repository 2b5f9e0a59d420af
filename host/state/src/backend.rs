//! What a state backend is.

use std::fmt;
use std::ops::Bound;
use std::path::Path;

use crate::column::Column;
use crate::declaration::{StateDeclaration, StateId, TimeDomain, TimerDeclaration, TimerId};
use crate::error::Error;
use crate::evolve::{Convert, Move, Moved, Which};
use crate::key::KeyGroup;
use crate::segment::Cell;
use crate::snapshot::{Segment, Snapshot};
use crate::window::Window;
use crate::writes::WriteSet;

/// The time of an invocation, on both clocks: what times-to-live are measured by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// The host's clock.
    pub processing_time: i64,
    /// The watermark; the lowest `i64` before the first one.
    pub watermark: i64,
}

impl Default for Now {
    fn default() -> Self {
        Self { processing_time: 0, watermark: i64::MIN }
    }
}

impl Now {
    /// The time on one of the clocks.
    pub fn on(self, domain: TimeDomain) -> i64 {
        match domain {
            TimeDomain::EventTime => self.watermark,
            TimeDomain::ProcessingTime => self.processing_time,
        }
    }
}

/// Timers of one family that are due: one row each, at most one row a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueTimers {
    /// The family.
    pub timer: TimerId,
    /// When each was to fire.
    pub times: Vec<i64>,
    /// The namespace of each; 0 where none was given.
    pub namespaces: Vec<u64>,
    /// Whose each is; all keys are distinct.
    pub keys: Column,
    /// The hashes of the keys.
    pub hashes: Vec<u64>,
}

/// Entries of one key, in order, from one bound to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scan<'a> {
    /// The key's slot.
    pub slot: u32,
    /// Where to begin.
    pub from: Bound<Cell<'a>>,
    /// Where to end.
    pub to: Bound<Cell<'a>>,
    /// The most entries to yield.
    pub limit: usize,
}

impl Scan<'_> {
    /// All entries of a slot, at most `limit`.
    pub fn all(slot: u32, limit: usize) -> Self {
        Self { slot, from: Bound::Unbounded, to: Bound::Unbounded, limit }
    }
}

/// Entries of a collection: a row each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entries {
    /// The entries' keys: map keys, or the numbers of list elements.
    pub keys: Column,
    /// Their values.
    pub values: Column,
}

impl Entries {
    /// No entries, of a state with these layouts.
    pub fn new(key_words: bool, value_words: bool) -> Self {
        Self { keys: Column::empty(key_words), values: Column::empty(value_words) }
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Forgets the entries and keeps the memory.
    pub fn clear(&mut self) {
        self.keys.clear();
        self.values.clear();
    }
}

/// Keyed state and timers of one task: the keys of its key-group range, and no others.
///
/// # Contract
///
/// *Invocations.* [`begin`](Backend::begin) names the distinct keys of an invocation; slots number them. Reads see
/// what was committed before `begin`. [`commit`](Backend::commit) applies a write set in one step and ends the
/// invocation; an invocation that is not committed changed nothing. A new `begin` abandons the one before.
///
/// *Collections.* A list or map state has entries, in order: numeric keys by number (signed ones by sign), bytes by
/// byte. List elements get numbers that rise with every element added, on whatever backend, also after a restore.
///
/// *Time-to-live.* Each value, and each entry of a collection, has a stamp: when it was last written (or read, if the
/// declaration says so and the write set says [`Touch`](crate::WriteOp::Touch)). It is expired once `stamp +
/// milliseconds` is not after the time of the invocation, on the declared clock; [`ttl`](crate::ttl) has the rules.
/// Expired values do not show in reads, unless the declaration returns them until they are cleaned up. When a
/// backend cleans up is its own business: on access, in passing, in snapshots, in compactions. What is expired counts
/// for nothing but [`entries`].
///
/// [`entries`]: Backend::entries
///
/// *Snapshots.* [`start_snapshot`](Backend::start_snapshot) fixes what the snapshot holds: everything committed
/// before it. It returns at once, whatever the size of the state. The task then calls
/// [`advance_snapshot`](Backend::advance_snapshot) between invocations until it yields the snapshot; commits in
/// between do not show in it. A snapshot that follows another holds what changed since that one, or a group's
/// whole state where the backend chose to write it anew.
///
/// *Restore.* [`restore`](Backend::restore) takes a group's segments in the order in which they were made, the last
/// full one first. A backend restores segments of any other backend.
///
/// *Evolution.* [`evolve`](Backend::evolve) changes what a backend serves while it runs. A state is told apart by its
/// name and schema version together, so an older form of a state can be served beside its new one; values go from one
/// to the other by [`migrate`](Backend::migrate).
///
/// *Going back.* After [`hold`](Backend::hold), [`revert`](Backend::revert) takes the backend back to where it was
/// then.
///
/// *Threads.* A backend belongs to one task and is moved between threads with it. It takes no locks.
pub trait Backend: Send + fmt::Debug {
    /// Starts an invocation over these distinct keys, whose hashes the caller has at hand.
    ///
    /// # Errors
    /// If a key's group is not in the backend's range, or storage fails.
    fn begin(&mut self, keys: &Column, hashes: &[u64], now: Now) -> Result<(), Error>;

    /// Fills the window with the state's values for every slot of the invocation.
    ///
    /// # Errors
    /// If the state is a collection, the window's kind is not the state's, or storage fails.
    fn load(&mut self, state: StateId, window: &mut Window) -> Result<(), Error>;

    /// Fills the window with entries of a collection: row `i` is the entry `keys[i]` of slot `slots[i]`. The same
    /// entry may be asked for twice.
    ///
    /// # Errors
    /// If the state is no collection, a column or the window is of another kind, or storage fails.
    fn load_entries(
        &mut self,
        state: StateId,
        slots: &[u32],
        keys: &Column,
        window: &mut Window,
    ) -> Result<(), Error>;

    /// Appends a slot's entries in order, from bound to bound. Whether there are more than the limit allowed.
    ///
    /// # Errors
    /// If the state is no collection, a bound or a column is of another kind, or storage fails.
    fn scan(
        &mut self,
        state: StateId,
        scan: &Scan<'_>,
        entries: &mut Entries,
    ) -> Result<bool, Error>;

    /// Applies the write set and ends the invocation.
    ///
    /// # Errors
    /// If storage fails; then nothing of the write set was applied.
    fn commit(&mut self, writes: &WriteSet) -> Result<(), Error>;

    /// When the earliest timer of that clock is to fire.
    fn next_timer(&self, domain: TimeDomain) -> Option<i64>;

    /// Whether any timer of that family is set.
    fn has_timers(&self, timer: TimerId) -> bool;

    /// The earliest timers with a time of at most `until`, of one family, at most `limit` of them, and for each key
    /// none but its earliest. The timers stay set: whoever fires them deletes them in the write set of the firing.
    fn due_timers(&mut self, domain: TimeDomain, until: i64, limit: usize) -> Option<DueTimers>;

    /// Fixes the snapshot of an epoch. Every group is written in full if `full`, else as the backend chooses.
    ///
    /// # Errors
    /// If another snapshot still runs, or storage fails.
    fn start_snapshot(&mut self, epoch: u64, full: bool) -> Result<(), Error>;

    /// Works on the running snapshot, on about `entries` entries, and yields it when it is done. `None` when it is
    /// not done yet or none runs.
    ///
    /// # Errors
    /// If storage fails; the snapshot is then abandoned as by [`abandon_snapshot`](Backend::abandon_snapshot).
    fn advance_snapshot(&mut self, entries: usize) -> Result<Option<Snapshot>, Error>;

    /// Takes what is finished of the running snapshot. What [`advance_snapshot`](Backend::advance_snapshot) yields in
    /// the end holds only what was not taken, so that not all of it lies in memory at once. A snapshot by tables has
    /// nothing to take.
    fn take_segments(&mut self) -> Vec<Segment> {
        Vec::new()
    }

    /// Gives the running snapshot up, or says that a finished one was not kept. The next snapshot is full.
    fn abandon_snapshot(&mut self);

    /// From now on, what restores bring of states and timers that are not declared is dropped. Without this it is
    /// refused. What was restored so is not what snapshots hold: abandon them, for the next one to be full.
    fn drop_unclaimed(&mut self);

    /// Applies a segment of a group.
    ///
    /// # Errors
    /// If the group is not in the range or the segment cannot be read; the backend must then be thrown away.
    fn restore(&mut self, group: KeyGroup, full: bool, segment: &[u8]) -> Result<(), Error>;

    /// Takes what belongs to its range out of a directory with the tables of a snapshot
    /// ([`Snapshot::tables`]). Segments, if there are any, follow by [`restore`](Backend::restore).
    ///
    /// # Errors
    /// If the tables cannot be read; the backend must then be thrown away.
    fn restore_tables(&mut self, directory: &Path) -> Result<(), Error>;

    /// How many values, entries and timers it holds, those included that expired and are not cleaned up yet. A
    /// backend on disk may estimate.
    fn entries(&self) -> u64;

    /// The states and timers that it serves, in the order of their ids.
    fn declared(&self) -> (&[StateDeclaration], &[TimerDeclaration]);

    /// How many values or entries of a state there are, expired ones included; exact when it says 0.
    fn values(&self, state: StateId) -> u64;

    /// From now on serves these declarations, with these ids: states and timers that it has already, by name and
    /// schema version, keep what they hold; new ones are empty; those that are not named any more are gone with what
    /// they hold. Takes the same time whatever the size of the state. No snapshot may be running, no invocation begun.
    /// Where something was taken away, the next snapshot is full. What could not be moved so far is tried again.
    ///
    /// # Errors
    /// If a declaration cannot be served, or one of a state that is there differs from it in more than the structure
    /// of values and the length of its time-to-live, or timers that are there are on another clock, or a snapshot
    /// runs; then nothing has changed.
    fn evolve(
        &mut self,
        states: &[StateDeclaration],
        timers: &[TimerDeclaration],
    ) -> Result<(), Error>;

    /// Moves values from a state's older form to its new one. Entries of collections keep their entry keys, and stamps
    /// stay as they are. A value whose key (and entry) has a value in the new form already is removed and not
    /// converted.
    ///
    /// # Errors
    /// If storage fails, or `convert` does; what was moved before stays moved, the rest stays where it is.
    fn migrate(
        &mut self,
        values: Move,
        which: Which,
        convert: &mut Convert<'_>,
    ) -> Result<Moved, Error>;

    /// Remembers what it takes to come back to the state as it is now. Called right after
    /// [`start_snapshot`](Backend::start_snapshot), whose snapshot goes on; the next snapshot, a release or a revert
    /// ends it. What is remembered is limited in size: past that, it is forgotten.
    fn hold(&mut self);

    /// Forgets what [`hold`](Backend::hold) remembers.
    fn release(&mut self);

    /// Comes back to the state, the declarations and the timers of the last [`hold`](Backend::hold). Whether it could:
    /// if not, the backend must be thrown away. The next snapshot is full.
    ///
    /// # Errors
    /// If storage fails; the backend must then be thrown away.
    fn revert(&mut self) -> Result<bool, Error>;

    /// All that is kept for some keys, timers left out, as segments that any backend with these declarations restores.
    /// Expired values may be among it.
    ///
    /// # Errors
    /// As [`begin`](Backend::begin).
    fn copy_keys(&mut self, keys: &Column, hashes: &[u64]) -> Result<Vec<Segment>, Error>;
}
