//! The `statehouse` binary as a library: the composition root, where stores, clocks, engines and connectors meet.
//!
//! Responsible for: reading job files, environment and command line; putting a job together from them and running it;
//! building and scaffolding guest crates; showing what there is to see in components and checkpoints.
//!
//! Not responsible for: what any of the parts does. Only this crate reads the environment and prints.

pub mod bench;
pub mod cli;
pub mod environment;
pub mod format;
pub mod guest;
pub mod job_file;
pub mod job_graph;
pub mod launch;
pub mod scaffold;
pub mod wasm_factory;

pub use environment::Environment;
pub use job_file::{JobFile, JobFileError, Override};
pub use launch::{Launched, StartFrom};
