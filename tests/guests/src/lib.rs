//! Operators for the host's tests, in one component: some misbehave, the others use everything
//! there is.
//!
//! - `mishap`, input `numbers` (u64 → i64): a running sum, until a number tells it to trap, spin,
//!   hog memory, and so on.
//! - `raw`, input `acts` (u64 → text): breaks the contract by hand, as each row's text says.
//! - `sum`, input `numbers` (u64 → i64): a running sum, nothing else.
//! - `global`, input `numbers` (u64 → i64): counts in a global, which no checkpoint knows.
//! - `alarms`, input `alarms` (text → msgpack): sets and deletes timers of both clocks, says which
//!   fired.
//! - `junction`, inputs `left` (text → i64), `right` (text → text) and `loose` (no key, JSON): three
//!   inputs, three outputs.
//! - `huge`, input `sizes` (u64 → u64): a state and an output of as many bytes as told.
//! - `chatter`, input `lines` (no key, text): logs each line, counts it, rejects empty ones, says
//!   what time it is.
//! - `kinds`, input `numbers` (u64 → i64): keeps each number in every kind of state, and says what
//!   they hold.
//! - `limits`, input `numbers` (u64 → i64): a value, or a map's key, of as many bytes as told.
//! - `turned`, input `numbers` (u64 → i64): declares the state of `sum` as something else.
//! - `rules`, inputs `rules` (no key, JSON, to every task) and `numbers` (u64 → i64): broadcast
//!   state and lists of the task.

mod kinds;
mod mishap;
mod raw;
mod shape;
mod workers;

use statehouse::bindings::{
    Batch, Column, Description, Failure, Guest, MigrationGuest, OperatorMigrations, TimerBatch,
};
use statehouse::component::{self, Exported};

const OPERATORS: &[Exported] = &[
    Exported::of::<mishap::Mishap>(),
    Exported::of::<workers::Sum>(),
    Exported::of::<workers::Global>(),
    Exported::of::<workers::Alarms>(),
    Exported::of::<workers::Junction>(),
    Exported::of::<workers::Huge>(),
    Exported::of::<workers::Chatter>(),
    Exported::of::<shape::Shape>(),
    Exported::of::<kinds::Kinds>(),
    Exported::of::<kinds::Limits>(),
    Exported::of::<kinds::Turned>(),
    Exported::of::<kinds::Rules>(),
];

/// What `export!` makes, and beside it the one operator that goes without the SDK.
struct Component;

impl Guest for Component {
    fn describe() -> Vec<Description> {
        let mut operators = component::describe(OPERATORS, env!("CARGO_PKG_VERSION"));
        operators.push(raw::describe());
        operators
    }

    fn open(operator: String, settings: Vec<(String, String)>) -> Result<(), String> {
        if operator == raw::NAME {
            raw::open();
            return Ok(());
        }
        component::open(OPERATORS, &operator, &settings)
    }

    fn process(batch: Batch) -> Result<(), Failure> {
        if raw::is_open() { raw::process(batch) } else { component::process(batch) }
    }

    fn on_timers(timers: TimerBatch) -> Result<(), Failure> {
        component::on_timers(timers)
    }
}

impl MigrationGuest for Component {
    fn migrations() -> Vec<OperatorMigrations> {
        component::migrations(OPERATORS)
    }

    fn migrate(state: u32, version: u32, values: Column) -> Result<Column, Failure> {
        component::migrate(state, version, values)
    }
}

// Uses it on every target, so that none of it is dead code.
const _: Component = Component;

#[cfg(target_family = "wasm")]
statehouse::bindings::export_component!(Component with_types_in statehouse::bindings);
