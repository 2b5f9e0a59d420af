//! The values of some states in one key group: their table, which of its rows changed since the last snapshot, and what
//! is left of them for the running one.

use super::change::Change;
use super::row::{Layout, Mark};
use super::table::{ABSENT, Table};
use crate::backend::Now;
use crate::segment::{Cell, Stamped, Writer};
use crate::ttl;

/// What is left to encode.
#[derive(Debug)]
enum Pass {
    /// All rows from `next` on. What was expired at the time at which the snapshot started is not in a full segment.
    All { next: u32, now: Now },
    /// Those on a list that were written in a version.
    Changed { rows: Vec<u32>, next: usize, version: u32 },
}

/// A table and its changes. The table comes first, to lie in one line with what holds it.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct Sheet {
    pub(super) table: Table,
    /// Rows with a value that was written in this version, if changes are tracked.
    dirty: Vec<u32>,
    pass: Option<Pass>,
    /// How often rows moved.
    pub(super) moves: u32,
}

/// The sheets of a key group.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Sheets {
    /// Where the values of most operators all are.
    first: Sheet,
    /// Where those of states are that were added while the operator ran: one for all that were added at once.
    further: Vec<Sheet>,
}

/// Which sheet is meant. The first one is found without a branch.
pub(super) trait Pick: Copy {
    fn of(self, sheets: &Sheets) -> &Sheet;

    fn of_mut(self, sheets: &mut Sheets) -> &mut Sheet;
}

/// The first sheet.
#[derive(Debug, Clone, Copy)]
pub(super) struct First;

/// A sheet by its number, of which the first one's is 0.
#[derive(Debug, Clone, Copy)]
pub(super) struct Any(pub(super) usize);

impl Pick for First {
    #[inline]
    fn of(self, sheets: &Sheets) -> &Sheet {
        &sheets.first
    }

    #[inline]
    fn of_mut(self, sheets: &mut Sheets) -> &mut Sheet {
        &mut sheets.first
    }
}

impl Pick for Any {
    #[inline]
    fn of(self, sheets: &Sheets) -> &Sheet {
        if self.0 == 0 { &sheets.first } else { &sheets.further[self.0 - 1] }
    }

    #[inline]
    fn of_mut(self, sheets: &mut Sheets) -> &mut Sheet {
        if self.0 == 0 { &mut sheets.first } else { &mut sheets.further[self.0 - 1] }
    }
}

