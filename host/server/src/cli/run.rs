//! `statehouse run`: runs a job, from its newest checkpoint on.

mod claim;
mod retention;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use indicatif::{MultiProgress, ProgressDrawTarget};
use statehouse_connectors::SinkSettings;
use statehouse_engine::{JobError, JobHandle, Stop, threads};

use super::progress::Progress;
use super::summary::Summary;
use super::{log, print};
use crate::control::messages::{EndStatus, JobEnded};
use crate::control::{Control, RunningJob, SavepointRequests};
use crate::environment::Environment;
use crate::job_file::{JobFile, Override};
use crate::job_graph;
use crate::launch::{Launched, Locks, ResumedFrom, Start, StartFrom, launch, newest_listed};
use claim::Claim;

/// Run a job, from its newest checkpoint on if it has run before
///
/// Ctrl-C (or SIGTERM) ends the job with a last checkpoint, so that the next run goes on from there; a second one ends
/// the process at once, and the next run goes on from the newest checkpoint. With several checkpoints, the newest one
/// is taken; if it is damaged, the job does not start, and the message says which older one is whole.
///
/// While the job runs, `statehouse savepoint create` and `statehouse cancel` reach it by the same job file.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  statehouse run job.toml                          start, or resume from the newest checkpoint
  statehouse run job.toml --fresh                  start from nothing; checkpoints stay
  statehouse run job.toml --from 7                 resume from checkpoint 7
  statehouse run job.toml --from before-upgrade    resume from a savepoint
  statehouse run job.toml --from /backup/c         go on from another place's newest checkpoint
  statehouse run copy.toml --fork-from job.toml    a second job, from the newest checkpoint of the first
  statehouse run copy.toml --fork-from s3://bucket/job@before-upgrade
  statehouse run job.toml --set source.in.path=/data --set checkpoint.interval=500ms")]
pub(super) struct RunArgs {
    /// The job file
    #[arg(value_name = "JOB.toml")]
    job: PathBuf,
    /// Start from nothing, although there may be checkpoints; they stay
    #[arg(long, conflicts_with = "from")]
    fresh: bool,
    /// Resume from this checkpoint or savepoint of the job, or of another place: a job file, a folder or a URL
    #[arg(long, value_name = "ID|NAME|PLACE[@ID|NAME]")]
    from: Option<String>,
    /// Start as a job of its own from what another job has; both go on, and share what neither changes
    #[arg(long, value_name = "PLACE[@ID|NAME]", conflicts_with_all = ["from", "fresh", "claim"])]
    fork_from: Option<String>,
    /// Take over the savepoint that `--from` names: it is deleted when the job has a checkpoint of its own
    #[arg(long, requires = "from")]
    claim: bool,
    /// If the newest checkpoint is damaged, take the newest older one that verifies
    #[arg(long, conflicts_with = "fresh")]
    fallback: bool,
    /// Drop state that the job has no operator for any more, instead of refusing to start
    #[arg(long, conflicts_with = "fresh")]
    allow_non_restored_state: bool,
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
    let start = args.start()?;
    let graph = job_graph::build(&file, &Environment::read())
        .with_context(|| args.job.display().to_string())?;
    let launched = launch(&file, graph, &start)?;
    remark_start(&file, &start, launched.resumed_from.as_ref())?;
    let (started, clock) = (launched.clock.now(), Arc::clone(&launched.clock));
    let (handle, resumed_from) = (launched.job.handle.clone(), launched.resumed_from.clone());
    let ended = run_launched(&file, launched, &bars);
    let status = match ended {
        Ok(status) => status,
        Err(error) => {
            let newest = handle.checkpoints().last().map(|newest| newest.epoch);
            if let Some(epoch) = newest.or(resumed_from.map(|from| from.epoch)) {
                print::remark(format_args!("the next run resumes from checkpoint {epoch}"));
            }
            return Err(error);
        }
    };
    let took = Duration::from_millis(u64::try_from(clock.now() - started).unwrap_or(0));
    let summary = Summary::new(file.job.name.clone(), &handle, resumed_from, took, status);
    if args.json {
        print::json(&summary)?;
    } else {
        print::remark(summary.to_string().trim_end());
    }
    Ok(ExitCode::SUCCESS)
}

impl RunArgs {
    fn start(&self) -> anyhow::Result<Start> {
        let from = match (&self.from, &self.fork_from) {
            (Some(from), _) => from.parse()?,
            (None, Some(other)) => StartFrom::Elsewhere(other.parse()?),
            (None, None) if self.fresh => StartFrom::Nothing,
            (None, None) => StartFrom::Newest,
        };
        Ok(Start {
            from,
            fork: self.fork_from.is_some(),
            claim: self.claim,
            fallback: self.fallback,
            allow_non_restored_state: self.allow_non_restored_state,
        })
    }
}

