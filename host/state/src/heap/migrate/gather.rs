//! Collects the next values to move.

use std::ops::Bound;

use super::{NO_ENTRY, Position};
use crate::column::Column;
use crate::heap::collections::Point;
use crate::heap::sheet::Any;
use crate::heap::{HeapBackend, Home, values_in};
use crate::segment::{Cell, Stamped};
use crate::timers::Key;

/// The most bytes that are converted at once, give or take one value.
const BYTES_MAX: usize = 16 << 20;

/// What moves where.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) from: Home,
    pub(super) to: Home,
    pub(super) entry_words: bool,
    pub(super) words: bool,
    pub(super) to_words: bool,
    pub(super) keeps_stamps: bool,
}

/// Values and where they are.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) slots: Vec<Option<u32>>,
    pub(super) groups: Vec<u32>,
    pub(super) hashes: Vec<u64>,
    pub(super) keys: Column,
    /// The entry keys, for collections.
    pub(super) entries: Column,
    pub(super) values: Column,
    pub(super) stamps: Vec<i64>,
}

/// What a round found.
#[derive(Debug)]
pub(super) struct Gathered {
    /// What is to be converted.
    pub(super) rows: Rows,
    /// What there is something newer of.
    pub(super) outdated: Rows,
    /// Whether nothing is left.
    pub(super) done: bool,
}

impl Rows {
    fn new(keys: bool, entries: bool, values: bool) -> Self {
        Self {
            slots: Vec::new(),
            groups: Vec::new(),
            hashes: Vec::new(),
            keys: Column::empty(keys),
            entries: Column::empty(entries),
            values: Column::empty(values),
            stamps: Vec::new(),
        }
    }

    fn push(&mut self, slot: Option<u32>, group: u32, point: Point<'_>, value: Stamped<'_>) {
        self.slots.push(slot);
        self.groups.push(group);
        self.hashes.push(point.hash);
        self.keys.push_cell(point.key);
        self.entries.push_cell(point.entry);
        self.values.push_cell(value.value);
        self.stamps.push(value.stamp);
    }
}

impl Gathered {
    fn push(
        &mut self,
        is_outdated: bool,
        slot: Option<u32>,
        group: u32,
        point: Point<'_>,
        value: Stamped<'_>,
    ) {
        let rows = if is_outdated { &mut self.outdated } else { &mut self.rows };
        rows.push(slot, group, point, value);
    }

    fn is_large(&self) -> bool {
        self.rows.values.size_bytes() + self.outdated.values.size_bytes() > BYTES_MAX
    }
}

impl HeapBackend {
    /// Collects values behind a position: those of the invocation's keys, or any; at most as many as `rows`, and not
    /// looking at much more places than `budget`.
    pub(super) fn gather(
        &mut self,
        source: &Source,
        invocation: bool,
        at: &mut Position,
        rows: &mut usize,
        budget: &mut usize,
    ) -> Gathered {
        let new = || Rows::new(self.schema.key().is_words(), source.entry_words, source.words);
        let mut found = Gathered { rows: new(), outdated: new(), done: false };
        match (source.from, source.to) {
            (Home::Column { sheet, column }, Home::Column { sheet: to_sheet, column: to }) => {
                let (from, to) = ((sheet, column), (to_sheet, to));
                match invocation {
                    true => self.gather_slots(from, to, at, rows, &mut found),
                    false => self.gather_rows(from, to, at, (rows, budget), &mut found),
                }
            }
            (Home::Store(from), Home::Store(to)) => match invocation {
                true => self.gather_slot_entries(from, to, at, rows, &mut found),
                false => self.gather_entries(from, to, at, (rows, budget), &mut found),
            },
            _ => unreachable!("the kinds were compared"),
        }
        found
    }

