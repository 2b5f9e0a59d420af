//! The operator trait.

use statehouse_state::{Column, StateId, TimerId};

use crate::call::Call;
use crate::description::Description;
use crate::evolution::Migrations;
use crate::failure::Failure;

/// The rows of one invocation.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// The input port's place in the description.
    pub port: u32,
    /// Event times.
    pub times: &'a [i64],
    /// Each row's key slot; empty if the port is not keyed.
    pub slots: &'a [u32],
    /// The key of every slot, if the port is keyed.
    pub keys: Option<&'a Column>,
    /// The values.
    pub values: &'a Column,
}

/// Due timers of one invocation: at most one row a slot.
#[derive(Debug, Clone, Copy)]
pub struct TimerRows<'a> {
    /// The timer family's place in the description.
    pub timer: TimerId,
    /// When each was to fire.
    pub times: &'a [i64],
    /// The namespace that each was set in; 0 where none was given.
    pub namespaces: &'a [u64],
    /// Each row's key slot.
    pub slots: &'a [u32],
    /// The key of every slot.
    pub keys: &'a Column,
}

/// Turns batches of records into batches of records. Owns nothing durable: state, timers and outputs are reached
/// through the [`Call`] that it is handed, and only what a successful invocation did counts.
///
/// After a failure the same operator is called again, with other rows: an implementation that cannot go on with
/// what it has in memory (a wasm instance that trapped) begins afresh by itself.
pub trait Operator: Send {
    /// What it declares. Never changes.
    fn description(&self) -> &Description;

    /// Takes a batch.
    ///
    /// # Errors
    /// Whatever goes wrong is a [`Failure`]; then nothing that it did to the call counts.
    fn process(&mut self, rows: Rows<'_>, call: &mut Call) -> Result<(), Failure>;

    /// Takes due timers.
    ///
    /// # Errors
    /// As for [`process`](Operator::process).
    fn on_timers(&mut self, timers: TimerRows<'_>, call: &mut Call) -> Result<(), Failure>;

    /// What it can take over from its earlier versions. Never changes.
    fn migrations(&self) -> Migrations {
        Migrations::default()
    }

    /// Turns values that a state had at an older schema version into what it declares: a row for each.
    ///
    /// # Errors
    /// As for [`process`](Operator::process); a refusal that names a row blames the value there.
    fn migrate(
        &mut self,
        state: StateId,
        from_version: u32,
        _values: &Column,
    ) -> Result<Column, Failure> {
        let reason = format!(
            "it cannot take values of schema version {from_version} of its state {}",
            state.0
        );
        Err(Failure::Refused { row: None, reason })
    }
}