/// Runs a job with everything that there is beside it, to its end.
fn run_launched(
    file: &JobFile,
    launched: Launched,
    bars: &MultiProgress,
) -> anyhow::Result<EndStatus> {
    let Launched { job, clock, resumed_from, store, claimed, locks } = launched;
    let handle = job.handle.clone();
    let (ending, savepoints) = (Arc::new(AtomicBool::new(false)), SavepointRequests::default());
    let running = RunningJob {
        handle: handle.clone(),
        name: file.job.name.clone(),
        started_ms: clock.now(),
        place: file.checkpoint_place().map(|place| place.to_string()),
        store: store.clone(),
        resumed_from: resumed_from.map(|from| from.epoch),
        ending: Arc::clone(&ending),
        savepoints: savepoints.clone(),
    };
    let control = serve(&locks, running);
    stop_on_signals(&handle, &ending, bars)?;
    let progress = Progress::start(bars, handle.clone(), Arc::clone(&clock));
    let claim = Claim::watch(claimed, handle.clone());
    let ended = threads::run(job, &clock).map(EndStatus::from);
    progress.finish();
    claim.finish(&handle);
    if let (Ok(status), Some(table), Some(store)) = (&ended, &file.checkpoint, &store) {
        retention::apply(table, store, *status, savepoints.missed().as_deref());
    }
    end(control, locks, &ended);
    Ok(ended?)
}

/// A job runs as well without the endpoint.
fn serve(locks: &Locks, running: RunningJob) -> Option<Control> {
    match Control::start(locks.state.directory(), running) {
        Ok(control) => {
            print::remark(format_args!("control socket: {}", control.path().display()));
            Some(control)
        }
        Err(error) => {
            let directory = locks.state.directory().display();
            tracing::warn!("there is no control socket in `{directory}`: {error}");
            None
        }
    }
}

/// Lets go of everything, and only then tells those who wait: they may start the job again.
fn end(control: Option<Control>, locks: Locks, ended: &Result<EndStatus, JobError>) {
    if let Some(control) = &control {
        control.close();
    }
    drop(locks);
    if let Some(control) = control {
        control.finish(match ended {
            Ok(status) => JobEnded { status: *status, reason: None },
            Err(error) => JobEnded { status: EndStatus::Failed, reason: Some(error.to_string()) },
        });
    }
}

/// Says where the run starts.
fn remark_start(
    file: &JobFile,
    start: &Start,
    resumed_from: Option<&ResumedFrom>,
) -> anyhow::Result<()> {
    let Some(place) = file.checkpoint_place() else {
        print::remark(
            "note: the job file has no `[checkpoint]` table: nothing is durable, and the next run starts from nothing",
        );
        return Ok(());
    };
    if let Some(ResumedFrom { epoch, savepoint, place }) = resumed_from {
        let what = match savepoint {
            Some(name) => format!("savepoint `{name}` (checkpoint {epoch})"),
            None => format!("checkpoint {epoch}"),
        };
        let how = if start.fork { "forked" } else { "resuming" };
        print::remark(format_args!("{how} from {what} in `{place}`"));
    }
    if start.from == StartFrom::Nothing
        && let Some(epoch) = newest_listed(file)?
    {
        print::remark(format_args!(
            "starting from nothing; the checkpoints up to {epoch} in `{place}` stay"
        ));
    }
    Ok(())
}

/// Progress is for people who look at a terminal, and records on the same terminal would break it.
fn shows_progress(args: &RunArgs, file: &JobFile) -> bool {
    let prints = file.sinks.iter().any(|sink| matches!(sink.settings, SinkSettings::Stdout(_)));
    let mixed = prints && std::io::stdout().is_terminal();
    !args.no_progress && std::io::stderr().is_terminal() && !mixed
}

/// The first signal ends the job with a checkpoint, the second one the process.
fn stop_on_signals(
    handle: &JobHandle,
    ending: &Arc<AtomicBool>,
    bars: &MultiProgress,
) -> anyhow::Result<()> {
    let count = AtomicU32::new(0);
    let (ending, handle, bars) = (Arc::clone(ending), handle.clone(), bars.clone());
    ctrlc::set_handler(move || {
        if count.fetch_add(1, Ordering::AcqRel) == 0 {
            let message = "stopping with a last checkpoint; interrupt again to end at once";
            bars.suspend(|| print::remark(message));
            ending.store(true, Ordering::Release);
            handle.stop(Stop::Checkpoint);
        } else {
            #[expect(clippy::disallowed_methods, reason = "the user wants no orderly end")]
            std::process::exit(EXIT_INTERRUPTED);
        }
    })?;
    Ok(())
}
