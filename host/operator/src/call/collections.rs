//! Lists and maps: what both have in common. An invocation that wrote nothing to a collection reads from the backend
//! straight away; otherwise what it wrote is merged in.

use std::ops::Bound;

use statehouse_state::{
    Backend, Cell, Column, Entries, KeyLayout, Presence, Scan, StateDeclaration, StateId,
    StateWrites,
};

use super::check::other_layout;
use super::overlay::{EntryKey, SlotWrites, is_empty_range, ordered};
use super::{Call, trapped};
use crate::failure::Failure;

/// How many entries are asked for at first where their size is not known.
const CHUNK: usize = 32;

/// The collections of all slots that were small enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collections {
    /// Where each slot's entries end; they begin where those of the slot before end.
    pub ends: Vec<u32>,
    /// Which slots' collections are here as a whole. One that is not has no entries here.
    pub complete: Presence,
    /// The entries.
    pub entries: Entries,
}

impl Call {
    /// Appends entries of one slot in order, own writes included: at most `scan.limit`, and at most `bytes` bytes of
    /// keys and values, but one at least if there is one. Whether there are more.
    ///
    /// # Errors
    /// If there is no such collection or slot, or a bound or the columns are of another kind.
    pub fn scan(
        &mut self,
        state: StateId,
        scan: &Scan<'_>,
        bytes: usize,
        found: &mut Entries,
    ) -> Result<bool, Failure> {
        let declared = self.check_scan(state, scan)?;
        let words = declared.entry_key().is_some_and(KeyLayout::is_words);
        if (found.keys.is_words(), found.values.is_words()) != (words, declared.value.is_words()) {
            return Err(other_layout(declared));
        }
        let before = found.len();
        let more = self.read(state, scan, bytes, found)?;
        if more && found.len() == before && scan.limit > 0 {
            return self.read(state, &Scan { limit: 1, ..*scan }, usize::MAX, found);
        }
        Ok(more)
    }

    /// The collections of all slots that have at most `limit` entries, as far as they fit into `bytes` bytes.
    ///
    /// # Errors
    /// If there is no such collection.
    pub fn load_all(
        &mut self,
        state: StateId,
        limit: usize,
        bytes: usize,
    ) -> Result<Collections, Failure> {
        let mut entries = empty_entries(self.collection(state)?);
        let mut complete = Presence::default();
        complete.reset(self.slots as usize);
        let mut ends = Vec::with_capacity(self.slots as usize);
        // What is read in vain is limited as well: slots after that count as too large.
        let (mut room, mut patience) = (bytes, bytes.saturating_mul(4));
        for slot in 0..self.slots {
            let before = entries.len();
            let scan = Scan::all(slot, limit);
            if patience > 0 && !self.read(state, &scan, room, &mut entries)? {
                room -= size_of_rows(&entries, before);
                complete.set(slot as usize, true);
            } else {
                patience = patience.saturating_sub(size_of_rows(&entries, before));
                entries.keys.truncate(before);
                entries.values.truncate(before);
            }
            ends.push(entries.len() as u32);
        }
        Ok(Collections { ends, complete, entries })
    }

    /// Whether a slot's collection has no entries.
    ///
    /// # Errors
    /// If there is no such collection or slot.
    pub fn is_empty(&mut self, state: StateId, slot: u32) -> Result<bool, Failure> {
        let scan = Scan::all(slot, 1);
        let mut found = empty_entries(self.check_scan(state, &scan)?);
        self.read(state, &scan, usize::MAX, &mut found)?;
        Ok(found.is_empty())
    }

    /// Removes all entries of these slots.
    ///
    /// # Errors
    /// If there is no such collection or slot.
    pub fn clear(&mut self, state: StateId, slots: &[u32]) -> Result<(), Failure> {
        self.collection(state)?;
        self.check_slots(slots)?;
        self.check_written(state, slots.len(), 0)?;
        self.writes.clear_entries(state, slots);
        Ok(())
    }

