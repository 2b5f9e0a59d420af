//! Write sets: what one invocation wants to change, kept aside until the invocation has succeeded.

use crate::column::Column;
use crate::declaration::{Merge, StateDeclaration, StateId, TimerId, ValueLayout};
use crate::merge;
use crate::segment::Cell;
use crate::window::Window;

/// What a write does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteOp {
    /// Sets a value, or a map's entry.
    Set,
    /// Removes a value, or a map's entry.
    Remove,
    /// Merges into a reducing state's value.
    Merge,
    /// Says that a value, or an entry, was read: its time-to-live starts anew. Nothing else changes.
    Touch,
    /// Adds an element to the end of a list. The backend gives it its number.
    Append,
    /// Removes all entries of a collection.
    Clear,
}

/// The writes to one state, in the order in which they were made: one row each.
#[derive(Debug, Clone)]
pub struct StateWrites {
    /// The slot of each write.
    pub slots: Vec<u32>,
    /// What each write does.
    pub ops: Vec<WriteOp>,
    /// For collections, the key of each write's entry: zero or empty if it is about none. Otherwise empty.
    pub keys: Column,
    /// The value of each write; zero or empty if it has none.
    pub values: Column,
    layout: ValueLayout,
    merge: Option<Merge>,
    collection: bool,
}

impl StateWrites {
    fn new(state: &StateDeclaration) -> Self {
        let key = state.entry_key();
        Self {
            slots: Vec::new(),
            ops: Vec::new(),
            keys: Column::empty(key.is_none_or(|key| key.is_words())),
            values: Column::empty(state.value.is_words()),
            layout: state.value,
            merge: state.merge,
            collection: key.is_some(),
        }
    }

    fn clear(&mut self) {
        self.slots.clear();
        self.ops.clear();
        self.keys.clear();
        self.values.clear();
    }

    /// Appends writes that all do the same: row `i` of the columns for `slots[i]`.
    fn extend(&mut self, op: WriteOp, slots: &[u32], keys: Option<&Column>, values: &Column) {
        debug_assert!(values.len() == slots.len());
        self.slots.extend_from_slice(slots);
        self.ops.resize(self.slots.len(), op);
        self.values.extend_from_range(values, 0, values.len());
        match keys {
            Some(keys) => self.keys.extend_from_range(keys, 0, keys.len()),
            None if self.collection => pad(&mut self.keys, self.slots.len()),
            None => {}
        }
    }

    /// Appends writes without values.
    fn extend_bare(&mut self, op: WriteOp, slots: &[u32], keys: Option<&Column>) {
        self.slots.extend_from_slice(slots);
        self.ops.resize(self.slots.len(), op);
        pad(&mut self.values, self.slots.len());
        match keys {
            Some(keys) => self.keys.extend_from_range(keys, 0, keys.len()),
            None if self.collection => pad(&mut self.keys, self.slots.len()),
            None => {}
        }
    }
}

/// Appends zeros, or empty rows, up to that many rows.
fn pad(column: &mut Column, rows: usize) {
    match column {
        Column::Words(words) => words.resize(rows, 0),
        Column::Bytes(bytes) => (bytes.len()..rows).for_each(|_| bytes.push(&[])),
    }
}

/// A timer set or taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimerChange {
    /// The timer family.
    pub timer: TimerId,
    /// Whose timer.
    pub slot: u32,
    /// Tells timers of one key and time apart: the start of a window, say. 0 where none was given.
    pub namespace: u64,
    /// When it fires.
    pub time: i64,
    /// Whether it is set (or deleted).
    pub set: bool,
}

/// All changes of one invocation. Cleared and reused, so that it allocates nothing once it has grown.
#[derive(Debug, Clone)]
pub struct WriteSet {
    states: Vec<StateWrites>,
    timers: Vec<TimerChange>,
    event_times: Vec<i64>,
}

impl WriteSet {
    /// An empty write set for an operator with these states.
    pub fn new(states: &[StateDeclaration]) -> Self {
        let states = states.iter().map(StateWrites::new).collect();
        Self { states, timers: Vec::new(), event_times: Vec::new() }
    }

    /// Forgets everything and keeps the memory.
    pub fn clear(&mut self) {
        self.states.iter_mut().for_each(StateWrites::clear);
        self.timers.clear();
        self.event_times.clear();
    }

