//! The ledger that wants more memory than it gets.

// Uses it on every target, so that none of it is dead code.
const _: ledgers::odd::Hungry = ledgers::odd::Hungry;

#[cfg(target_family = "wasm")]
use ledgers::odd::Hungry;

#[cfg(target_family = "wasm")]
statehouse::bindings::export_component!(Hungry with_types_in statehouse::bindings);
