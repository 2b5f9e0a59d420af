//! What a state backend is.

use std::fmt;

use crate::column::Column;
use crate::declaration::{StateId, TimeDomain, TimerId};
use crate::error::Error;
use crate::key::KeyGroup;
use crate::snapshot::Snapshot;
use crate::window::Window;
use crate::writes::WriteSet;

/// Timers of one family that are due: one row each, at most one row a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueTimers {
    /// The family.
    pub timer: TimerId,
    /// When each was to fire.
    pub times: Vec<i64>,
    /// Whose each is; all keys are distinct.
    pub keys: Column,
    /// The hashes of the keys.
    pub hashes: Vec<u64>,
}

/// Keyed state and timers of one task: the keys of its key-group range, and no others.
///
/// # Contract
///
/// *Invocations.* [`begin`](Backend::begin) names the distinct keys of an invocation; slots number them. Loads see
/// what was committed before `begin`. [`commit`](Backend::commit) applies a write set in one step and ends the
/// invocation; an invocation that is not committed changed nothing. A new `begin` abandons the one before.
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
/// *Threads.* A backend belongs to one task and is moved between threads with it. It takes no locks.
pub trait Backend: Send + fmt::Debug {
    /// Starts an invocation over these distinct keys, whose hashes the caller has at hand.
    ///
    /// # Errors
    /// If a key's group is not in the backend's range, or storage fails.
    fn begin(&mut self, keys: &Column, hashes: &[u64]) -> Result<(), Error>;

    /// Fills the window with the state's values for every slot of the invocation.
    ///
    /// # Errors
    /// If the window's kind is not the state's, or storage fails.
    fn load(&mut self, state: StateId, window: &mut Window) -> Result<(), Error>;

    /// Applies the write set and ends the invocation.
    ///
    /// # Errors
    /// If storage fails; then nothing of the write set was applied.
    fn commit(&mut self, writes: &WriteSet) -> Result<(), Error>;

    /// When the earliest timer of that clock is to fire.
    fn next_timer(&self, domain: TimeDomain) -> Option<i64>;

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

    /// Gives the running snapshot up, or says that a finished one was not kept. The next snapshot is full.
    fn abandon_snapshot(&mut self);

    /// Applies a segment of a group.
    ///
    /// # Errors
    /// If the group is not in the range or the segment cannot be read; the backend must then be thrown away.
    fn restore(&mut self, group: KeyGroup, full: bool, segment: &[u8]) -> Result<(), Error>;

    /// How many values and timers it holds.
    fn entries(&self) -> u64;
}