    /// Whether nothing would change.
    pub fn is_empty(&self) -> bool {
        self.timers.is_empty() && self.states.iter().all(|state| state.slots.is_empty())
    }

    /// The writes to a state. The state must be one of those that the set was made for.
    pub fn state(&self, state: StateId) -> &StateWrites {
        &self.states[state.0 as usize]
    }

    /// The writes to a state, if the set was made for it.
    pub(crate) fn of(&self, state: StateId) -> Option<&StateWrites> {
        self.states.get(state.0 as usize).filter(|writes| !writes.slots.is_empty())
    }

    /// The states in order of their ids.
    pub fn states(&self) -> impl Iterator<Item = (StateId, &StateWrites)> {
        self.states.iter().enumerate().map(|(id, writes)| (StateId(id as u32), writes))
    }

    /// The timer changes in the order in which they were made.
    pub fn timers(&self) -> &[TimerChange] {
        &self.timers
    }

    /// Notes the newest event time among each slot's records, which times-to-live in event time start from. Without
    /// it they start from the watermark.
    pub fn note_event_times(&mut self, times: &[i64]) {
        self.event_times.clear();
        self.event_times.extend_from_slice(times);
    }

    /// The newest event time among a slot's records, if it was noted.
    #[inline]
    pub fn event_time(&self, slot: u32) -> Option<i64> {
        self.event_times.get(slot as usize).copied()
    }

    /// Writes numbers: `words[i]` for `slots[i]`. The state must be one of words.
    pub fn set_words(&mut self, state: StateId, slots: &[u32], words: &[u64]) {
        let writes = &mut self.states[state.0 as usize];
        let Column::Words(values) = &mut writes.values else { panic!("the state holds bytes") };
        values.extend_from_slice(words);
        writes.slots.extend_from_slice(slots);
        writes.ops.resize(writes.slots.len(), WriteOp::Set);
    }

    /// Writes a column of the state's kind: row `i` for `slots[i]`.
    pub fn set_column(&mut self, state: StateId, slots: &[u32], values: &Column) {
        self.states[state.0 as usize].extend(WriteOp::Set, slots, None, values);
    }

    /// Writes one value of bytes. The state must be one of bytes.
    pub fn set_bytes(&mut self, state: StateId, slot: u32, value: &[u8]) {
        let writes = &mut self.states[state.0 as usize];
        let Column::Bytes(values) = &mut writes.values else { panic!("the state holds words") };
        values.push(value);
        writes.slots.push(slot);
        writes.ops.push(WriteOp::Set);
    }

    /// Removes the values of these slots.
    pub fn remove(&mut self, state: StateId, slots: &[u32]) {
        self.states[state.0 as usize].extend_bare(WriteOp::Remove, slots, None);
    }

    /// Merges row `i` into the value of `slots[i]`. The state must be a reducing one.
    pub fn merge(&mut self, state: StateId, slots: &[u32], deltas: &Column) {
        self.states[state.0 as usize].extend(WriteOp::Merge, slots, None, deltas);
    }

    /// Says that the values of these slots were read.
    pub fn touch(&mut self, state: StateId, slots: &[u32]) {
        self.states[state.0 as usize].extend_bare(WriteOp::Touch, slots, None);
    }

    /// Sets the entry `keys[i]` of `slots[i]` to row `i`. The state must be a map.
    pub fn put_entries(&mut self, state: StateId, slots: &[u32], keys: &Column, values: &Column) {
        self.states[state.0 as usize].extend(WriteOp::Set, slots, Some(keys), values);
    }

    /// Removes the entry `keys[i]` of `slots[i]`. The state must be a map, or a list whose elements' numbers were read.
    pub fn remove_entries(&mut self, state: StateId, slots: &[u32], keys: &Column) {
        self.states[state.0 as usize].extend_bare(WriteOp::Remove, slots, Some(keys));
    }

    /// Says that the entry `keys[i]` of `slots[i]` was read. The state must be a collection.
    pub fn touch_entries(&mut self, state: StateId, slots: &[u32], keys: &Column) {
        self.states[state.0 as usize].extend_bare(WriteOp::Touch, slots, Some(keys));
    }

