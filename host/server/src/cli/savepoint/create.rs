//! `statehouse savepoint create`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use futures::executor::block_on;
use serde::Serialize;
use statehouse_checkpoint::Manifest;
use statehouse_engine::{Clock, SystemClock};

use super::portable;
use crate::cli::{log, print};
use crate::control::messages::{CreateSavepoint, JobEnded, SavepointCreated, Then};
use crate::control::{Client, check_name};
use crate::format;
use crate::job_file::{JobFile, Override};
use crate::target::{OpenPlace, What};

/// Make a savepoint of a job: of a running one as it is now, else of its newest checkpoint
///
/// A savepoint is a checkpoint that is kept until it is deleted. It shares its files with the checkpoints, so it costs
/// little more than its name. Start from it by `statehouse run JOB.toml --from NAME`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  statehouse savepoint create job.toml before-upgrade
  statehouse savepoint create job.toml --stop          end the job with it, to go on from there later
  statehouse savepoint create job.toml done --drain    end the job for good: windows fire first
  statehouse savepoint create job.toml archive --portable")]
pub(in crate::cli) struct CreateArgs {
    /// The job file that the job was started with
    #[arg(value_name = "JOB.toml")]
    job: PathBuf,
    /// The savepoint's name: letters, digits, `-`, `_` and `.`, and no number; default: `savepoint-` and the time
    name: Option<String>,
    /// End the job with it; the next run goes on from there
    #[arg(long)]
    stop: bool,
    /// Let time run to its end first, so that windows and timers of event time fire, then end the job with it
    #[arg(long, conflicts_with = "stop")]
    drain: bool,
    /// Write it self-contained and independent of the backend; takes as long as reading and writing the state
    #[arg(long)]
    portable: bool,
    /// Override a value of the job file, as it was overridden when the job was started
    #[arg(long = "set", value_name = "PATH=VALUE")]
    overrides: Vec<Override>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What was made.
#[derive(Debug, Serialize)]
struct Created {
    name: String,
    epoch: u64,
    place: String,
    portable: bool,
    duration_ms: i64,
    /// How the job ended, if it was to.
    ended: Option<JobEnded>,
}

pub(super) fn run(args: CreateArgs) -> anyhow::Result<ExitCode> {
    log::start_plain()?;
    let file = JobFile::read(&args.job, &args.overrides)?;
    let place = file.checkpoint_place().with_context(|| {
        let job = args.job.display();
        format!("`{job}` has no `[checkpoint]` table, so there is nothing to make a savepoint of")
    })?;
    let clock = SystemClock::default();
    let started = clock.now();
    let name = args.name.clone().unwrap_or_else(|| default_name(started));
    check_name(&name).map_err(anyhow::Error::msg)?;
    // A portable one is made of a native one, which goes when it is done.
    let native = if args.portable { format!("{name}.native") } else { name.clone() };
    if args.portable {
        check_name(&native).map_err(anyhow::Error::msg)?;
        refuse_taken(&file, &name)?;
    }
    let client = Client::connect(&file.state_directory())?;
    let (epoch, ended) = match client {
        Some(client) => of_running(&client, &args, &native)?,
        None => (of_newest(&args, &file, &native)?.epoch.0, None),
    };
    if args.portable {
        portable::write(&file, &native, &name)?;
    }
    let (place, portable) = (place.to_string(), args.portable);
    let duration_ms = clock.now() - started;
    let created = Created { name, epoch, place, portable, duration_ms, ended };
    match args.json {
        true => print::json(&created)?,
        false => told(&args, &created),
    }
    Ok(ExitCode::SUCCESS)
}

fn told(args: &CreateArgs, created: &Created) {
    let Created { name, epoch, place, duration_ms, ended, .. } = created;
    let took = std::time::Duration::from_millis(u64::try_from(*duration_ms).unwrap_or(0));
    let took = format::duration(took);
    let what = if created.portable { "portable savepoint" } else { "savepoint" };
    print::remark(format_args!("{what} `{name}` of checkpoint {epoch} in `{place}`, in {took}"));
    match ended {
        Some(JobEnded { reason: Some(reason), .. }) => {
            print::remark(format_args!("the job then failed: {reason}"));
        }
        Some(JobEnded { status, .. }) => {
            let job = args.job.display();
            let next = format!("start it again with `statehouse run {job} --from {name}`");
            print::remark(format_args!("the job has {}; {next}", status.name()));
        }
        None => {}
    }
}

fn of_running(
    client: &Client,
    args: &CreateArgs,
    name: &str,
) -> anyhow::Result<(u64, Option<JobEnded>)> {
    let then = match (args.stop, args.drain) {
        (true, _) => Some(Then::Stop),
        (_, true) => Some(Then::Drain),
        _ => None,
    };
    let request = CreateSavepoint { name: name.to_owned(), then };
    let SavepointCreated { epoch, ended, .. } = client.create_savepoint(&request)?;
    Ok((epoch, ended))
}

fn of_newest(args: &CreateArgs, file: &JobFile, name: &str) -> anyhow::Result<Manifest> {
    if args.stop || args.drain {
        anyhow::bail!(
            "job `{}` is not running here, so there is nothing to end: nothing listens in `{}`; without `--stop` and \
             `--drain` its newest checkpoint becomes the savepoint",
            file.job.name,
            file.state_directory().display()
        );
    }
    let store = OpenPlace::of_job(file)?.store;
    let manifest = What::Newest.read(&store)?;
    anyhow::ensure!(
        manifest.job == file.job.name,
        "job `{}` has no checkpoint of its own yet: its next run starts from one of job `{}`, so make the savepoint \
         there, or run this job first",
        file.job.name,
        manifest.job
    );
    block_on(store.pin_savepoint(name, &manifest))
        .map_err(|error| anyhow::anyhow!("{}", error.chain()))?;
    Ok(manifest)
}

/// Told before the work of making a portable one begins.
fn refuse_taken(file: &JobFile, name: &str) -> anyhow::Result<()> {
    // A job that has not started yet has no savepoints.
    let Ok(open) = OpenPlace::of_job(file) else { return Ok(()) };
    match block_on(open.store.savepoints())?.iter().any(|savepoint| savepoint.name == name) {
        false => Ok(()),
        true => anyhow::bail!("there is a savepoint `{name}` already: choose another name"),
    }
}

/// A name from the time, to the second.
fn default_name(now: i64) -> String {
    let time: String = format::time(now)
        .chars()
        .filter_map(|c| match c {
            'T' => Some('-'),
            c if c.is_ascii_digit() => Some(c),
            _ => None,
        })
        .collect();
    format!("savepoint-{time}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_made_from_the_time() {
        assert_eq!(default_name(1_357_000_000_999), "savepoint-20130101-002640");
        assert_eq!(check_name(&default_name(0)), Ok(()));
    }
}