    fn check_scan(&self, state: StateId, scan: &Scan<'_>) -> Result<&StateDeclaration, Failure> {
        let declared = self.collection(state)?;
        self.check_slots(&[scan.slot])?;
        let words = declared.entry_key().is_some_and(KeyLayout::is_words);
        for bound in [scan.from, scan.to] {
            if let Bound::Included(cell) | Bound::Excluded(cell) = bound
                && matches!(cell, Cell::Word(_)) != words
            {
                return Err(trapped(format!(
                    "a range of state `{}` is bounded by a key of another layout",
                    declared.name
                )));
            }
        }
        Ok(declared)
    }

    /// Appends entries until there are `scan.limit`, or the next would not fit into `bytes`. Whether there are more.
    fn read(
        &mut self,
        state: StateId,
        scan: &Scan<'_>,
        bytes: usize,
        found: &mut Entries,
    ) -> Result<bool, Failure> {
        let Some(layout) = self.states[state.0 as usize].entry_key() else { return Ok(false) };
        if is_empty_range(layout, scan) {
            return Ok(false);
        }
        if scan.limit == 0 {
            // Only whether there is anything.
            let before = found.len();
            self.read(state, &Scan { limit: 1, ..*scan }, usize::MAX, found)?;
            let more = found.len() > before;
            found.keys.truncate(before);
            found.values.truncate(before);
            return Ok(more);
        }
        let writes = self.writes.state(state);
        let overlay = &mut self.overlays[state.0 as usize];
        let written = if writes.slots.is_empty() {
            None
        } else {
            overlay.update(layout, writes);
            overlay.slot(scan.slot)
        };
        let backend = self.backend.as_deref_mut();
        match (backend, written) {
            (Some(backend), None) => read_committed(backend, state, scan, bytes, found),
            (None, None) => Ok(false),
            (backend, Some(written)) => {
                let backend = backend.filter(|_| !written.cleared);
                Merging { backend, state, layout, scan, writes, written }.read(bytes, found)
            }
        }
    }

    /// Appends a slot's entries as the backend has them. Whether there are more.
    pub(super) fn read_committed(
        &mut self,
        state: StateId,
        scan: &Scan<'_>,
        bytes: usize,
        found: &mut Entries,
    ) -> Result<bool, Failure> {
        match self.backend.as_deref_mut() {
            Some(backend) => read_committed(backend, state, scan, bytes, found),
            None => Ok(false),
        }
    }
}

/// No entries of a state.
pub(super) fn empty_entries(declared: &StateDeclaration) -> Entries {
    let key_words = declared.entry_key().is_none_or(KeyLayout::is_words);
    Entries::new(key_words, declared.value.is_words())
}

fn cell_bytes(cell: Cell<'_>) -> usize {
    match cell {
        Cell::Word(_) => 8,
        Cell::Bytes(bytes) => bytes.len() + 4,
    }
}

fn entry_bytes(entries: &Entries, row: usize) -> usize {
    cell_bytes(entries.keys.cell(row)) + cell_bytes(entries.values.cell(row))
}

fn size_of_rows(entries: &Entries, from: usize) -> usize {
    (from..entries.len()).map(|row| entry_bytes(entries, row)).sum()
}

fn push(column: &mut Column, cell: Cell<'_>) -> Result<(), Failure> {
    match (column, cell) {
        (Column::Words(words), Cell::Word(word)) => words.push(word),
        (Column::Bytes(rows), Cell::Bytes(bytes)) => rows.push(bytes),
        _ => return Err(trapped("entries were asked for in columns of another layout".to_owned())),
    }
    Ok(())
}

/// Where a scan goes on: after a key, if there is one.
fn after<'a>(
    from: Bound<Cell<'a>>,
    last: Option<&'a EntryKey>,
    layout: KeyLayout,
) -> Bound<Cell<'a>> {
    last.map_or(from, |key| Bound::Excluded(key.cell(layout)))
}

