//! Swaps: what is planned, how it is watched, and who takes it through its stages.
//!
//! Responsible for: comparing a component with the one that runs ([`plan`]), what a trial must meet ([`invariant`],
//! [`watch`]), and the way from a request to its end ([`conductor`]).
//!
//! Not responsible for the flip itself, nor for going back: that is the engine's and the backends'.

mod components;
pub mod conductor;
pub mod invariant;
pub mod plan;
mod progress;
mod stages;
pub mod unfinished;
pub mod watch;

pub use conductor::{Conductor, NotAsked};
