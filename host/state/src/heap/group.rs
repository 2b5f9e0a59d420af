//! One key group: its table, collections and timers, what changed since the last snapshot, and its part of the
//! running one.
//!
//! A running snapshot holds what was committed before it started. A value that it still needs is
//! encoded on its first write after that, before the write; all others are encoded by
//! [`Group::advance`], which passes over values that were written since. Which values are needed is
//! told by their marks: in an increment those last written in the version that the snapshot closed,
//! in a full segment those before which the walk has not come yet. Timers that changed are listed
//! apart from the timers, so an increment of them needs no care; all timers of a full segment are
//! encoded at the first change of one.

use super::collections::{Change, Entries};
use super::part::{Part, Rows, Timers, walk};
use super::row::{Layout, Mark};
use super::table::{ABSENT, Table};
use crate::backend::Now;
use crate::key::KeyGroup;
use crate::segment::{Cell, Schema, Stamped, Writer};
use crate::snapshot::Segment;
use crate::timers::{GroupTimers, Timer};

/// Increments may reach this size before they are compared with that of the full segment.
const INCREMENTS_BYTES_MIN: usize = 4096;

/// State and timers of one key group. Aligned, so that a look-up reads one line of it.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Group {
    pub(super) table: Table,
    /// For each collection state, its entries.
    collections: Box<[Box<dyn Entries>]>,
    timers: GroupTimers,
    /// Rows with a value that was written in this version, if changes are tracked.
    dirty: Vec<u32>,
    /// Whether changes are listed, because the next segment may be an increment.
    tracked: bool,
    /// Whether some snapshot has a segment of this group.
    stored: bool,
    full_bytes: usize,
    increments_bytes: usize,
    part: Option<Box<Part>>,
}

impl Group {
    pub(super) fn new(collections: Box<[Box<dyn Entries>]>, timers: usize) -> Self {
        Self {
            table: Table::default(),
            collections,
            timers: GroupTimers::new(timers),
            dirty: Vec::new(),
            tracked: false,
            stored: false,
            full_bytes: 0,
            increments_bytes: 0,
            part: None,
        }
    }

    /// Takes note that tables hold something of the group, so that it has a segment even once it is empty.
    pub(super) fn follow_tables(&mut self) {
        self.stored = true;
    }

    /// Whether a running snapshot is not through with it.
    pub(super) fn is_in_snapshot(&self) -> bool {
        self.part.is_some()
    }

    pub(super) fn timers(&self) -> &GroupTimers {
        &self.timers
    }

    pub(super) fn entries(&self) -> usize {
        let of_collections: usize = self.collections.iter().map(|entries| entries.len()).sum();
        self.table.values() + of_collections + self.timers.len()
    }

    /// The entries of a collection state.
    #[inline]
    pub(super) fn collection(&self, collection: usize) -> &dyn Entries {
        &*self.collections[collection]
    }

    /// The entries of a collection state, and what a change to them goes by.
    #[inline]
    pub(super) fn change_collection(
        &mut self,
        collection: usize,
        version: u32,
    ) -> (&mut dyn Entries, Change<'_>) {
        let writer = self.part.as_mut().map(|part| &mut part.writer);
        let change = Change { version, tracked: self.tracked, writer };
        (&mut *self.collections[collection], change)
    }

    pub(super) fn allocated_bytes(&self) -> usize {
        let of_collections = self.collections.iter().map(|entries| entries.allocated_bytes());
        self.table.allocated_bytes() + self.dirty.capacity() * 4 + of_collections.sum::<usize>()
    }

    /// The row of a key, which is made if there is none. Says whether other rows moved for it. A
    /// new row must be given a value before the next one is made, or it may be taken for a dead
    /// one.
    pub(super) fn insert(
        &mut self,
        layout: &Layout,
        version: u32,
        hash: u64,
        key: Cell<'_>,
    ) -> (u32, bool) {
        let row = self.table.find(layout, hash, key);
        if row != ABSENT {
            return (row, false);
        }
        let full = !self.table.has_room(layout);
        if full {
            self.rebuild(layout, version);
        }
        (self.table.insert(layout, hash, key), full)
    }

    /// Sets or removes a numeric value.
    #[inline]
    pub(super) fn write_word(
        &mut self,
        layout: &Layout,
        version: u32,
        row: u32,
        state: usize,
        value: Option<u64>,
    ) {
        if let Some(value) = value
            && self.table.overwrite(layout, version, row, state, value)
        {
            return;
        }
        let mark = self.mark_for_write(layout, version, row, state);
        self.table.set_word(layout, row, state, value, mark);
    }

    /// Sets or removes a value of bytes.
    pub(super) fn write_bytes(
        &mut self,
        layout: &Layout,
        version: u32,
        row: u32,
        state: usize,
        value: Option<&[u8]>,
    ) {
        let mark = self.mark_for_write(layout, version, row, state);
        self.table.set_bytes(layout, row, state, value, mark);
    }