/// Reads in steps, so that large entries do not fill the memory before anyone looks at their size.
fn read_committed(
    backend: &mut (dyn Backend + 'static),
    state: StateId,
    scan: &Scan<'_>,
    bytes: usize,
    found: &mut Entries,
) -> Result<bool, Failure> {
    let start = found.len();
    let layout = if found.keys.is_words() { KeyLayout::U64 } else { KeyLayout::Bytes };
    let of_words = found.keys.is_words() && found.values.is_words();
    // Words have 16 bytes an entry.
    let mut step = if of_words { (bytes / 16).saturating_add(1) } else { CHUNK };
    let mut last: Option<EntryKey> = None;
    let mut room = bytes;
    loop {
        let had = found.len();
        let limit = (scan.limit - (had - start)).min(step);
        let from = after(scan.from, last.as_ref(), layout);
        let more = backend.scan(state, &Scan { from, limit, ..*scan }, found)?;
        for row in had..found.len() {
            let size = entry_bytes(found, row);
            if size > room {
                found.keys.truncate(row);
                found.values.truncate(row);
                return Ok(true);
            }
            room -= size;
        }
        let rows = found.len() - start;
        if !more || rows >= scan.limit || found.len() == had {
            return Ok(more);
        }
        last = Some(EntryKey::new(layout, found.keys.cell(found.len() - 1)));
        // Twice as many as before, but no more than fit if they are like those so far.
        step = (step * 2).min(room / ((bytes - room) / rows).max(1) + 1);
    }
}

/// A slot's entries and what was written to them.
struct Merging<'a, 's> {
    /// Not there if it has nothing to say.
    backend: Option<&'a mut (dyn Backend + 'static)>,
    state: StateId,
    layout: KeyLayout,
    scan: &'a Scan<'s>,
    writes: &'a StateWrites,
    written: &'a SlotWrites,
}

impl Merging<'_, '_> {
    fn read(mut self, bytes: usize, found: &mut Entries) -> Result<bool, Failure> {
        let mut committed = Entries::new(found.keys.is_words(), found.values.is_words());
        let (mut at, mut more) = (0, self.backend.is_some());
        let mut own = self.written.range(self.layout, self.scan).peekable();
        let (mut room, mut rows) = (bytes, 0);
        loop {
            if at == committed.len() && more {
                more = next_entries(
                    &mut self.backend,
                    self.state,
                    self.layout,
                    self.scan,
                    &mut committed,
                )?;
                at = 0;
            }
            let theirs =
                (at < committed.len()).then(|| ordered(self.layout, committed.keys.cell(at)));
            let mine = own.peek().map(|(key, _)| key.ordered());
            let (theirs_next, mine_next) = match (theirs, mine) {
                (None, None) => return Ok(false),
                (Some(_), None) => (true, false),
                (None, Some(_)) => (false, true),
                (Some(theirs), Some(mine)) => (theirs <= mine, mine <= theirs),
            };
            let row = at;
            at += usize::from(theirs_next);
            let (key, value) = if mine_next {
                match own.next() {
                    Some((key, Some(write))) => (key.cell(self.layout), self.writes.value(write)),
                    _ => continue,
                }
            } else {
                (committed.keys.cell(row), committed.values.cell(row))
            };
            let size = cell_bytes(key) + cell_bytes(value);
            if rows == self.scan.limit || size > room {
                return Ok(true);
            }
            push(&mut found.keys, key)?;
            push(&mut found.values, value)?;
            (room, rows) = (room - size, rows + 1);
        }
    }
}

/// Replaces the entries of the backend that were read by those that follow. Whether there are more after them.
fn next_entries(
    backend: &mut Option<&mut (dyn Backend + 'static)>,
    state: StateId,
    layout: KeyLayout,
    scan: &Scan<'_>,
    committed: &mut Entries,
) -> Result<bool, Failure> {
    let Some(backend) = backend else { return Ok(false) };
    let last = committed.len().checked_sub(1);
    let last = last.map(|last| EntryKey::new(layout, committed.keys.cell(last)));
    let from = after(scan.from, last.as_ref(), layout);
    committed.clear();
    let more = backend.scan(state, &Scan { from, limit: CHUNK, ..*scan }, committed)?;
    Ok(more && !committed.is_empty())
}
