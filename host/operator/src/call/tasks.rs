//! State that belongs to the task and not to a key.

use statehouse_state::{Cell, Column, Entries, TaskStates};

use super::{Call, trapped};
use crate::failure::Failure;

impl Call {
    /// The elements of a split or union state.
    ///
    /// # Errors
    /// If there is no such state.
    pub fn task_list(&self, state: u32) -> Result<&Column, Failure> {
        Ok(self.tasks(state)?.list(state)?)
    }

    /// Adds elements to a split or union state.
    ///
    /// # Errors
    /// If there is no such state, or the values are of another layout or too large.
    pub fn append_task_list(&mut self, state: u32, values: &Column) -> Result<(), Failure> {
        self.check_task_values(state, values)?;
        Ok(self.tasks_mut(state)?.append(state, values)?)
    }

    /// Replaces the elements of a split or union state.
    ///
    /// # Errors
    /// As [`append_task_list`](Call::append_task_list).
    pub fn replace_task_list(&mut self, state: u32, values: &Column) -> Result<(), Failure> {
        self.check_task_values(state, values)?;
        Ok(self.tasks_mut(state)?.replace(state, values)?)
    }

    /// All entries of a broadcast state, in the order of their keys.
    ///
    /// # Errors
    /// If there is no such state.
    pub fn broadcast_entries(&self, state: u32) -> Result<Entries, Failure> {
        Ok(self.tasks(state)?.entries(state)?)
    }

    /// One entry of a broadcast state.
    ///
    /// # Errors
    /// If there is no such state, or the key is of another layout.
    pub fn broadcast_entry(&self, state: u32, key: Cell<'_>) -> Result<Option<Cell<'_>>, Failure> {
        Ok(self.tasks(state)?.get(state, key)?)
    }

    /// Sets entries of a broadcast state.
    ///
    /// # Errors
    /// If the rows of this invocation did not come in by a broadcast input, there is no such state, or the columns are
    /// of another kind or length, or too large.
    pub fn put_broadcast(
        &mut self,
        state: u32,
        keys: &Column,
        values: &Column,
    ) -> Result<(), Failure> {
        self.check_broadcast(state)?;
        self.check_task_values(state, values)?;
        self.check_key_sizes(&self.tasks(state)?.declaration(state)?.name, keys)?;
        Ok(self.tasks_mut(state)?.put(state, keys, values)?)
    }

    /// Removes entries of a broadcast state.
    ///
    /// # Errors
    /// As [`put_broadcast`](Call::put_broadcast).
    pub fn remove_broadcast(&mut self, state: u32, keys: &Column) -> Result<(), Failure> {
        self.check_broadcast(state)?;
        Ok(self.tasks_mut(state)?.remove(state, keys)?)
    }

    /// Removes all entries of a broadcast state.
    ///
    /// # Errors
    /// As [`put_broadcast`](Call::put_broadcast).
    pub fn clear_broadcast(&mut self, state: u32) -> Result<(), Failure> {
        self.check_broadcast(state)?;
        Ok(self.tasks_mut(state)?.clear(state)?)
    }

    fn tasks(&self, state: u32) -> Result<&TaskStates, Failure> {
        self.task_states.as_ref().ok_or_else(|| no_state(state))
    }

    fn tasks_mut(&mut self, state: u32) -> Result<&mut TaskStates, Failure> {
        self.task_states.as_mut().ok_or_else(|| no_state(state))
    }

    fn check_task_values(&self, state: u32, values: &Column) -> Result<(), Failure> {
        self.check_value_sizes(&self.tasks(state)?.declaration(state)?.name, values)
    }

    fn check_broadcast(&self, state: u32) -> Result<(), Failure> {
        let name = &self.tasks(state)?.declaration(state)?.name;
        if self.broadcast {
            return Ok(());
        }
        Err(trapped(format!(
            "broadcast state `{name}` changes with records of a broadcast input only: otherwise the tasks' maps would \
             come to differ"
        )))
    }
}

fn no_state(state: u32) -> Failure {
    trapped(format!("there is no task state {state}"))
}
