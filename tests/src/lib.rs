//! What the simulation and the integration tests share: an outside world that survives crashes, sources and sinks in
//! it, native operators, components that no SDK has made, and the answers of Nexmark's queries.

pub mod faulty;
#[cfg(feature = "full")]
pub mod foreign;
pub mod ledger;
#[cfg(feature = "full")]
pub mod nexmark;
pub mod outside;
pub mod tally;

/// The digest of the component that a version of an operator would be in, if it were in one: its version.
pub fn component(version: u32) -> String {
    format!("{version:064x}")
}

/// The version of an operator whose digest that is.
pub fn version(component: &str) -> Option<u32> {
    u32::from_str_radix(component.trim_start_matches('0'), 16).ok()
}
