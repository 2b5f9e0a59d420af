//! One key group: its sheets of values, its stores of entries, its timers, and its part of the running snapshot.
//!
//! A running snapshot holds what was committed before it started. A value that it still needs is
//! encoded on its first write after that, before the write; all others are encoded by
//! [`Group::advance`], which passes over values that were written since. Which values are needed is
//! told by their marks: in an increment those last written in the version that the snapshot closed,
//! in a full segment those before which the walk has not come yet. Timers that changed are listed
//! apart from the timers, so an increment of them needs no care; all timers of a full segment are
//! encoded at the first change of one.

use std::collections::BTreeMap;

use super::change::{Change, Undo};
use super::collections::Entries;
use super::row::Layout;
use super::sheet::{Pick, Sheet, Sheets};
use crate::backend::Now;
use crate::declaration::TimerId;
use crate::key::KeyGroup;
use crate::segment::{Schema, Writer};
use crate::snapshot::Segment;
use crate::timers::{GroupTimers, Timer};

/// Increments may reach this size before they are compared with that of the full segment.
const INCREMENTS_BYTES_MIN: usize = 4096;

/// State and timers of one key group. Aligned, so that a look-up reads one line of it.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Group {
    pub(super) sheets: Sheets,
    /// The entries of collection states.
    pub(super) stores: Vec<Box<dyn Entries>>,
    pub(super) timers: GroupTimers,
    /// Whether changes are listed, because the next segment may be an increment.
    tracked: bool,
    /// Whether some snapshot has a segment of this group.
    stored: bool,
    full_bytes: usize,
    increments_bytes: usize,
    part: Option<Box<Part>>,
    pub(super) undo: Option<Box<Undo>>,
}

/// What a running snapshot has of one group.
#[derive(Debug)]
struct Part {
    writer: Writer,
    full: bool,
    timers: TimersLeft,
}

/// The timers that are left to encode.
#[derive(Debug)]
enum TimersLeft {
    All,
    Changed(BTreeMap<(u32, Timer), bool>),
    Done,
}

impl Part {
    fn put_timers(&mut self, timers: &GroupTimers) -> usize {
        let before = self.writer.entries();
        match std::mem::replace(&mut self.timers, TimersLeft::Done) {
            TimersLeft::All => {
                for (family, timer) in timers.iter() {
                    let Timer { time, key, namespace, .. } = timer;
                    self.writer.timer(family, key.cell(), *time, *namespace, true);
                }
            }
            TimersLeft::Changed(changed) => {
                for ((family, timer), set) in &changed {
                    let (family, Timer { time, key, namespace, .. }) = (TimerId(*family), timer);
                    self.writer.timer(family, key.cell(), *time, *namespace, *set);
                }
            }
            TimersLeft::Done => {}
        }
        (self.writer.entries() - before) as usize
    }
}

