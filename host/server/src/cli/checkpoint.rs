//! `statehouse checkpoint`: looking at checkpoints. Nothing here writes.

mod list;
mod show;
mod verify;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use futures::executor::block_on;
use statehouse_checkpoint::{CheckpointStore, Epoch};

use crate::launch::open_to_look;

/// Look at the checkpoints of a job
#[derive(Debug, Subcommand)]
pub(super) enum CheckpointVerb {
    List(ListArgs),
    Show(ShowArgs),
    Verify(VerifyArgs),
}

/// List all checkpoints, newest first
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  statehouse checkpoint list job.toml
  statehouse checkpoint list /var/lib/job/checkpoints --json")]
pub(super) struct ListArgs {
    /// The checkpoint directory, or the job file that names it
    #[arg(value_name = "DIR|JOB.toml")]
    place: PathBuf,
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
    /// The checkpoint directory, or the job file that names it
    #[arg(value_name = "DIR|JOB.toml")]
    place: PathBuf,
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
    /// The checkpoint directory, or the job file that names it
    #[arg(value_name = "DIR|JOB.toml")]
    place: PathBuf,
    /// Only this checkpoint; default: all
    #[arg(value_name = "ID")]
    epoch: Option<Epoch>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(verb: CheckpointVerb) -> anyhow::Result<ExitCode> {
    match verb {
        CheckpointVerb::List(ListArgs { place, json }) => list::run(&open(&place)?, json),
        CheckpointVerb::Show(ShowArgs { place, epoch, json }) => {
            let store = open(&place)?;
            show::run(&store, one(&store, epoch)?, json)
        }
        CheckpointVerb::Verify(VerifyArgs { place, epoch, json }) => {
            let store = open(&place)?;
            let epochs = match epoch {
                Some(epoch) => vec![one(&store, Some(epoch))?],
                None => block_on(store.list())?,
            };
            verify::run(&store, &epochs, json)
        }
    }
}

fn open(place: &Path) -> anyhow::Result<CheckpointStore> {
    let opened = open_to_look(place).map_err(|reason| anyhow!("`{}`: {reason}", place.display()));
    Ok(opened?.1)
}

/// The checkpoint asked for, else the newest.
fn one(store: &CheckpointStore, epoch: Option<Epoch>) -> anyhow::Result<Epoch> {
    let epochs = block_on(store.list())?;
    let newest = *epochs.first().context("there is no checkpoint yet")?;
    match epoch {
        None => Ok(newest),
        Some(epoch) if epochs.contains(&epoch) => Ok(epoch),
        Some(epoch) => {
            let known: Vec<String> = epochs.iter().map(Epoch::to_string).collect();
            Err(anyhow!("there is no checkpoint {epoch}; there are: {}", known.join(", ")))
        }
    }
}
