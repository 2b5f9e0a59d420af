//! `statehouse run`: runs a job, from its newest checkpoint on.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use indicatif::{MultiProgress, ProgressDrawTarget};
use statehouse_connectors::SinkSettings;
use statehouse_engine::{JobHandle, Stop, threads};

use super::progress::Progress;
use super::summary::Summary;
use super::{log, print};
use crate::environment::Environment;
use crate::job_file::{JobFile, Override};
use crate::job_graph;
use crate::launch::{Launched, StartFrom, launch, newest_listed};

/// Run a job, from its newest checkpoint on if it has run before
///
/// Ctrl-C (or SIGTERM) ends the job with a last checkpoint, so that the next run goes on from there; a second one ends
/// the process at once, and the next run goes on from the newest checkpoint. With several checkpoints, the newest one
/// is taken; if it is damaged, the job does not start, and the message says which older one is whole.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  statehouse run job.toml                       start, or resume from the newest checkpoint
  statehouse run job.toml --fresh               start from nothing; checkpoints stay
  statehouse run job.toml --from 7              resume from checkpoint 7
  statehouse run job.toml --from /backup/c      resume from another directory's newest
  statehouse run job.toml --set source.in.path=/data --set checkpoint.interval=500ms")]
pub(super) struct RunArgs {
    /// The job file
    #[arg(value_name = "JOB.toml")]
    job: PathBuf,
    /// Start from nothing, although there may be checkpoints; they stay
    #[arg(long, conflicts_with = "from")]
    fresh: bool,
    /// Resume from this checkpoint of the job, or from the newest one of another directory
    #[arg(long, value_name = "ID|DIR")]
    from: Option<String>,
    /// Override a value of the job file, as if it stood there
    #[arg(long = "set", value_name = "PATH=VALUE")]
    overrides: Vec<Override>,
    /// Print the summary as one JSON object to stdout when the job has ended
    #[arg(long)]
    json: bool,
    /// Show no progress bar, even on a terminal
    #[arg(long)]
    no_progress: bool,
}

/// What a shell expects of a process that an interrupt has ended.
const EXIT_INTERRUPTED: i32 = 130;

pub(super) fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let bars = MultiProgress::with_draw_target(ProgressDrawTarget::hidden());
    log::start(&bars)?;
    let file = JobFile::read(&args.job, &args.overrides)?;
    if shows_progress(&args, &file) {
        bars.set_draw_target(ProgressDrawTarget::stderr());
    }
    let from = match &args.from {
        None if args.fresh => StartFrom::Nothing,
        None => StartFrom::Newest,
        Some(from) => from.parse()?,
    };
    let graph = job_graph::build(&file, &Environment::read())
        .with_context(|| args.job.display().to_string())?;
    if file.checkpoint.is_none() {
        print::remark(
            "note: the job file has no `[checkpoint]` table: nothing is durable, and the next run starts from nothing",
        );
    }
    let Launched { job, clock, resumed_from, lock, state_folder } = launch(&file, graph, &from)?;
    if let Some(from) = &resumed_from {
        print::remark(format_args!(
            "resuming from checkpoint {} in `{}`",
            from.epoch,
            from.directory.display()
        ));
    }
    let left_behind = file.checkpoint_directory().filter(|_| from == StartFrom::Nothing);
    if let Some(directory) = left_behind
        && let Some(epoch) = newest_listed(&directory)?
    {
        print::remark(format_args!(
            "starting from nothing; the checkpoints up to {epoch} in `{}` stay",
            directory.display()
        ));
    }
    let handle = job.handle.clone();
    let interrupts = stop_on_signals(&handle, &bars)?;
    let started = clock.now();
    let progress = Progress::start(&bars, handle.clone(), Arc::clone(&clock));
    let ended = threads::run(job, &clock);
    progress.finish();
    drop((lock, state_folder));
    if let Err(error) = ended {
        let newest = handle.checkpoints().last().map(|newest| newest.epoch);
        if let Some(epoch) = newest.or(resumed_from.map(|from| from.epoch)) {
            print::remark(format_args!("the next run resumes from checkpoint {epoch}"));
        }
        return Err(error.into());
    }
    let took = Duration::from_millis(u64::try_from(clock.now() - started).unwrap_or(0));
    let stopped = interrupts.load(Ordering::Acquire) > 0;
    let summary = Summary::new(file.job.name.clone(), &handle, resumed_from, took, stopped);
    if args.json {
        print::json(&summary)?;
    } else {
        print::remark(summary.to_string().trim_end());
    }
    Ok(ExitCode::SUCCESS)
}

/// Progress is for people who look at a terminal, and records on the same terminal would break it.
fn shows_progress(args: &RunArgs, file: &JobFile) -> bool {
    let prints = file.sinks.iter().any(|sink| matches!(sink.settings, SinkSettings::Stdout(_)));
    let mixed = prints && std::io::stdout().is_terminal();
    !args.no_progress && std::io::stderr().is_terminal() && !mixed
}

/// The first signal ends the job with a checkpoint, the second one the process. Returns how many there were.
fn stop_on_signals(handle: &JobHandle, bars: &MultiProgress) -> anyhow::Result<Arc<AtomicU32>> {
    let count = Arc::new(AtomicU32::new(0));
    let (seen, handle, bars) = (Arc::clone(&count), handle.clone(), bars.clone());
    ctrlc::set_handler(move || {
        if seen.fetch_add(1, Ordering::AcqRel) == 0 {
            let message = "stopping with a last checkpoint; interrupt again to end at once";
            bars.suspend(|| print::remark(message));
            handle.stop(Stop::Checkpoint);
        } else {
            #[expect(clippy::disallowed_methods, reason = "the user wants no orderly end")]
            std::process::exit(EXIT_INTERRUPTED);
        }
    })?;
    Ok(count)
}
