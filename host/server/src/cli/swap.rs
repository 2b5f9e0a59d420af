//! `statehouse swap`: replaces operators of a running job, state kept.

mod request;
mod show;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::print;
use crate::control::Client;
use crate::control::messages::{SwapDecision, SwapPlan, SwapStageName, SwapStatus};
use crate::job_file::{JobFile, Override};

/// Replace operators of a running job by other components, state kept
///
/// First comes the plan: what is kept, migrated, dropped and newly asked for. What cannot work is refused before
/// anything is touched. Then a savepoint is made, and all the operators named flip at one barrier. For a time the new
/// ones are on trial: nothing that they put out is committed, and if they fail or do not meet what is asked of them,
/// the job goes back to the savepoint by itself, with the components as before. Otherwise they stay, also in later
/// runs, as long as the job file names the same component as now.
///
/// The exit code is 0 if the swap was kept (with `--plan`: if it would be accepted), and 1 if it was refused or rolled
/// back.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  statehouse swap job.toml sum sum-2.wasm --plan      say what would happen, and do nothing
  statehouse swap job.toml sum sum-2.wasm             watch it for 30 s, then keep it
  statehouse swap job.toml sum a.wasm join b.wasm     both at the same barrier
  statehouse swap job.toml sum sum-2.wasm --shadow 20 --canary 5% --watch 2m
  statehouse swap job.toml sum sum-2.wasm --invariant 'records-out >= 0.9 * records-in and rejected = 0'
  statehouse swap job.toml sum --back                 to the component before this one
  statehouse swap job.toml sum --to-version 3fa8c1    to one of `statehouse history`
  statehouse swap job.toml --status
  statehouse swap job.toml --keep                     end the trial now; --abort: roll it back

