//! Versions that describe themselves well, and do not start. Their exports are written by hand: what the SDK makes
//! would show their faults while they describe themselves.

use std::hint::black_box;

use statehouse::bindings::{
    Batch, Column, Description, Failure, Guest, MigrationGuest, OperatorMigrations, TimerBatch,
};
use statehouse::component::{self, Exported};

use crate::v2::Ledger;

const OPERATORS: &[Exported] = &[Exported::of::<Ledger>()];

/// Never returns from `open`.
pub struct Looping;

/// Takes 256 MiB in `open`.
pub struct Hungry;

macro_rules! but_for_open {
    ($($component:ident: $before:expr;)*) => {$(
        impl Guest for $component {
            fn describe() -> Vec<Description> {
                component::describe(OPERATORS, env!("CARGO_PKG_VERSION"))
            }

            fn open(operator: String, settings: Vec<(String, String)>) -> Result<(), String> {
                $before;
                component::open(OPERATORS, &operator, &settings)
            }

            fn process(batch: Batch) -> Result<(), Failure> {
                component::process(batch)
            }

            fn on_timers(timers: TimerBatch) -> Result<(), Failure> {
                component::on_timers(timers)
            }
        }

        impl MigrationGuest for $component {
            fn migrations() -> Vec<OperatorMigrations> {
                component::migrations(OPERATORS)
            }

            fn migrate(state: u32, version: u32, values: Column) -> Result<Column, Failure> {
                component::migrate(state, version, values)
            }
        }
    )*};
}

but_for_open! {
    Looping: while black_box(true) {};
    Hungry: black_box(vec![1_u8; 256 << 20]);
}
