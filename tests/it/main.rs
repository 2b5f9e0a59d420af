//! The binary and real components, end to end: real files, a real store, processes that are really killed.

#![expect(clippy::unwrap_used, reason = "what a test cannot do without ends it")]

mod bad_checkpoint;
mod bad_component;
mod bad_job;
mod build;
mod commands;
mod examples;
mod flights;
mod kill;
mod kinds;
mod misbehaving;
mod nexmark;
mod workplace;