    /// Gives a row an empty value for the time until its value is written.
    pub(super) fn hold(&mut self, layout: &Layout, version: u32, row: u32, state: usize) {
        if layout.states[state] {
            self.write_word(layout, version, row, state, Some(0));
        } else {
            self.write_bytes(layout, version, row, state, Some(&[]));
        }
    }

    /// Sets a value and its stamp, or removes it.
    pub(super) fn write(
        &mut self,
        layout: &Layout,
        version: u32,
        (row, state): (u32, usize),
        value: Option<Stamped<'_>>,
    ) {
        match value.map(|value| value.value) {
            Some(Cell::Word(word)) => self.write_word(layout, version, row, state, Some(word)),
            Some(Cell::Bytes(bytes)) => self.write_bytes(layout, version, row, state, Some(bytes)),
            None if layout.states[state] => self.write_word(layout, version, row, state, None),
            None => self.write_bytes(layout, version, row, state, None),
        }
        if let Some(Stamped { stamp, .. }) = value {
            self.table.set_stamp(layout, row, state, stamp);
        }
    }

    /// Changes a value of bytes that is there, in place.
    pub(super) fn update_bytes(
        &mut self,
        layout: &Layout,
        version: u32,
        (row, state): (u32, usize),
        stamp: i64,
        change: impl FnOnce(&mut Vec<u8>),
    ) {
        let mark = self.mark_for_write(layout, version, row, state);
        self.table.update_bytes(layout, row, state, mark, change);
        self.table.set_stamp(layout, row, state, stamp);
    }

    /// Gives a value that is there another stamp.
    pub(super) fn restamp(
        &mut self,
        layout: &Layout,
        version: u32,
        (row, state): (u32, usize),
        stamp: i64,
    ) {
        if self.table.stamp(layout, row, state) != stamp {
            let mark = self.mark_for_write(layout, version, row, state);
            self.table.set_mark(layout, row, state, mark);
            self.table.set_stamp(layout, row, state, stamp);
        }
    }

    /// Whether there is a value, and it is not expired.
    #[inline]
    pub(super) fn is_live(&self, layout: &Layout, row: u32, state: usize, now: Now) -> bool {
        self.table.mark(layout, row, state).present()
            && !self.table.is_expired(layout, row, state, now)
    }

    /// Removes a value that is expired. Says whether it was.
    pub(super) fn remove_expired(
        &mut self,
        layout: &Layout,
        version: u32,
        (row, state): (u32, usize),
        now: Now,
    ) -> bool {
        let present = self.table.mark(layout, row, state).present();
        let expired = present && self.table.is_expired(layout, row, state, now);
        if expired {
            self.write(layout, version, (row, state), None);
        }
        expired
    }

    /// Sets or removes a value without taking it for a change.
    pub(super) fn restore_value(
        &mut self,
        layout: &Layout,
        hash: u64,
        key: Cell<'_>,
        state: usize,
        value: Option<Stamped<'_>>,
    ) {
        let row = match value {
            Some(_) => self.insert(layout, 0, hash, key).0,
            None => self.table.find(layout, hash, key),
        };
        if row != ABSENT {
            self.write(layout, 0, (row, state), value);
        }
    }

    #[inline]
    fn mark_for_write(&mut self, layout: &Layout, version: u32, row: u32, state: usize) -> Mark {
        let mark = self.table.mark(layout, row, state);
        if mark.version() == version {
            return mark;
        }
        if let Some(part) = &mut self.part
            && part.needs(row, mark)
        {
            part.put(layout, &self.table, row, state, mark);
        }
        if self.tracked && !self.table.written_in(layout, row, version) {
            self.dirty.push(row);
        }
        mark.first_write(version)
    }

    /// Sets or deletes a timer. Says whether that changed anything.
    pub(super) fn change_timer(&mut self, family: usize, timer: Timer, set: bool) -> bool {
        if self.timers.contains(family, &timer) == set {
            return false;
        }
        if let Some(part) = &mut self.part
            && matches!(part.timers, Timers::All)
        {
            part.put_timers(&self.timers);
        }
        self.timers.change(family, timer, set, self.tracked);
        true
    }

    /// Rebuilds a table of which too much is dead, unless the dead are still to be told of.
    pub(super) fn compact(&mut self, layout: &Layout, version: u32) {
        if self.table.is_sparse() && !self.tracked {
            self.rebuild(layout, version);
        }
    }

    fn rebuild(&mut self, layout: &Layout, version: u32) {
        // A walk over all rows would lose its way when they move, so it goes to its end first.
        if let Some(part) = &mut self.part
            && matches!(part.rows, Rows::All { .. })
        {
            walk(part, &mut self.table, layout, version, u32::MAX as usize);
        }
        let (tracked, part) = (self.tracked, self.part.as_deref());
        let moved = self.table.rebuild(layout, |table, row| {
            let running = match part.map(|part| &part.rows) {
                Some(&Rows::Changed { version, .. }) => table.written_in(layout, row, version),
                _ => false,
            };
            running || tracked && table.written_in(layout, row, version)
        });
        for row in &mut self.dirty {
            *row = moved[*row as usize];
        }
        if let Some(Part { rows: Rows::Changed { rows, next, .. }, .. }) = self.part.as_deref_mut()
        {
            for row in &mut rows[*next..] {
                *row = moved[*row as usize];
            }
        }
    }

