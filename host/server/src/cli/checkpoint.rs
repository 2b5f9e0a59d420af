//! `statehouse checkpoint`: looking at checkpoints, checking and copying them, and deleting what nothing needs.

mod collect;
mod copy;
mod list;
mod scrub;
mod show;
mod verify;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use futures::executor::block_on;
use statehouse_checkpoint::Epoch;

use crate::target::{OpenPlace, What};

pub(super) use show::show;

/// Look at the checkpoints of a job, check and copy them, delete what nothing needs
#[derive(Debug, Subcommand)]
pub(super) enum CheckpointVerb {
    List(ListArgs),
    Show(ShowArgs),
    Verify(VerifyArgs),
    Scrub(scrub::ScrubArgs),
    Copy(copy::CopyArgs),
    Collect(collect::CollectArgs),
}

/// List all checkpoints, newest first
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  statehouse checkpoint list job.toml
  statehouse checkpoint list s3://bucket/job --json")]
pub(super) struct ListArgs {
    /// Where the checkpoints are: the job file, the folder or the URL
    #[arg(value_name = "PLACE")]
    place: String,
    /// Print a JSON list
    #[arg(long)]
    json: bool,
}

/// Show everything that a checkpoint's manifest says
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  statehouse checkpoint show job.toml         the newest
  statehouse checkpoint show job.toml 7 --json")]
pub(super) struct ShowArgs {
    /// Where the checkpoints are: the job file, the folder or the URL
    #[arg(value_name = "PLACE")]
    place: String,
    /// The checkpoint; default: the newest
    #[arg(value_name = "ID")]
    epoch: Option<Epoch>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Read everything that checkpoints refer to, and compare it with its hashes; exit code 1 if anything is damaged
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  statehouse checkpoint verify job.toml       all checkpoints
  statehouse checkpoint verify job.toml 7     one")]
pub(super) struct VerifyArgs {
    /// Where the checkpoints are: the job file, the folder or the URL
    #[arg(value_name = "PLACE")]
    place: String,
    /// Only this checkpoint; default: all
    #[arg(value_name = "ID")]
    epoch: Option<Epoch>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(verb: CheckpointVerb) -> anyhow::Result<ExitCode> {
    match verb {
        CheckpointVerb::List(ListArgs { place, json }) => {
            list::run(&OpenPlace::to_look(&place)?.store, json)
        }
        CheckpointVerb::Show(ShowArgs { place, epoch, json }) => {
            let what = epoch.map_or(What::Newest, What::Checkpoint);
            show(&what.read(&OpenPlace::to_look(&place)?.store)?, json)
        }
        CheckpointVerb::Verify(VerifyArgs { place, epoch, json }) => {
            let store = OpenPlace::to_look(&place)?.store;
            let epochs = match epoch {
                Some(epoch) => {
                    What::Checkpoint(epoch).find(&store)?;
                    vec![epoch]
                }
                None => block_on(store.list())?,
            };
            verify::run(&store, &epochs, json)
        }
        CheckpointVerb::Scrub(args) => scrub::run(args),
        CheckpointVerb::Copy(args) => copy::run(args),
        CheckpointVerb::Collect(args) => collect::run(args),
    }
}