impl Group {
    pub(super) fn new(sheets: usize, stores: Vec<Box<dyn Entries>>, timers: usize) -> Self {
        Self {
            sheets: Sheets::new(sheets),
            stores,
            timers: GroupTimers::new(timers),
            tracked: false,
            stored: false,
            full_bytes: 0,
            increments_bytes: 0,
            part: None,
            undo: None,
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

    /// A store.
    #[inline]
    pub(super) fn store(&self, store: usize) -> &dyn Entries {
        &*self.stores[store]
    }

    /// A sheet, and what a change to it goes by.
    #[inline]
    pub(super) fn change_sheet(
        &mut self,
        pick: impl Pick,
        version: u32,
    ) -> (&mut Sheet, Change<'_>) {
        let writer = self.part.as_mut().map(|part| &mut part.writer);
        let undo = self.undo.as_deref_mut();
        let change = Change { version, tracked: self.tracked, writer, undo };
        (pick.of_mut(&mut self.sheets), change)
    }

    /// A store, and what a change to it goes by.
    #[inline]
    pub(super) fn change_store(
        &mut self,
        store: usize,
        version: u32,
    ) -> (&mut dyn Entries, Change<'_>) {
        let writer = self.part.as_mut().map(|part| &mut part.writer);
        let undo = self.undo.as_deref_mut();
        let change = Change { version, tracked: self.tracked, writer, undo };
        (&mut *self.stores[store], change)
    }

    pub(super) fn allocated_bytes(&self) -> usize {
        let of_stores = self.stores.iter().map(|store| store.allocated_bytes());
        let of_sheets = self.sheets.iter().map(Sheet::allocated_bytes);
        of_sheets.sum::<usize>() + of_stores.sum::<usize>()
    }

    /// Sets or deletes a timer. Says whether that changed anything.
    pub(super) fn change_timer(&mut self, family: usize, timer: Timer, set: bool) -> bool {
        if self.timers.contains(family, &timer) == set {
            return false;
        }
        if let Some(part) = &mut self.part
            && matches!(part.timers, TimersLeft::All)
        {
            part.put_timers(&self.timers);
        }
        if let Some(undo) = &mut self.undo {
            undo.timer(family, &timer, !set);
        }
        self.timers.change(family, timer, set, self.tracked);
        true
    }

    /// Rebuilds tables of which too much is dead.
    pub(super) fn compact(&mut self, layouts: &[Layout], version: u32) {
        let undo = self.undo.as_deref_mut();
        let mut change = Change { version, tracked: self.tracked, writer: None, undo };
        change.writer = self.part.as_mut().map(|part| &mut part.writer);
        for (sheet, layout) in self.sheets.iter_mut().zip(layouts) {
            sheet.compact(layout, &mut change);
        }
    }

    /// Fixes what the group's part of a snapshot holds. `version` is the one that ends now.
    pub(super) fn start(
        &mut self,
        schema: &Schema,
        version: u32,
        full: bool,
        now: Now,
        is_empty: bool,
    ) {
        let full = full || !self.tracked;
        let timers = if full {
            if !self.stored && is_empty {
                return;
            }
            self.forget_changes();
            TimersLeft::All
        } else {
            let unchanged = self.timers.changed.is_empty()
                && !self.sheets.iter().any(Sheet::is_changed)
                && !self.stores.iter().any(|store| store.is_changed());
            if unchanged {
                return;
            }
            TimersLeft::Changed(std::mem::take(&mut self.timers.changed))
        };
        self.tracked = true;
        self.stored = true;
        self.sheets.iter_mut().for_each(|sheet| sheet.start(full, version, now));
        self.stores.iter_mut().for_each(|store| store.start(full, version, now));
        self.part = Some(Box::new(Part { writer: Writer::new(schema), full, timers }));
    }

    /// Encodes about `budget` of what is left, and yields the segment when nothing is.
    pub(super) fn advance(
        &mut self,
        layouts: &[Layout],
        version: u32,
        group: KeyGroup,
        budget: &mut usize,
    ) -> Progress {
        let Some(part) = &mut self.part else { return Progress::Done(None) };
        let mut done = true;
        for (sheet, layout) in self.sheets.iter_mut().zip(layouts) {
            done = done && sheet.advance(&mut part.writer, layout, version, budget);
        }
        for store in &mut self.stores {
            done = done && store.advance(&mut part.writer, version, budget);
        }
        if !done || *budget == 0 {
            return Progress::Paused;
        }
        *budget = budget.saturating_sub(part.put_timers(&self.timers));
        let part = self.part.take().expect("it was there above");
        self.sheets.iter_mut().for_each(Sheet::end);
        self.stores.iter_mut().for_each(|store| store.end());
        let entries = part.writer.entries();
        if !part.full && entries == 0 {
            return Progress::Done(None);
        }
        let bytes = part.writer.finish();
        self.add_to_chain(part.full, bytes.len());
        if self.increments_bytes > increments_bytes_max(group, self.full_bytes) {
            self.write_anew();
        }
        let undo = self.undo.as_deref_mut();
        let mut change = Change { version, tracked: self.tracked, writer: None, undo };
        for (sheet, layout) in self.sheets.iter_mut().zip(layouts) {
            sheet.compact_after_snapshot(layout, &mut change);
        }
        Progress::Done(Some(Segment { group, full: part.full, entries, bytes }))
    }

    /// Gives the running snapshot up and makes the next segment a full one.
    pub(super) fn abandon(&mut self) {
        self.part = None;
        self.sheets.iter_mut().for_each(Sheet::end);
        self.stores.iter_mut().for_each(|store| store.end());
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
        self.timers.changed.clear();
        self.sheets.iter_mut().for_each(Sheet::forget_changes);
        self.stores.iter_mut().for_each(|store| store.forget_changes());
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