    /// Fixes what the group's part of a snapshot holds. `version` is the one that ends now.
    pub(super) fn start(&mut self, schema: &Schema, version: u32, full: bool, now: Now) {
        let full = full || !self.tracked;
        let (rows, timers) = if full {
            if !self.stored && self.entries() == 0 {
                return;
            }
            self.forget_changes();
            (Rows::All { next: 0 }, Timers::All)
        } else {
            let unchanged = self.dirty.is_empty() && self.timers.changed.is_empty();
            if unchanged && !self.collections.iter().any(|entries| entries.is_changed()) {
                return;
            }
            let rows = std::mem::take(&mut self.dirty);
            let changed = std::mem::take(&mut self.timers.changed);
            (Rows::Changed { rows, next: 0, version }, Timers::Changed(changed))
        };
        self.tracked = true;
        self.stored = true;
        self.collections.iter_mut().for_each(|entries| entries.start(full, version, now));
        self.part = Some(Box::new(Part { writer: Writer::new(schema), rows, timers, now }));
    }

    /// Encodes about `budget` of what is left, and yields the segment when nothing is.
    pub(super) fn advance(
        &mut self,
        layout: &Layout,
        version: u32,
        group: KeyGroup,
        budget: &mut usize,
    ) -> Progress {
        let Some(part) = &mut self.part else { return Progress::Done(None) };
        let walked = walk(part, &mut self.table, layout, version, *budget);
        *budget -= walked.rows;
        let mut done = walked.done;
        for entries in &mut self.collections {
            done = done && entries.advance(&mut part.writer, version, budget);
        }
        if !done || *budget == 0 {
            return Progress::Paused;
        }
        *budget = budget.saturating_sub(part.put_timers(&self.timers));
        let part = self.part.take().expect("it was there above");
        self.collections.iter_mut().for_each(|entries| entries.end());
        let full = matches!(part.rows, Rows::All { .. });
        let entries = part.writer.entries();
        if !full && entries == 0 {
            return Progress::Done(None);
        }
        let bytes = part.writer.finish();
        self.add_to_chain(full, bytes.len());
        if self.increments_bytes > increments_bytes_max(group, self.full_bytes) {
            self.write_anew();
        }
        if self.table.is_sparse() {
            self.rebuild(layout, version);
        }
        Progress::Done(Some(Segment { group, full, entries, bytes }))
    }

    /// Gives the running snapshot up and makes the next segment a full one.
    pub(super) fn abandon(&mut self) {
        self.part = None;
        self.collections.iter_mut().for_each(|entries| entries.end());
        self.write_anew();
    }

    /// Counts what the chain of the group's segments has come to.
    fn add_to_chain(&mut self, full: bool, bytes: usize) {
        if full {
            (self.full_bytes, self.increments_bytes) = (bytes, 0);
        } else {
            self.increments_bytes += bytes;
        }
    }

    fn write_anew(&mut self) {
        self.tracked = false;
        self.forget_changes();
    }

    fn forget_changes(&mut self) {
        self.dirty.clear();
        self.timers.changed.clear();
        self.collections.iter_mut().for_each(|entries| entries.forget_changes());
    }

    /// Stops listing changes while a segment is applied, which is none.
    pub(super) fn start_restore(&mut self) {
        self.abandon();
    }

    /// Takes the segment that was applied for the last of a chain, which increments may follow.
    pub(super) fn end_restore(&mut self, full: bool, bytes: usize) {
        self.add_to_chain(full, bytes);
        self.stored = true;
        self.tracked = true;
    }
}

/// How large a group's increments may become before the group is written anew: 1.25 to 1.75 times the full segment.
///
/// With increments of 1.5 times the state, changes cost 1 + 1 / 1.5 times their own bytes and a restore reads at most
/// 2.5 times the state. Groups differ so that those that began in one checkpoint are not all written anew in one.
fn increments_bytes_max(group: KeyGroup, full_bytes: usize) -> usize {
    // The golden ratio's fraction spreads successive numbers evenly.
    let spread = (u32::from(group.0).wrapping_mul(0x9e37_79b9) >> 16) as usize;
    let bytes = full_bytes + full_bytes / 4 + (((full_bytes / 2) * spread) >> 16);
    bytes.max(INCREMENTS_BYTES_MIN)
}

/// What [`Group::advance`] came to.
pub(super) enum Progress {
    /// The budget is used up.
    Paused,
    /// Nothing is left; here is the segment, if there is one.
    Done(Option<Segment>),
}
