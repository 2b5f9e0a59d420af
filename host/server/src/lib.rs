//! The `statehouse` binary as a library: the composition root, where stores, clocks, engines and connectors meet.
//!
//! Responsible for: reading job files, environment and command line; putting a job together from them and running it;
//! reaching a running job over its control socket; building and scaffolding guest crates; showing what there is to
//! see in components, checkpoints and savepoints, and copying, pinning and collecting them.
//!
//! Not responsible for: what any of the parts does. Only this crate reads the environment and prints.

pub mod bench;
pub mod cli;
pub mod control;
pub mod environment;
pub mod format;
pub mod guest;
pub mod job_components;
pub mod job_file;
pub mod job_graph;
pub mod launch;
pub mod live_job;
pub mod place;
pub mod scaffold;
pub mod swap;
pub mod target;
pub mod wasm_factory;

pub use environment::Environment;
pub use job_file::{JobFile, JobFileError, Override};
pub use launch::{Launched, Start, StartFrom};
pub use place::Place;
