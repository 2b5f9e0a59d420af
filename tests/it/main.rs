//! The binary and real components, end to end: real files, a real store, processes that are really killed.

#![expect(clippy::unwrap_used, reason = "what a test cannot do without ends it")]

mod bad_checkpoint;
mod bad_component;
mod bad_job;
mod build;
mod collection;
mod commands;
mod examples;
mod flights;
mod forks;
mod kill;
mod kinds;
mod ledgers;
mod misbehaving;
mod nexmark;
mod owners;
mod remote;
mod savepoints;
mod settings;
mod state;
mod swaps;
mod workplace;
