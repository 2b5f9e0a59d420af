//! What the simulation and the integration tests share: an outside world that survives crashes, sources and sinks in
//! it, native operators, components that no SDK has made, and the answers of Nexmark's queries.

#[cfg(feature = "full")]
pub mod foreign;
pub mod ledger;
#[cfg(feature = "full")]
pub mod nexmark;
pub mod outside;
pub mod tally;
