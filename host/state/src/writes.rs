//! Write sets: what one invocation wants to change, kept aside until the invocation has succeeded.

use crate::column::Column;
use crate::declaration::{StateDeclaration, StateId, TimerId};
use crate::window::Window;

/// The writes to one state, in the order in which they were made.
#[derive(Debug, Clone)]
pub struct StateWrites {
    /// The slot of each write.
    pub slots: Vec<u32>,
    /// Whether each write sets a value (or removes it).
    pub set: Vec<bool>,
    /// The value of each write; zero or empty for a removal.
    pub values: Column,
}

/// A timer set or taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimerChange {
    /// The timer family.
    pub timer: TimerId,
    /// Whose timer.
    pub slot: u32,
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
}

impl WriteSet {
    /// An empty write set for an operator with these states.
    pub fn new(states: &[StateDeclaration]) -> Self {
        let writes = |state: &StateDeclaration| StateWrites {
            slots: Vec::new(),
            set: Vec::new(),
            values: Column::empty(state.value.is_words()),
        };
        Self { states: states.iter().map(writes).collect(), timers: Vec::new() }
    }

    /// Forgets everything and keeps the memory.
    pub fn clear(&mut self) {
        for state in &mut self.states {
            state.slots.clear();
            state.set.clear();
            state.values.clear();
        }
        self.timers.clear();
    }

    /// Whether nothing would change.
    pub fn is_empty(&self) -> bool {
        self.timers.is_empty() && self.states.iter().all(|state| state.slots.is_empty())
    }

    /// The writes to a state. The state must be one of those that the set was made for.
    pub fn state(&self, state: StateId) -> &StateWrites {
        &self.states[state.0 as usize]
    }

    /// The states in order of their ids.
    pub fn states(&self) -> impl Iterator<Item = (StateId, &StateWrites)> {
        self.states.iter().enumerate().map(|(id, writes)| (StateId(id as u32), writes))
    }

    /// The timer changes in the order in which they were made.
    pub fn timers(&self) -> &[TimerChange] {
        &self.timers
    }

    /// Writes numbers: `words[i]` for `slots[i]`. The state must be one of words.
    pub fn set_words(&mut self, state: StateId, slots: &[u32], words: &[u64]) {
        let writes = &mut self.states[state.0 as usize];
        let Column::Words(values) = &mut writes.values else { panic!("the state holds bytes") };
        values.extend_from_slice(words);
        writes.slots.extend_from_slice(slots);
        writes.set.resize(writes.slots.len(), true);
    }

    /// Writes a column of the state's kind: row `i` for `slots[i]`.
    pub fn set_column(&mut self, state: StateId, slots: &[u32], values: &Column) {
        let writes = &mut self.states[state.0 as usize];
        writes.values.extend_from_range(values, 0, values.len());
        writes.slots.extend_from_slice(slots);
        writes.set.resize(writes.slots.len(), true);
    }

    /// Writes one value of bytes. The state must be one of bytes.
    pub fn set_bytes(&mut self, state: StateId, slot: u32, value: &[u8]) {
        let writes = &mut self.states[state.0 as usize];
        let Column::Bytes(values) = &mut writes.values else { panic!("the state holds words") };
        values.push(value);
        writes.slots.push(slot);
        writes.set.push(true);
    }

    /// Removes the values of these slots.
    pub fn remove(&mut self, state: StateId, slots: &[u32]) {
        let writes = &mut self.states[state.0 as usize];
        for &slot in slots {
            match &mut writes.values {
                Column::Words(words) => words.push(0),
                Column::Bytes(bytes) => bytes.push(&[]),
            }
            writes.slots.push(slot);
            writes.set.push(false);
        }
    }

    /// Sets or deletes a timer.
    pub fn change_timer(&mut self, change: TimerChange) {
        self.timers.push(change);
    }

    /// Lays the writes to a state over a window that was loaded from the backend, so that an invocation reads what
    /// it wrote.
    pub fn overlay(&self, state: StateId, window: &mut Window) {
        let writes = self.state(state);
        if writes.slots.is_empty() {
            return;
        }
        for (&slot, &set) in writes.slots.iter().zip(&writes.set) {
            window.present.set(slot as usize, set);
        }
        match (&writes.values, &mut window.values) {
            (Column::Words(written), Column::Words(loaded)) => {
                for (&slot, &word) in writes.slots.iter().zip(written) {
                    loaded[slot as usize] = word;
                }
            }
            (Column::Bytes(written), Column::Bytes(loaded)) => {
                let mut newest = vec![None; loaded.len()];
                for (write, &slot) in writes.slots.iter().enumerate() {
                    newest[slot as usize] = Some(write);
                }
                let mut merged =
                    crate::BytesColumn::with_capacity(loaded.len(), loaded.arena().len());
                for (slot, write) in newest.into_iter().enumerate() {
                    merged.push(write.map_or_else(|| loaded.get(slot), |write| written.get(write)));
                }
                *loaded = merged;
            }
            _ => panic!("a state has one layout"),
        }
    }
}
