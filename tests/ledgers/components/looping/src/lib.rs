//! The ledger that never opens.

// Uses it on every target, so that none of it is dead code.
const _: ledgers::odd::Looping = ledgers::odd::Looping;

#[cfg(target_family = "wasm")]
use ledgers::odd::Looping;

#[cfg(target_family = "wasm")]
statehouse::bindings::export_component!(Looping with_types_in statehouse::bindings);