    /// A value that may move, if there is one.
    fn offer(
        &self,
        (from, to): ((usize, usize), (usize, usize)),
        (slot, group, row): (Option<u32>, usize, u32),
        (hash, key): (u64, Cell<'_>),
        found: &mut Gathered,
    ) -> bool {
        let sheets = &self.groups[group].sheets;
        let (table, layout) = (&sheets.get(from.0).table, &self.layouts[from.0]);
        let Some(value) = table.value_of(layout, row, from.1) else { return false };
        let stamp = table.stamp(layout, row, from.1);
        let (newer, new_layout) = (&sheets.get(to.0).table, &self.layouts[to.0]);
        let new_row = newer.find(new_layout, hash, key);
        let is_outdated = newer.value_of(new_layout, new_row, to.1).is_some();
        let point = Point { hash, key, entry: NO_ENTRY };
        found.push(is_outdated, slot, group as u32, point, Stamped { value, stamp });
        true
    }

    fn gather_slots(
        &self,
        from: (usize, usize),
        to: (usize, usize),
        at: &mut Position,
        rows: &mut usize,
        found: &mut Gathered,
    ) {
        while at.at < self.invocation.slots() && *rows > 0 && !found.is_large() {
            let (group, hash, key) = self.invocation.key(at.at);
            let table = &self.groups[group as usize].sheets.get(from.0).table;
            let row = table.find(&self.layouts[from.0], hash, key);
            let place = (Some(at.at as u32), group as usize, row);
            *rows -= usize::from(self.offer((from, to), place, (hash, key), found));
            at.at += 1;
        }
        found.done = at.at == self.invocation.slots();
    }

    fn gather_rows(
        &mut self,
        from: (usize, usize),
        to: (usize, usize),
        at: &mut Position,
        (rows, budget): (&mut usize, &mut usize),
        found: &mut Gathered,
    ) {
        while let Some(group) = self.groups.get(at.at) {
            if *rows == 0 || *budget == 0 || found.is_large() {
                return;
            }
            *budget -= 1;
            let sheet = group.sheets.get(from.0);
            if at.moves != sheet.moves {
                (at.row, at.moves) = (0, sheet.moves);
            }
            if at.row >= sheet.table.end() || sheet.table.values(from.1) == 0 {
                let next = self.groups.get(at.at + 1);
                let moves = next.map_or(0, |group| group.sheets.get(from.0).moves);
                *at = Position { at: at.at + 1, row: 0, moves, ..Position::default() };
                continue;
            }
            if at.row == 0 && from.0 != to.0 {
                self.make_room(at.at, from, to.0);
            }
            let (table, layout) =
                (&self.groups[at.at].sheets.get(from.0).table, &self.layouts[from.0]);
            if let Some(key) = table.key_of(layout, at.row) {
                let place = (None, at.at, at.row);
                *rows -= usize::from(self.offer((from, to), place, (key.hash(), key), found));
            }
            at.row += 1;
        }
        found.done = true;
    }

    /// Makes room for all that is about to come into a group's sheet, so that it does not grow by and by.
    fn make_room(&mut self, group: usize, from: (usize, usize), to: usize) {
        let rows = self.groups[group].sheets.get(from.0).table.values(from.1);
        let (sheet, mut change) = self.groups[group].change_sheet(Any(to), self.version);
        sheet.make_room(&self.layouts[to], &mut change, rows);
    }

    fn gather_slot_entries(
        &self,
        from: usize,
        to: usize,
        at: &mut Position,
        rows: &mut usize,
        found: &mut Gathered,
    ) {
        while at.at < self.invocation.slots() && *rows > 0 && !found.is_large() {
            let (group, hash, key) = self.invocation.key(at.at);
            let stores = &self.groups[group as usize];
            let after = at.entry.after.take();
            let behind = after.as_ref().map_or(Bound::Unbounded, |key| Bound::Excluded(key.cell()));
            let (slot, mut last) = (Some(at.at as u32), None);
            stores.store(from).scan(hash, key, (behind, Bound::Unbounded), &mut |entry, value| {
                if *rows == 0 || found.is_large() {
                    return false;
                }
                *rows -= 1;
                last = Some(entry);
                let point = Point { hash, key, entry };
                let is_outdated = stores.store(to).get(point).is_some();
                found.push(is_outdated, slot, group, point, value);
                true
            });
            if *rows == 0 || found.is_large() {
                at.entry.after = last.map(Key::from).or(after);
            } else {
                at.at += 1;
            }
        }
        found.done = at.at == self.invocation.slots();
    }

    fn gather_entries(
        &self,
        from: usize,
        to: usize,
        at: &mut Position,
        (rows, budget): (&mut usize, &mut usize),
        found: &mut Gathered,
    ) {
        while let Some(group) = self.groups.get(at.at) {
            if *rows == 0 || *budget == 0 || found.is_large() {
                return;
            }
            *budget -= 1;
            let store = group.store(from);
            let (mut steps, before) = ((*rows).min(STEPS), (*rows).min(STEPS));
            let is_empty = values_in(group, Home::Store(from)) == 0;
            let end = is_empty
                || store.walk(&mut at.entry, &mut steps, &mut |point, value| {
                    *rows -= 1;
                    let is_outdated = group.store(to).get(point).is_some();
                    found.push(is_outdated, None, at.at as u32, point, value);
                });
            *budget = budget.saturating_sub(before - steps);
            if end {
                *at = Position { at: at.at + 1, ..Position::default() };
            }
        }
        found.done = true;
    }
}

/// Entries that are looked at before it is looked at how large they are.
const STEPS: usize = 64;