Invariants compare counters by < <= = != >= > and combine by and, or, not, + - * / and parentheses. Counters are
records-in, records-out, rejected and busy-ns, since the flip; before.records-in and so on are those until then. An
invariant must hold at the end of the trial, and from the first time that it has held.")]
pub(super) struct SwapArgs {
    /// The job file that the job was started with
    #[arg(value_name = "JOB.toml")]
    job: PathBuf,
    /// Pairs of an operator's id and the component that is to take its place; with `--back` ids alone
    #[arg(value_name = "OPERATOR COMPONENT")]
    targets: Vec<String>,
    /// Only say what would happen
    #[arg(long)]
    plan: bool,
    /// Go back to the component that each operator had before the one that it has
    #[arg(long, conflicts_with = "to_version")]
    back: bool,
    /// Go to a component of the job's history, named by its digest or the first digits of it
    #[arg(long, value_name = "DIGEST")]
    to_version: Option<String>,
    /// Which of the component's operators; default: the one with the same name as before, or the only one
    #[arg(long, value_name = "NAME")]
    operator_in_component: Option<String>,
    /// Drop states and timers that the new version does not declare
    #[arg(long)]
    allow_dropped_state: bool,
    /// Let the new component import what the old one does not
    #[arg(long)]
    allow_new_imports: bool,
    /// Allow all that has to be allowed
    #[arg(long)]
    yes: bool,
    /// First run so many batches of each task beside the running version, and compare
    #[arg(long, value_name = "BATCHES")]
    shadow: Option<u32>,
    /// Refuse the swap if that differs
    #[arg(long, requires = "shadow")]
    shadow_must_match: bool,
    /// How long the new version is on trial; 0s: it is kept at once
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
    watch: Duration,
    /// Roll back if more records are rejected; default: a share of one percent above that of the time before
    #[arg(long, value_name = "RECORDS")]
    max_rejected: Option<u64>,
    /// Roll back if a record takes so many times as long as before
    #[arg(long, value_name = "FACTOR")]
    max_latency_factor: Option<f64>,
    /// Roll back if less than so many times the records of before come out for each that comes in
    #[arg(long, value_name = "FACTOR")]
    min_output_factor: Option<f64>,
    /// Roll back if this does not hold; may be given several times
    #[arg(long = "invariant", value_name = "CONDITION")]
    invariants: Vec<String>,
    /// Let checkpoints go on during the trial and commit what it puts out; a rollback may then put it out twice
    #[arg(long)]
    commit_outputs: bool,
    /// Begin with this share of the key groups, and go on with all when that has been watched
    #[arg(long, value_name = "PERCENT", value_parser = request::percent)]
    canary: Option<f64>,
    /// Keep the savepoint before the swap under this name
    #[arg(long, value_name = "NAME")]
    savepoint: Option<String>,
    /// Say how the swap under way is getting on
    #[arg(long, conflicts_with_all = ["targets", "keep", "abort"])]
    status: bool,
    /// End the trial under way: the new version stays
    #[arg(long, conflicts_with_all = ["targets", "abort"])]
    keep: bool,
    /// End the swap under way: the job goes on as before it
    #[arg(long, conflicts_with = "targets")]
    abort: bool,
    /// Override a value of the job file, as it was overridden when the job was started
    #[arg(long = "set", value_name = "PATH=VALUE")]
    overrides: Vec<Override>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Time between two looks at how far a swap is.
const INTERVAL: Duration = Duration::from_millis(50);

/// What a shell expects of a process that an interrupt has ended.
const EXIT_INTERRUPTED: i32 = 130;

pub(super) fn run(args: SwapArgs) -> anyhow::Result<ExitCode> {
    let file = JobFile::read(&args.job, &args.overrides)?;
    let client = reach(&file)?;
    if args.status || args.keep || args.abort {
        return under_way(&client, &args);
    }
    let request = request::read(&args, &client)?;
    let asked = client.create_swap(&request)?;
    if !args.plan {
        say_on_interrupt(&args.job, &asked.id)?;
    }
    let ended = follow(&client, &args, asked)?;
    finish(&args, &ended)
}

fn reach(file: &JobFile) -> anyhow::Result<Client> {
    let directory = file.state_directory();
    Client::connect(&directory)?.ok_or_else(|| {
        anyhow::anyhow!(
            "job `{}` is not running here: nothing listens in `{}`; a job that does not run is swapped by changing \
             `component` in its file, and otherwise give the job file and the `--set` that it was started with",
            file.job.name,
            directory.display()
        )
    })
}

/// The newest swap that is not over.
fn under_way(client: &Client, args: &SwapArgs) -> anyhow::Result<ExitCode> {
    let mut swaps = client.swaps()?.swaps;
    swaps.retain(|swap| !swap.plan_only);
    if args.status {
        let Some(newest) = swaps.pop() else {
            anyhow::bail!(
                "no swap was asked for since the job was started; `statehouse history` lists those before"
            )
        };
        match args.json {
            true => print::json(&newest)?,
            false => print::data(show::status(&newest))?,
        }
        return Ok(ExitCode::SUCCESS);
    }
    let Some(swap) = swaps.into_iter().rev().find(|swap| !swap.stage.is_over()) else {
        anyhow::bail!("no swap is under way")
    };
    let decision = if args.keep { SwapDecision::Keep } else { SwapDecision::Abort };
    let decided = client.decide(&swap.id, decision)?;
    let ended = follow(client, args, decided)?;
    // Whoever gave it up has what was asked for.
    if args.abort && ended.stage != SwapStageName::Kept {
        match args.json {
            true => print::json(&ended)?,
            false => print::remark(show::given_up(&ended)),
        }
        return Ok(ExitCode::SUCCESS);
    }
    finish(args, &ended)
}

/// Says each stage as it comes, up to the last one.
fn follow(client: &Client, args: &SwapArgs, first: SwapStatus) -> anyhow::Result<SwapStatus> {
    let mut told = show::Told::new(args.json, &first);
    let mut status = first;
    loop {
        told.tell(&status)?;
        if status.stage.is_over() {
            return Ok(status);
        }
        std::thread::park_timeout(INTERVAL);
        status = client.swap(&status.id)?;
    }
}

fn finish(args: &SwapArgs, ended: &SwapStatus) -> anyhow::Result<ExitCode> {
    if args.json {
        print::json(ended)?;
    }
    let reason = ended.reason.clone().unwrap_or_default();
    match ended.stage {
        SwapStageName::Kept | SwapStageName::RolledBack | SwapStageName::Refused if args.json => {}
        SwapStageName::Kept => print::remark(show::kept(ended)),
        SwapStageName::RolledBack => anyhow::bail!("{}", show::rolled_back(ended)),
        SwapStageName::Refused => {
            anyhow::bail!("the swap is refused, and nothing has changed: {reason}")
        }
        _ => {}
    }
    let is_good = match ended.stage {
        SwapStageName::Kept => true,
        SwapStageName::Planned => accepted(ended.plan.as_ref()),
        _ => false,
    };
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn accepted(plan: Option<&SwapPlan>) -> bool {
    plan.is_some_and(|plan| plan.accepted)
}

/// An interrupt ends the command, and not what it has asked for.
fn say_on_interrupt(job: &Path, id: &str) -> anyhow::Result<()> {
    let (job, id) = (job.display().to_string(), id.to_owned());
    ctrlc::set_handler(move || {
        print::remark(format_args!(
            "swap {id} goes on without this command: `statehouse swap {job} --status` looks at it, and `--abort` \
             gives it up"
        ));
        #[expect(clippy::disallowed_methods, reason = "nothing is left to be done")]
        std::process::exit(EXIT_INTERRUPTED);
    })?;
    Ok(())
}
