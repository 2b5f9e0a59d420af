//! `statehouse checkpoint scrub`.

use std::process::ExitCode;

use clap::Args;
use futures::executor::block_on;

use crate::cli::{log, print};
use crate::target::OpenPlace;

/// Read everything in a store, and compare it with its hashes; repair it from a copy. Exit code 1 if damage is left
///
/// Unlike `verify` it looks at savepoints, pins and packs that nothing refers to, too.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  statehouse checkpoint scrub job.toml
  statehouse checkpoint scrub job.toml --repair-from s3://backup/job")]
pub(in crate::cli) struct ScrubArgs {
    /// Where the checkpoints are: the job file, the folder or the URL
    #[arg(value_name = "PLACE")]
    place: String,
    /// Replace what is damaged or missing by what this place has: a job file, a folder or a URL
    #[arg(long, value_name = "PLACE")]
    repair_from: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}
