//! State with one value a key: value, reducing and aggregating state.

use statehouse_state::{Column, StateDeclaration, StateId, TtlUpdate, Window};

use super::check::{other_layout, same_length};
use super::{Call, trapped};
use crate::failure::Failure;

impl Call {
    /// Fills a window with a state's values for every slot, with what this invocation wrote laid over them.
    ///
    /// # Errors
    /// If there is no such state, it has no values to load, or the window is of another kind.
    pub fn load(&mut self, state: StateId, window: &mut Window) -> Result<(), Failure> {
        let declared = self.cell_state(state)?;
        if declared.value.is_words() != window.values.is_words() {
            return Err(other_layout(declared));
        }
        match &mut self.backend {
            Some(backend) if self.slots > 0 => backend.load(state, window)?,
            _ => window.reset(0),
        }
        self.writes.overlay(state, window);
        if window.too_large { Err(self.too_large(state)) } else { Ok(()) }
    }

    /// A window that one call cannot hold. The batch is then tried again in halves.
    pub(super) fn too_large(&self, state: StateId) -> Failure {
        let name = &self.states[state.0 as usize].name;
        trapped(format!("what was asked for of state `{name}` is more than 4 GiB together"))
    }

    /// Writes numbers: `words[i]` for `slots[i]`.
    ///
    /// # Errors
    /// If the state, a slot or the layout is not what was declared or handed out.
    pub fn store_words(
        &mut self,
        state: StateId,
        slots: &[u32],
        words: &[u64],
    ) -> Result<(), Failure> {
        let declared = self.cell_state(state)?;
        if !declared.value.is_words() {
            return Err(other_layout(declared));
        }
        same_length("slots", slots.len(), "values", words.len())?;
        self.check_slots(slots)?;
        self.check_written(state, slots.len(), size_of_val(words))?;
        self.writes.set_words(state, slots, words);
        Ok(())
    }

    /// Writes a column: row `i` for `slots[i]`.
    ///
    /// # Errors
    /// As [`store_words`](Call::store_words); also if a value is too large.
    pub fn store(&mut self, state: StateId, slots: &[u32], values: &Column) -> Result<(), Failure> {
        self.check_store(self.cell_state(state)?, state, slots, values)?;
        self.writes.set_column(state, slots, values);
        Ok(())
    }

    /// Removes values.
    ///
    /// # Errors
    /// If there is no such state or slot.
    pub fn remove(&mut self, state: StateId, slots: &[u32]) -> Result<(), Failure> {
        self.cell_state(state)?;
        self.check_slots(slots)?;
        self.check_written(state, slots.len(), 0)?;
        self.writes.remove(state, slots);
        Ok(())
    }

    /// Merges row `i` into the value of `slots[i]`, in order, as the state declares.
    ///
    /// # Errors
    /// As [`store`](Call::store); also if the state is no reducing one, or a set is none.
    pub fn merge(&mut self, state: StateId, slots: &[u32], deltas: &Column) -> Result<(), Failure> {
        let declared = self.cell_state(state)?;
        if declared.merge.is_none() {
            return Err(trapped(format!(
                "state `{}` declares no merge that the host could execute",
                declared.name
            )));
        }
        self.check_store(declared, state, slots, deltas)?;
        self.writes.merge(state, slots, deltas);
        Ok(())
    }

    /// Says that the values of these slots were read. Does nothing where reads make nothing live longer.
    ///
    /// # Errors
    /// If there is no such state or slot.
    pub fn touch(&mut self, state: StateId, slots: &[u32]) -> Result<(), Failure> {
        let counts = lives_on_reads(self.cell_state(state)?);
        self.check_slots(slots)?;
        if counts {
            self.check_written(state, slots.len(), 0)?;
            self.writes.touch(state, slots);
        }
        Ok(())
    }

    /// Checks values that are written, a row a slot.
    pub(super) fn check_store(
        &self,
        declared: &StateDeclaration,
        state: StateId,
        slots: &[u32],
        values: &Column,
    ) -> Result<(), Failure> {
        self.check_values(declared, values)?;
        same_length("slots", slots.len(), "values", values.len())?;
        self.check_slots(slots)?;
        self.check_written(state, slots.len(), values.size_bytes())
    }
}

/// Whether reads make a state's values live longer.
pub(super) fn lives_on_reads(declared: &StateDeclaration) -> bool {
    declared.ttl.is_some_and(|ttl| ttl.update == TtlUpdate::OnReadAndWrite)
}
