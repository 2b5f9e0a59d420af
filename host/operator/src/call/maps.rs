//! Map state: a map a key.

use std::ops::Bound;

use statehouse_state::{
    BytesColumn, Cell, Column, Entries, Scan, StateId, StateKind, StateWrites, Window,
};

use super::Call;
use super::cells::lives_on_reads;
use super::check::{other_layout, same_length};
use super::overlay::EntryKey;
use crate::failure::Failure;

/// The entries of one slot whose keys begin with the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix<'a> {
    /// The slot.
    pub slot: u32,
    /// What the keys begin with.
    pub bytes: &'a [u8],
    /// The key to go on after.
    pub after: Option<&'a [u8]>,
    /// The most entries to yield.
    pub limit: usize,
}

impl Call {
    /// Fills a window with the values of the entries `keys[i]` of `slots[i]`, own writes included.
    ///
    /// # Errors
    /// If there is no such map or slot, or the columns or the window are of another kind or length.
    pub fn load_entries(
        &mut self,
        state: StateId,
        slots: &[u32],
        keys: &Column,
        window: &mut Window,
    ) -> Result<(), Failure> {
        let declared = self.check_entries(state, slots, keys)?;
        if declared.value.is_words() != window.values.is_words() {
            return Err(other_layout(declared));
        }
        match &mut self.backend {
            Some(backend) if !slots.is_empty() => {
                backend.load_entries(state, slots, keys, window)?;
            }
            _ => window.reset(0),
        }
        if !self.writes.state(state).slots.is_empty() {
            self.overlay_entries(state, slots, keys, window);
        }
        if window.too_large { Err(self.too_large(state)) } else { Ok(()) }
    }

    /// Lays what this invocation wrote over entries of the backend.
    fn overlay_entries(
        &mut self,
        state: StateId,
        slots: &[u32],
        keys: &Column,
        window: &mut Window,
    ) {
        let layout = self.states[state.0 as usize].entry_key().expect("maps have keys");
        let (writes, overlay) = (self.writes.state(state), &mut self.overlays[state.0 as usize]);
        overlay.update(layout, writes);
        let mut newer = Vec::new();
        for (row, &slot) in slots.iter().enumerate() {
            let Some(written) = overlay.slot(slot) else { continue };
            match written.entries.get(&EntryKey::new(layout, keys.cell(row))) {
                Some(write) => newer.push((row, *write)),
                None if written.cleared => newer.push((row, None)),
                None => {}
            }
        }
        lay_over(writes, &newer, window);
    }

    /// Appends entries of one slot whose keys, which are bytes, begin with a prefix; otherwise as
    /// [`scan`](Call::scan).
    ///
    /// # Errors
    /// As [`scan`](Call::scan).
    pub fn scan_prefix(
        &mut self,
        state: StateId,
        prefix: &Prefix<'_>,
        bytes: usize,
        found: &mut Entries,
    ) -> Result<bool, Failure> {
        self.of_kind(state, StateKind::Map)?;
        let &Prefix { slot, bytes: start, after, limit } = prefix;
        let end = after_prefix(start);
        let from = match after {
            Some(after) if after >= start => Bound::Excluded(Cell::Bytes(after)),
            _ => Bound::Included(Cell::Bytes(start)),
        };
        let to = match &end {
            Some(end) => Bound::Excluded(Cell::Bytes(end)),
            None => Bound::Unbounded,
        };
        self.scan(state, &Scan { slot, from, to, limit }, bytes, found)
    }

    /// Sets the entry `keys[i]` of `slots[i]` to row `i`.
    ///
    /// # Errors
    /// If there is no such map or slot, or the columns are of another kind or length, or too large.
    pub fn put(
        &mut self,
        state: StateId,
        slots: &[u32],
        keys: &Column,
        values: &Column,
    ) -> Result<(), Failure> {
        let declared = self.check_entries(state, slots, keys)?;
        self.check_values(declared, values)?;
        same_length("keys", keys.len(), "values", values.len())?;
        self.check_written(state, slots.len(), keys.size_bytes() + values.size_bytes())?;
        self.writes.put_entries(state, slots, keys, values);
        Ok(())
    }

    /// Removes the entry `keys[i]` of `slots[i]`.
    ///
    /// # Errors
    /// As [`put`](Call::put).
    pub fn remove_entries(
        &mut self,
        state: StateId,
        slots: &[u32],
        keys: &Column,
    ) -> Result<(), Failure> {
        self.check_entries(state, slots, keys)?;
        self.check_written(state, slots.len(), keys.size_bytes())?;
        self.writes.remove_entries(state, slots, keys);
        Ok(())
    }

    /// Says that the entry `keys[i]` of `slots[i]` was read. Does nothing where reads make nothing live longer.
    ///
    /// # Errors
    /// As [`put`](Call::put).
    pub fn touch_entries(
        &mut self,
        state: StateId,
        slots: &[u32],
        keys: &Column,
    ) -> Result<(), Failure> {
        if lives_on_reads(self.check_entries(state, slots, keys)?) {
            self.check_written(state, slots.len(), keys.size_bytes())?;
            self.writes.touch_entries(state, slots, keys);
        }
        Ok(())
    }

    fn check_entries(
        &self,
        state: StateId,
        slots: &[u32],
        keys: &Column,
    ) -> Result<&statehouse_state::StateDeclaration, Failure> {
        let declared = self.of_kind(state, StateKind::Map)?;
        self.check_entry_keys(declared, keys)?;
        same_length("slots", slots.len(), "keys", keys.len())?;
        self.check_slots(slots)?;
        Ok(declared)
    }
}

/// Puts the values of writes, or nothing, into rows of a window. The rows are in order.
fn lay_over(writes: &StateWrites, newer: &[(usize, Option<usize>)], window: &mut Window) {
    for &(row, write) in newer {
        window.present.set(row, write.is_some());
    }
    match &mut window.values {
        Column::Words(words) => {
            for &(row, write) in newer {
                words[row] = match write.map(|write| writes.value(write)) {
                    Some(Cell::Word(word)) => word,
                    _ => 0,
                };
            }
        }
        Column::Bytes(rows) if !newer.is_empty() => {
            let mut merged = BytesColumn::with_capacity(rows.len(), rows.arena().len());
            let mut kept = 0;
            for &(row, write) in newer {
                merged.extend_from_range(rows, kept, row);
                kept = row + 1;
                match write.map(|write| writes.value(write)) {
                    Some(Cell::Bytes(value)) => merged.push(value),
                    _ => merged.push(&[]),
                }
            }
            merged.extend_from_range(rows, kept, rows.len());
            *rows = merged;
        }
        Column::Bytes(_) => {}
    }
}

/// The first bytes that sort after all that begin with a prefix; nothing if there are none.
fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|&byte| byte < u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}
