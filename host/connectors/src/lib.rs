//! Sources and sinks: where a job's records come from and where its results go.
//!
//! Responsible for: the settings of every connector, files and directories of text, CSV and JSON Lines (compressed or
//! not), standard input and output, the deterministic generator, and the output directory that is written exactly
//! once.
//!
//! Not responsible for: when to poll, checkpoint or commit. The engine's traits say what a connector must promise.

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
mod paths;
pub mod settings;
pub mod stdin;
pub mod stdout;

pub use directory::DirectoryFactory;
pub use discard::DiscardFactory;
pub use files::FilesFactory;
pub use generator::GeneratorFactory;
pub use settings::{SinkSettings, SourceSettings};
pub use stdin::StdinFactory;
pub use stdout::StdoutFactory;
