//! `statehouse checkpoint collect`.

use std::process::ExitCode;

use clap::Args;
use futures::executor::block_on;
use serde_json::json;
use statehouse_checkpoint::{
    CollectPlan, CollectReport, Collector, DirectoryLock, Error, Retention,
};

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
    let failed = |error: Error| anyhow::anyhow!("{}", error.chain());
    let mut collector = Collector::new(open.store.clone(), Retention { num_retained });
    if args.dry_run {
        let plan = block_on(collector.plan()).map_err(failed)?;
        return told_plan(&args, &plan);
    }
    let _lock = own(&open, &args)?;
    let lease = block_on(open.store.claim()).map_err(failed)?;
    let report = block_on(collector.collect(&lease)).map_err(failed)?;
    told(&args, &report)
}

fn told_plan(args: &CollectArgs, plan: &CollectPlan) -> anyhow::Result<ExitCode> {
    let (epochs, packs) = (plan.epochs(), plan.packs());
    if args.json {
        print::json(&json!({
            "dry_run": true,
            "manifests": epochs.len(),
            "packs": packs,
            "pack_bytes": plan.pack_bytes(),
            "epochs": epochs,
            "objects": plan.objects(),
            "blocked": chains(&plan.blocked),
        }))?;
    } else {
        for object in plan.objects() {
            print::data(format_args!("{object}\n"))?;
        }
        let manifests = format::counted(epochs.len() as u64, "checkpoint");
        let bytes = format::bytes(plan.pack_bytes());
        let packs = format::counted(packs as u64, "pack");
        print::remark(format_args!("{manifests} and {packs} ({bytes}) would be deleted"));
    }
    Ok(blocked(args, &plan.blocked))
}

fn told(args: &CollectArgs, report: &CollectReport) -> anyhow::Result<ExitCode> {
    let CollectReport { manifests, packs, spared, released, blocked: left } = report;
    if args.json {
        let released: Vec<&str> = released.iter().map(|origin| &*origin.location).collect();
        print::json(&json!({
            "dry_run": false,
            "manifests": manifests,
            "packs": packs,
            "spared": spared,
            "released": released,
            "blocked": chains(left),
        }))?;
    } else {
        let manifests = format::counted(*manifests as u64, "checkpoint");
        let packs = format::counted(*packs as u64, "pack");
        print::remark(format_args!("{manifests} and {packs} deleted"));
        for origin in released {
            print::remark(format_args!("`{}` is not needed any more", origin.location));
        }
    }
    Ok(blocked(args, left))
}

/// What must be kept and cannot be read is in the way of every deletion.
fn blocked(args: &CollectArgs, errors: &[Error]) -> ExitCode {
    for error in errors {
        print::remark(format_args!("nothing can be deleted: {}", error.chain()));
    }
    if errors.is_empty() {
        return ExitCode::SUCCESS;
    }
    print::remark(format_args!(
        "`statehouse checkpoint scrub {} --repair-from PLACE` mends it from a copy",
        args.place
    ));
    ExitCode::FAILURE
}

fn chains(errors: &[Error]) -> Vec<String> {
    errors.iter().map(Error::chain).collect()
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
