//! Sources and sinks: where a job's records come from and where its results go.
//!
//! Responsible for: the settings of every connector, files and directories of text, CSV and JSON Lines (compressed or
//! not), standard input and output, deterministic generators of numbers and of Nexmark's auction events, and the output
//! directory that is written exactly once.
//!
//! Not responsible for: when to poll, checkpoint or commit. The engine's traits say what a connector must promise.

mod blocks;
mod compression;
#[cfg(test)]
mod conformance;
pub mod directory;
pub mod discard;
pub mod files;
mod format;
pub mod generator;
mod input;
mod json_lines;
mod made_up;
pub mod nexmark;
mod paths;
pub mod settings;
pub mod stdin;
pub mod stdout;

pub use directory::DirectoryFactory;
pub use discard::DiscardFactory;
pub use files::FilesFactory;
pub use generator::GeneratorFactory;
pub use nexmark::NexmarkFactory;
pub use settings::{SinkSettings, SourceSettings};
pub use stdin::StdinFactory;
pub use stdout::StdoutFactory;
