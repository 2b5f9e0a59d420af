//! `statehouse run`: runs a job, from its newest checkpoint on.

mod claim;
mod retention;
mod rounds;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use indicatif::{MultiProgress, ProgressDrawTarget};
use statehouse_connectors::SinkSettings;

use super::summary::Summary;
use super::{log, print};
use crate::environment::Environment;
use crate::job_file::{JobFile, Override};
use crate::job_graph;
use crate::launch::{ResumedFrom, Start, StartFrom, newest_listed, prepare};
use crate::live_job::LiveJob;

/// Run a job, from its newest checkpoint on if it has run before
///
/// Ctrl-C (or SIGTERM) ends the job with a last checkpoint, so that the next run goes on from there; a second one ends
/// the process at once, and the next run goes on from the newest checkpoint. With several checkpoints, the newest one
/// is taken; if it is damaged, the job does not start, and the message says which older one is whole.
///
/// While the job runs, `statehouse swap`, `statehouse savepoint create` and `statehouse cancel` reach it by the
/// same job file. An operator that was swapped while the job ran stays swapped, as long as the job file names the same
/// component as before.
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
    /// Start every operator with the component that the job file names, also where a swap has put another in its place
    #[arg(long)]
    component_from_file: bool,
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
    let (graph, components) = job_graph::build(&file, &Environment::read())
        .with_context(|| args.job.display().to_string())?;
    let prepared = prepare(&file, (graph, &components), &start)?;
    remark_start(&file, &start, prepared.resumed_from.as_ref())?;
    let (clock, resumed_from) = (Arc::clone(&prepared.terms.clock), prepared.resumed_from.clone());
    let (started, live) = (clock.now(), LiveJob::default());
    let ended = rounds::run(&file, &components, prepared, &live, &bars);
    let (status, handle) = match (ended, live.handle()) {
        (Ok(status), Some(handle)) => (status, handle),
        (Ok(_), None) => unreachable!("a job that has ended has run"),
        // It did not come to run, and nothing is lost.
        (Err(error), None) => return Err(error),
        (Err(error), Some(handle)) => {
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
            component_from_file: self.component_from_file,
        })
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
