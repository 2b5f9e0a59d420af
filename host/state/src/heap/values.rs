//! Reads and writes of single values in a sheet of a key group.

use super::group::Group;
use super::row::Layout;
use super::sheet::Pick;
use super::table::{ABSENT, Table};
use crate::backend::Now;
use crate::segment::{Cell, Stamped};

/// A sheet, how it is laid out, and the version in which it is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct At<'a, P> {
    pub(super) pick: P,
    pub(super) layout: &'a Layout,
    pub(super) version: u32,
}

impl<P: Pick> At<'_, P> {
    #[inline]
    pub(super) fn table(self, group: &Group) -> &Table {
        &self.pick.of(&group.sheets).table
    }

    /// The row of a key, which is made if there is none; see [`Sheet::insert`](super::sheet::Sheet::insert).
    pub(super) fn insert(self, group: &mut Group, hash: u64, key: Cell<'_>) -> (u32, bool) {
        let (sheet, mut change) = group.change_sheet(self.pick, self.version);
        sheet.insert(self.layout, &mut change, hash, key)
    }

    /// Sets or removes a numeric value.
    #[inline]
    pub(super) fn write_word(self, group: &mut Group, row: u32, state: usize, value: Option<u64>) {
        let table = &mut self.pick.of_mut(&mut group.sheets).table;
        if let Some(value) = value
            && table.overwrite(self.layout, self.version, row, state, value)
        {
            return;
        }
        self.write_word_first(group, row, state, value);
    }

    /// The first write of a value in a version, or one that makes it appear or go. Apart, so that the others are short.
    #[inline(never)]
    fn write_word_first(self, group: &mut Group, row: u32, state: usize, value: Option<u64>) {
        let (sheet, mut change) = group.change_sheet(self.pick, self.version);
        let mark = sheet.mark_for_write(self.layout, &mut change, row, state);
        sheet.table.set_word(self.layout, row, state, value, mark);
    }

    /// Sets or removes a value of bytes.
    pub(super) fn write_bytes(
        self,
        group: &mut Group,
        row: u32,
        state: usize,
        value: Option<&[u8]>,
    ) {
        let (sheet, mut change) = group.change_sheet(self.pick, self.version);
        let mark = sheet.mark_for_write(self.layout, &mut change, row, state);
        sheet.table.set_bytes(self.layout, row, state, value, mark);
    }

    /// Gives a row an empty value for the time until its value is written.
    pub(super) fn write_empty(self, group: &mut Group, row: u32, state: usize) {
        if self.layout.states[state] {
            self.write_word(group, row, state, Some(0));
        } else {
            self.write_bytes(group, row, state, Some(&[]));
        }
    }

    /// Sets a value and its stamp, or removes it.
    pub(super) fn write(
        self,
        group: &mut Group,
        (row, state): (u32, usize),
        value: Option<Stamped<'_>>,
    ) {
        match value.map(|value| value.value) {
            Some(Cell::Word(word)) => self.write_word(group, row, state, Some(word)),
            Some(Cell::Bytes(bytes)) => self.write_bytes(group, row, state, Some(bytes)),
            None if self.layout.states[state] => self.write_word(group, row, state, None),
            None => self.write_bytes(group, row, state, None),
        }
        if let Some(Stamped { stamp, .. }) = value {
            let table = &mut self.pick.of_mut(&mut group.sheets).table;
            table.set_stamp(self.layout, row, state, stamp);
        }
    }

    /// Changes a value of bytes that is there, in place.
    pub(super) fn update_bytes(
        self,
        group: &mut Group,
        (row, state): (u32, usize),
        stamp: i64,
        update: impl FnOnce(&mut Vec<u8>),
    ) {
        let (sheet, mut change) = group.change_sheet(self.pick, self.version);
        let mark = sheet.mark_for_write(self.layout, &mut change, row, state);
        sheet.table.update_bytes(self.layout, row, state, mark, update);
        sheet.table.set_stamp(self.layout, row, state, stamp);
    }

    /// Gives a value that is there another stamp.
    pub(super) fn restamp(self, group: &mut Group, (row, state): (u32, usize), stamp: i64) {
        let (sheet, mut change) = group.change_sheet(self.pick, self.version);
        if sheet.table.stamp(self.layout, row, state) != stamp {
            let mark = sheet.mark_for_write(self.layout, &mut change, row, state);
            sheet.table.set_mark(self.layout, row, state, mark);
            sheet.table.set_stamp(self.layout, row, state, stamp);
        }
    }

    /// Whether there is a value, and it is not expired.
    #[inline]
    pub(super) fn is_live(self, group: &Group, row: u32, state: usize, now: Now) -> bool {
        let table = self.table(group);
        table.mark(self.layout, row, state).present()
            && !table.is_expired(self.layout, row, state, now)
    }

    /// Removes a value that is expired. Says whether it was.
    pub(super) fn remove_expired(
        self,
        group: &mut Group,
        (row, state): (u32, usize),
        now: Now,
    ) -> bool {
        let table = self.table(group);
        let present = table.mark(self.layout, row, state).present();
        let expired = present && table.is_expired(self.layout, row, state, now);
        if expired {
            self.write(group, (row, state), None);
        }
        expired
    }

    /// Sets or removes a value of a key. Says whether other rows moved for it.
    pub(super) fn put(
        self,
        group: &mut Group,
        (hash, key): (u64, Cell<'_>),
        state: usize,
        value: Option<Stamped<'_>>,
    ) -> bool {
        let (row, moved) = match value {
            Some(_) => self.insert(group, hash, key),
            None => (self.table(group).find(self.layout, hash, key), false),
        };
        if row != ABSENT {
            self.write(group, (row, state), value);
        }
        moved
    }
}
