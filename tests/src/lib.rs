//! What the simulation and the integration tests share: an outside world that survives crashes, sources and sinks in
//! it, and native operators.

pub mod outside;
pub mod tally;
