//! `statehouse checkpoint collect`.

use std::process::ExitCode;

use clap::Args;
use futures::executor::block_on;
use serde_json::json;
use statehouse_checkpoint::{Collector, DirectoryLock, Retention};

use crate::cli::{log, print};
use crate::control::Client;
use crate::format;
use crate::job_file::RETAINED_DEFAULT;
use crate::target::OpenPlace;

/// Delete checkpoints beyond those that are retained, and every pack that nothing refers to
///
/// A running job does this by itself. Savepoints stay, and so does what forks and copies of this job need.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  statehouse checkpoint collect job.toml --dry-run       what would be deleted
  statehouse checkpoint collect job.toml
  statehouse checkpoint collect /old/checkpoints --num-retained 1
  statehouse checkpoint collect s3://bucket/job --take-over")]
pub(in crate::cli) struct CollectArgs {
    /// Where the checkpoints are: the job file, the folder or the URL
    #[arg(value_name = "PLACE")]
    place: String,
    /// Print what would be deleted, and delete nothing
    #[arg(long)]
    dry_run: bool,
    /// How many checkpoints stay; default: `num-retained` of the job file, else 3
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    num_retained: Option<u32>,
    /// For a URL: become the owner, which ends the job if it runs on some machine
    #[arg(long)]
    take_over: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: CollectArgs) -> anyhow::Result<ExitCode> {
    log::start_plain()?;
    let open = OpenPlace::to_look(&args.place)?;
    let table = open.job.as_ref().and_then(|file| file.checkpoint.as_ref());
    let in_file = table.map_or(RETAINED_DEFAULT, |table| table.num_retained);
    let num_retained = args.num_retained.unwrap_or(in_file);
    let failed = |error: statehouse_checkpoint::Error| anyhow::anyhow!("{}", error.chain());
    let mut collector = Collector::new(open.store.clone(), Retention { num_retained });
    if args.dry_run {
        let plan = block_on(collector.plan()).map_err(failed)?;
        return told(&args, &plan.into(), "would be deleted");
    }
    let _lock = own(&open, &args)?;
    let lease = block_on(open.store.claim()).map_err(failed)?;
    let report = block_on(collector.collect(&lease)).map_err(failed)?;
    told(&args, &report.into(), "deleted")
}

/// Makes sure that nobody runs the job whose checkpoints these are.
fn own(open: &OpenPlace, args: &CollectArgs) -> anyhow::Result<Option<DirectoryLock>> {
    if let Some(file) = &open.job
        && Client::connect(&file.state_directory())?.is_some()
    {
        anyhow::bail!(
            "job `{}` is running and collects by itself; `--dry-run` shows what there is",
            file.job.name
        );
    }
    match open.place.directory() {
        Some(directory) => Ok(Some(DirectoryLock::acquire(directory)?)),
        None if args.take_over => Ok(None),
        None => anyhow::bail!(
            "whether the job of `{}` runs on some machine cannot be seen from here, and collecting would end it: make \
             sure that it does not run, and add `--take-over`",
            open.place
        ),
    }
}
