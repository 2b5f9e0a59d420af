//! What an operator hands over is checked here: numbers, slots, kinds, lengths and sizes.

use statehouse_state::{Column, Merge, StateDeclaration, StateId, StateKind, merge};

use super::{Call, trapped};
use crate::failure::Failure;

/// Bytes that a write takes besides its key and value.
const WRITE_BYTES: usize = 5;

impl Call {
    /// Whether a state holds words.
    ///
    /// # Errors
    /// If there is no such state.
    pub fn is_words(&self, state: StateId) -> Result<bool, Failure> {
        Ok(self.declared(state)?.value.is_words())
    }

    /// A state, of whatever kind.
    pub(super) fn declared(&self, state: StateId) -> Result<&StateDeclaration, Failure> {
        let found = self.states.get(state.0 as usize);
        found.ok_or_else(|| trapped(format!("there is no state {}", state.0)))
    }

    /// A state with one value a key.
    pub(super) fn cell_state(&self, state: StateId) -> Result<&StateDeclaration, Failure> {
        let declared = self.declared(state)?;
        if declared.kind.is_cell() { Ok(declared) } else { Err(is_a(declared)) }
    }

    /// A list or a map.
    pub(super) fn collection(&self, state: StateId) -> Result<&StateDeclaration, Failure> {
        let declared = self.declared(state)?;
        if declared.kind.is_collection() { Ok(declared) } else { Err(is_a(declared)) }
    }

    /// A state of one kind.
    pub(super) fn of_kind(
        &self,
        state: StateId,
        kind: StateKind,
    ) -> Result<&StateDeclaration, Failure> {
        let declared = self.declared(state)?;
        if declared.kind == kind { Ok(declared) } else { Err(is_a(declared)) }
    }

    pub(super) fn check_slots(&self, slots: &[u32]) -> Result<(), Failure> {
        match slots.iter().find(|&&slot| slot >= self.slots) {
            Some(slot) => Err(trapped(format!(
                "slot {slot} was not handed out: the invocation has {} keys",
                self.slots
            ))),
            None => Ok(()),
        }
    }

    /// Refuses values that are not the state's, are too large, or are not sets where they must be.
    pub(super) fn check_values(
        &self,
        declared: &StateDeclaration,
        values: &Column,
    ) -> Result<(), Failure> {
        if declared.value.is_words() != values.is_words() {
            return Err(other_layout(declared));
        }
        self.check_value_sizes(&declared.name, values)?;
        let Column::Bytes(rows) = values else { return Ok(()) };
        if declared.merge == Some(Merge::SetUnion)
            && let Some(row) = rows.iter().position(|row| !merge::is_set(row))
        {
            return Err(trapped(format!(
                "row {row} for state `{}` is no set: elements in ascending order, each once, each a varint length and \
                 that many bytes",
                declared.name
            )));
        }
        Ok(())
    }

    /// Refuses keys that are not those of the state's entries, or are too large.
    pub(super) fn check_entry_keys(
        &self,
        declared: &StateDeclaration,
        keys: &Column,
    ) -> Result<(), Failure> {
        if declared.entry_key().is_none_or(|key| key.is_words() != keys.is_words()) {
            return Err(trapped(format!(
                "the map keys of state `{}` have another layout",
                declared.name
            )));
        }
        self.check_key_sizes(&declared.name, keys)
    }

    pub(super) fn check_value_sizes(&self, name: &str, values: &Column) -> Result<(), Failure> {
        check_sizes("a value", name, values, self.limits.value_bytes)
    }

    pub(super) fn check_key_sizes(&self, name: &str, keys: &Column) -> Result<(), Failure> {
        check_sizes("a map key", name, keys, self.limits.key_bytes)
    }

    /// Refuses keys of records that are too large. The row to blame is found as for any other failure.
    pub(super) fn check_record_keys(&self, keys: &Column) -> Result<(), Failure> {
        let limit = self.limits.key_bytes;
        match too_large(keys, limit) {
            Some(bytes) => Err(trapped(format!(
                "a record's key has {bytes} bytes, and {limit} are the most that a key may have"
            ))),
            None => Ok(()),
        }
    }

    /// Refuses what would make the write set of a state too large.
    #[inline]
    pub(super) fn check_written(
        &self,
        state: StateId,
        rows: usize,
        bytes: usize,
    ) -> Result<(), Failure> {
        let writes = self.writes.state(state);
        let held = writes.slots.len() * WRITE_BYTES
            + writes.keys.size_bytes()
            + writes.values.size_bytes();
        // Bare writes take room for their empty keys and values.
        let added = bytes + rows * (WRITE_BYTES + 2 * size_of::<u64>());
        let limit = self.limits.written_bytes;
        if held + added <= limit {
            return Ok(());
        }
        let name = &self.states[state.0 as usize].name;
        Err(trapped(format!(
            "one invocation wrote more than {limit} bytes to state `{name}`, which is the most"
        )))
    }
}

/// The size of the first row that is larger than allowed. Looks no closer if all rows together are not.
fn too_large(column: &Column, limit: usize) -> Option<usize> {
    let Column::Bytes(rows) = column else { return None };
    if rows.arena().len() <= limit {
        return None;
    }
    rows.iter().map(<[u8]>::len).find(|&bytes| bytes > limit)
}

fn check_sizes(what: &str, name: &str, column: &Column, limit: usize) -> Result<(), Failure> {
    match too_large(column, limit) {
        Some(bytes) => Err(trapped(format!(
            "{what} of {bytes} bytes for state `{name}`, and {limit} are the most that it may have"
        ))),
        None => Ok(()),
    }
}

pub(super) fn same_length(
    what: &str,
    left: usize,
    other: &str,
    right: usize,
) -> Result<(), Failure> {
    if left == right {
        return Ok(());
    }
    Err(trapped(format!("{left} {what} for {right} {other}")))
}

pub(super) fn other_layout(declared: &StateDeclaration) -> Failure {
    trapped(format!("state `{}` has another layout", declared.name))
}

fn is_a(declared: &StateDeclaration) -> Failure {
    let kind = match declared.kind {
        StateKind::Value => "value",
        StateKind::List => "list",
        StateKind::Map => "map",
        StateKind::Reducing => "reducing",
        StateKind::Aggregating => "aggregating",
    };
    trapped(format!(
        "state `{}` is a {kind} state, and cannot be accessed as another",
        declared.name
    ))
}
