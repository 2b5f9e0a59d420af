//! Moving values from retired states to those of the description: of the keys of an invocation before it, of all
//! others a few at a time.

use serde::{Deserialize, Serialize};

use super::Invoker;
use crate::failure::InvokeError;

/// What a sweep came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sweep {
    /// Values and entries that were moved.
    pub moved: u64,
    /// Those that cannot be converted, and stay.
    pub failed: u64,
    /// Whether nothing is left that could be moved. Sweeping again costs nothing then.
    pub done: bool,
}

/// How far a migration is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MigrationProgress {
    /// Values and entries that are in retired states, those included that cannot be converted.
    pub left: u64,
    /// Those that were moved, since the operator was put in place.
    pub moved: u64,
    /// Those that sweeps could not convert.
    pub failed: u64,
}

impl Invoker {
    /// Whether there are retired states that may have values.
    pub fn is_migrating(&self) -> bool {
        false
    }

    /// Moves the next values, about `limit` of them, and lets go of retired states that are empty: the next snapshot is
    /// then full. Between two invocations.
    ///
    /// # Errors
    /// If a value cannot be converted and the policy says that the job fails, or the host cannot do its part.
    pub fn sweep(&mut self, limit: usize) -> Result<Sweep, InvokeError> {
        let _ = limit;
        Ok(Sweep { done: true, ..Sweep::default() })
    }

    /// How far the migration is.
    pub fn migration(&self) -> MigrationProgress {
        MigrationProgress::default()
    }
}
