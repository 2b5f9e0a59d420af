//! What callers may ask for.

use super::RocksBackend;
use super::collections::Collection;
use crate::column::Column;
use crate::declaration::StateId;
use crate::error::Error;
use crate::ownership::{check_form, check_owned};

impl RocksBackend {
    pub(super) fn collection(&self, state: StateId) -> Result<&Collection, Error> {
        let collection = self.collections.get(state.0 as usize);
        collection.and_then(Option::as_ref).ok_or_else(|| self.refused(state, "is no collection"))
    }

    pub(super) fn refused(&self, state: StateId, reason: &str) -> Error {
        let reason = match self.schema.states().get(state.0 as usize) {
            Some(declared) => format!("state `{}` {reason}", declared.name),
            None => format!("there is no state number {}", state.0),
        };
        Error::Access { reason }
    }

    /// Refuses keys of another layout, or that the task does not own.
    pub(super) fn check_keys(&self, keys: &Column, hashes: &[u64]) -> Result<(), Error> {
        check_form(keys, hashes, self.schema.key().is_words())?;
        check_owned(hashes, self.key_groups, self.range)
    }

    /// Refuses columns of another layout than the state's.
    pub(super) fn check_layout(
        &self,
        state: StateId,
        values: &Column,
        entries: Option<&Column>,
    ) -> Result<(), Error> {
        let Some(declared) = self.schema.states().get(state.0 as usize) else {
            return Err(self.refused(state, ""));
        };
        let entry_fits = match (entries, declared.entry_key()) {
            (Some(entries), Some(layout)) => entries.is_words() == layout.is_words(),
            (Some(_), None) => false,
            (None, _) => true,
        };
        if declared.value.is_words() != values.is_words() || !entry_fits {
            return Err(self.refused(state, "has another layout than the columns made for it"));
        }
        Ok(())
    }
}
