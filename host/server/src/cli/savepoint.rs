//! `statehouse savepoint`: checkpoints that are kept under a name.

mod create;
mod list;
mod portable;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use futures::executor::block_on;

use super::{checkpoint, print};
use crate::target::{OpenPlace, What};

/// Keep checkpoints under a name, for as long as you like
#[derive(Debug, Subcommand)]
pub(super) enum SavepointVerb {
    Create(create::CreateArgs),
    List(ListArgs),
    Show(ShowArgs),
    Delete(DeleteArgs),
}

/// List all savepoints
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  statehouse savepoint list job.toml
  statehouse savepoint list s3://bucket/job --json")]
pub(super) struct ListArgs {
    /// Where the checkpoints are: the job file, the folder or the URL
    #[arg(value_name = "PLACE")]
    place: String,
    /// Print a JSON list
    #[arg(long)]
    json: bool,
}

/// Show everything that a savepoint's manifest says
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  statehouse savepoint show job.toml before-upgrade")]
pub(super) struct ShowArgs {
    /// Where the checkpoints are: the job file, the folder or the URL
    #[arg(value_name = "PLACE")]
    place: String,
    /// The savepoint
    name: String,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Delete savepoints
///
/// What only they needed is deleted by the next collection: of the running job, or by `statehouse checkpoint collect`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  statehouse savepoint delete job.toml before-upgrade")]
pub(super) struct DeleteArgs {
    /// Where the checkpoints are: the job file, the folder or the URL
    #[arg(value_name = "PLACE")]
    place: String,
    /// The savepoints
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(verb: SavepointVerb) -> anyhow::Result<ExitCode> {
    match verb {
        SavepointVerb::Create(args) => create::run(args),
        SavepointVerb::List(ListArgs { place, json }) => {
            list::run(&OpenPlace::to_look(&place)?.store, json)
        }
        SavepointVerb::Show(ShowArgs { place, name, json }) => {
            let manifest = What::Savepoint(name).read(&OpenPlace::to_look(&place)?.store)?;
            checkpoint::show(&manifest, json)
        }
        SavepointVerb::Delete(args) => delete(args),
    }
}

fn delete(args: DeleteArgs) -> anyhow::Result<ExitCode> {
    let open = OpenPlace::to_look(&args.place)?;
    // All names are looked at before the first is deleted.
    for name in &args.names {
        What::Savepoint(name.clone()).find(&open.store)?;
    }
    for name in &args.names {
        block_on(open.store.delete_savepoint(name))
            .map_err(|error| anyhow::anyhow!("{}", error.chain()))?;
        if !args.json {
            print::remark(format_args!("savepoint `{name}` deleted"));
        }
    }
    if args.json {
        print::json(&serde_json::json!({ "deleted": args.names }))?;
    }
    Ok(ExitCode::SUCCESS)
}