impl Sheets {
    pub(super) fn new(count: usize) -> Self {
        let further = (1..count).map(|_| Sheet::default()).collect();
        Self { first: Sheet::default(), further }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Sheet> {
        std::iter::once(&self.first).chain(&self.further)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Sheet> {
        std::iter::once(&mut self.first).chain(&mut self.further)
    }

    /// A sheet by its number, of which the first one's is 0.
    pub(super) fn get(&self, sheet: usize) -> &Sheet {
        Any(sheet).of(self)
    }

    /// Adds an empty sheet.
    pub(super) fn push(&mut self) {
        self.further.push(Sheet::default());
    }

    /// Takes sheets out, and what is left moves up. Where nothing is left, the first one is empty.
    pub(super) fn retain(&mut self, keep: impl Fn(usize) -> bool) -> Vec<Sheet> {
        let (mut kept, mut out) = (Vec::new(), Vec::new());
        let further = std::mem::take(&mut self.further);
        let all = std::iter::once(std::mem::take(&mut self.first)).chain(further);
        for (number, sheet) in all.enumerate() {
            if keep(number) { &mut kept } else { &mut out }.push(sheet);
        }
        let mut kept = kept.into_iter();
        self.first = kept.next().unwrap_or_default();
        self.further = kept.collect();
        out
    }
}

impl Pass {
    fn needs(&self, row: u32, mark: Mark) -> bool {
        match *self {
            Self::All { next, .. } => row >= next && mark.present(),
            Self::Changed { version, .. } => mark.version() == version,
        }
    }

    /// Encodes a value as its mark says: set, removed, or neither when it was not there before the
    /// version either.
    fn put(
        &self,
        writer: &mut Writer,
        layout: &Layout,
        table: &Table,
        (row, state): (u32, usize),
        mark: Mark,
    ) {
        let Some(id) = layout.ids[state] else { return };
        if !mark.present() && !mark.was_present() {
            return;
        }
        let stamp = table.stamp(layout, row, state);
        if let (Self::All { now, .. }, Some(ttl)) = (self, &layout.ttls[state])
            && ttl::is_expired(ttl, stamp, *now)
        {
            return;
        }
        let value = table.value(layout, row, state);
        let value = value.map(|value| Stamped { value, stamp });
        writer.value(id, table.key(layout, row), value);
    }
}

impl Sheet {
    pub(super) fn allocated_bytes(&self) -> usize {
        self.table.allocated_bytes() + self.dirty.capacity() * 4
    }

    /// The mark of a value that is about to change. Before its first change in a version, the running snapshot gets it
    /// if it needs it, the next increment will look at it, and what holds the group remembers it.
    #[inline]
    pub(super) fn mark_for_write(
        &mut self,
        layout: &Layout,
        change: &mut Change<'_>,
        row: u32,
        state: usize,
    ) -> Mark {
        let mark = self.table.mark(layout, row, state);
        if mark.version() == change.version {
            return mark;
        }
        if let (Some(pass), Some(writer)) = (&self.pass, &mut change.writer)
            && pass.needs(row, mark)
        {
            pass.put(writer, layout, &self.table, (row, state), mark);
        }
        if let (Some(undo), Some(id)) = (&mut change.undo, layout.held[state]) {
            let stamp = self.table.stamp(layout, row, state);
            let value = self.table.value(layout, row, state);
            let value = value.map(|value| Stamped { value, stamp });
            undo.value(id, self.table.key(layout, row), value);
        }
        if change.tracked && !self.table.written_in(layout, row, change.version) {
            self.dirty.push(row);
        }
        mark.first_write(change.version)
    }

    /// The row of a key, which is made if there is none. Says whether other rows moved for it. A
    /// new row must be given a value before the next one is made, or it may be taken for a dead
    /// one.
    pub(super) fn insert(
        &mut self,
        layout: &Layout,
        change: &mut Change<'_>,
        hash: u64,
        key: Cell<'_>,
    ) -> (u32, bool) {
        let row = self.table.find(layout, hash, key);
        if row != ABSENT {
            return (row, false);
        }
        let full = !self.table.has_room(layout);
        if full {
            self.rebuild(layout, change, 0);
        }
        (self.table.insert(layout, hash, key), full)
    }

    /// Makes room for so many more rows at once. Says whether rows moved for it.
    pub(super) fn make_room(
        &mut self,
        layout: &Layout,
        change: &mut Change<'_>,
        rows: usize,
    ) -> bool {
        let full = !self.table.has_room_for(layout, rows);
        if full {
            self.rebuild(layout, change, rows);
        }
        full
    }

    /// Rebuilds a table of which too much is dead, unless the dead are still to be told of.
    pub(super) fn compact(&mut self, layout: &Layout, change: &mut Change<'_>) {
        if self.table.is_sparse() && !change.is_remembered() {
            self.rebuild(layout, change, 0);
        }
    }

    /// The same, once a snapshot has told of the dead.
    pub(super) fn compact_after_snapshot(&mut self, layout: &Layout, change: &mut Change<'_>) {
        if self.table.is_sparse() {
            self.rebuild(layout, change, 0);
        }
    }

    fn rebuild(&mut self, layout: &Layout, change: &mut Change<'_>, more: usize) {
        // A walk over all rows would lose its way when they move, so it goes to its end first.
        if let (Some(Pass::All { .. }), Some(writer)) = (&self.pass, &mut change.writer) {
            let mut all = usize::MAX;
            self.advance(writer, layout, change.version, &mut all);
        }
        let (remembered, version) = (change.is_remembered(), change.version);
        let pass = self.pass.as_ref();
        self.moves = self.moves.wrapping_add(1);
        let moved = self.table.rebuild(layout, more, |table, row| {
            let running = match pass {
                Some(&Pass::Changed { version, .. }) => table.written_in(layout, row, version),
                _ => false,
            };
            running || remembered && table.written_in(layout, row, version)
        });
        for row in &mut self.dirty {
            *row = moved[*row as usize];
        }
        if let Some(Pass::Changed { rows, next, .. }) = &mut self.pass {
            for row in &mut rows[*next..] {
                *row = moved[*row as usize];
            }
        }
    }

    /// Whether there are changes that no snapshot has.
    pub(super) fn is_changed(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Forgets which values changed.
    pub(super) fn forget_changes(&mut self) {
        self.dirty.clear();
    }

    /// Fixes what a snapshot holds: all, or what changed in the version that ends now.
    pub(super) fn start(&mut self, full: bool, version: u32, now: Now) {
        let rows = std::mem::take(&mut self.dirty);
        self.pass = Some(match full {
            true => Pass::All { next: 0, now },
            false => Pass::Changed { rows, next: 0, version },
        });
    }

    /// The snapshot is finished or given up.
    pub(super) fn end(&mut self) {
        self.pass = None;
    }

    /// Encodes the values of about `budget` rows, and marks them as encoded. Says whether nothing is left.
    pub(super) fn advance(
        &mut self,
        writer: &mut Writer,
        layout: &Layout,
        version: u32,
        budget: &mut usize,
    ) -> bool {
        let Some(mut pass) = self.pass.take() else { return true };
        let done = loop {
            let row = match &pass {
                Pass::All { next, .. } => (*next < self.table.end()).then_some(*next),
                Pass::Changed { rows, next, .. } => rows.get(*next).copied(),
            };
            let Some(row) = row else {
                if let Pass::All { next, .. } = &mut pass {
                    *next = u32::MAX; // also once the table has grown
                }
                break true;
            };
            if *budget == 0 {
                break false;
            }
            *budget -= 1;
            if self.table.is_occupied(layout, row) {
                self.advance_row(&pass, writer, layout, version, row);
            }
            match &mut pass {
                Pass::All { next, .. } => *next += 1,
                Pass::Changed { next, .. } => *next += 1,
            }
        };
        self.pass = Some(pass);
        done
    }

    fn advance_row(
        &mut self,
        pass: &Pass,
        writer: &mut Writer,
        layout: &Layout,
        version: u32,
        row: u32,
    ) {
        for state in 0..layout.states.len() {
            let mark = self.table.mark(layout, row, state);
            if mark.version() == version {
                continue;
            }
            if pass.needs(row, mark) {
                pass.put(writer, layout, &self.table, (row, state), mark);
            }
            if mark.version() != 0 {
                self.table.set_mark(layout, row, state, mark.settled());
            }
        }
    }
}