    /// Adds row `i` to the end of the list of `slots[i]`. The state must be a list.
    pub fn append(&mut self, state: StateId, slots: &[u32], values: &Column) {
        self.states[state.0 as usize].extend(WriteOp::Append, slots, None, values);
    }

    /// Takes back an element that was added in this write set: the one of write `write` to the state.
    pub fn cancel_append(&mut self, state: StateId, write: usize) {
        let writes = &mut self.states[state.0 as usize];
        assert!(writes.ops[write] == WriteOp::Append, "only additions are taken back");
        let Column::Words(numbers) = &mut writes.keys else {
            unreachable!("elements are numbered")
        };
        // Removing a number that no element ever gets does nothing.
        (writes.ops[write], numbers[write]) = (WriteOp::Remove, u64::MAX);
    }

    /// Removes all entries of these slots. The state must be a collection.
    pub fn clear_entries(&mut self, state: StateId, slots: &[u32]) {
        self.states[state.0 as usize].extend_bare(WriteOp::Clear, slots, None);
    }

    /// Sets or deletes a timer.
    pub fn change_timer(&mut self, change: TimerChange) {
        self.timers.push(change);
    }

    /// Lays the writes to a state, no collection, over a window that was loaded from the backend, so that an
    /// invocation reads what it wrote.
    pub fn overlay(&self, state: StateId, window: &mut Window) {
        let writes = self.state(state);
        if writes.slots.is_empty() {
            return;
        }
        match (&writes.values, &mut window.values) {
            (Column::Words(written), Column::Words(loaded)) => {
                for ((&slot, &op), &word) in writes.slots.iter().zip(&writes.ops).zip(written) {
                    let slot = slot as usize;
                    loaded[slot] = match op {
                        WriteOp::Touch => continue,
                        WriteOp::Merge if window.present.get(slot) => {
                            writes.merge_words(loaded[slot], word)
                        }
                        _ => word,
                    };
                    window.present.set(slot, op != WriteOp::Remove);
                }
            }
            (Column::Bytes(_), Column::Bytes(_)) => writes.overlay_bytes(window),
            _ => panic!("a state has one layout"),
        }
    }
}

impl StateWrites {
    /// Merges a number into another, as the state declares. The state must be a reducing one.
    #[inline]
    pub fn merge_words(&self, current: u64, delta: u64) -> u64 {
        let merge = self.merge.expect("only reducing states are merged into");
        merge::words(merge, self.layout, current, delta)
    }

    /// Merges bytes into others, as the state declares. The state must be a reducing one.
    pub fn merge_bytes(&self, current: &mut Vec<u8>, delta: &[u8]) {
        let merge = self.merge.expect("only reducing states are merged into");
        merge::bytes(merge, current, delta);
    }

    /// The entry key of a write to a collection.
    pub fn key(&self, write: usize) -> Cell<'_> {
        self.keys.cell(write)
    }

    /// The value of a write.
    pub fn value(&self, write: usize) -> Cell<'_> {
        self.values.cell(write)
    }

    fn overlay_bytes(&self, window: &mut Window) {
        let (Column::Bytes(written), Column::Bytes(loaded)) = (&self.values, &mut window.values)
        else {
            unreachable!("the caller has looked")
        };
        let mut newest: Vec<Option<Vec<u8>>> = vec![None; loaded.len()];
        for (write, (&slot, &op)) in self.slots.iter().zip(&self.ops).enumerate() {
            let slot = slot as usize;
            match op {
                WriteOp::Touch => continue,
                WriteOp::Merge if window.present.get(slot) => {
                    let value = newest[slot].get_or_insert_with(|| loaded.get(slot).to_vec());
                    self.merge_bytes(value, written.get(write));
                }
                _ => newest[slot] = Some(written.get(write).to_vec()),
            }
            window.present.set(slot, op != WriteOp::Remove);
        }
        let mut merged = crate::BytesColumn::with_capacity(loaded.len(), loaded.arena().len());
        for (slot, value) in newest.iter().enumerate() {
            let value = value.as_deref().unwrap_or_else(|| loaded.get(slot));
            window.too_large |= !merged.push_if_it_fits(value);
        }
        *loaded = merged;
    }
}
