//! Changing what a backend serves while it runs: values move from a state's older form to its new one, a few at a
//! time, between invocations.

use crate::column::Column;
use crate::declaration::StateId;
use crate::error::Error;

/// From which state to which values move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Move {
    /// Where they are. The state may have another layout than the other one, not another kind of keys.
    pub from: StateId,
    /// Where they go. What is there already is newer, and stays.
    pub to: StateId,
}

/// Whose values move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Those of the keys of the invocation that has begun. What was loaded before must be loaded again.
    Invocation,
    /// The next ones, of any keys, at most so many: values, or entries of collections.
    Next(usize),
}

/// Values in their new form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Converted {
    /// As many rows as were given. Rows that failed are passed over.
    pub values: Column,
    /// The rows that could not be converted, in ascending order, each with the reason.
    pub failed: Vec<(u32, String)>,
}

/// Turns values of a state's older form into its new one.
pub type Convert<'a> = dyn FnMut(&Column) -> Result<Converted, Error> + 'a;

/// What a call that moves values came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Moved {
    /// Values and entries that are in their new place now.
    pub moved: u64,
    /// Those that stay where they are because they could not be converted.
    pub failed: Vec<NotMoved>,
    /// Whether nothing is left that has not failed. Always false for [`Which::Invocation`].
    pub done: bool,
}

/// A value that could not be converted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotMoved {
    /// The slot of its key, for [`Which::Invocation`].
    pub slot: Option<u32>,
    /// Its key: one row.
    pub key: Column,
    /// Why.
    pub reason: String,
}
