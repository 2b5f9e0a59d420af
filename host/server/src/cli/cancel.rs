//! `statehouse cancel`: ends a running job without a last checkpoint.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::print;
use crate::control::Client;
use crate::job_file::{JobFile, Override};

/// End a running job at once, without a last checkpoint
///
/// What its sinks had not committed is dropped. The checkpoints stay, unless `retention-on-cancellation` says
/// otherwise; savepoints always do. To go on later, end the job by `statehouse savepoint create --stop` or an interrupt
/// instead.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  statehouse cancel job.toml")]
pub(super) struct CancelArgs {
    /// The job file that the job was started with
    #[arg(value_name = "JOB.toml")]
    job: PathBuf,
    /// Override a value of the job file, as it was overridden when the job was started
    #[arg(long = "set", value_name = "PATH=VALUE")]
    overrides: Vec<Override>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: CancelArgs) -> anyhow::Result<ExitCode> {
    let file = JobFile::read(&args.job, &args.overrides)?;
    let directory = file.state_directory();
    let Some(client) = Client::connect(&directory)? else {
        anyhow::bail!(
            "job `{}` is not running here: nothing listens in `{}`; give the job file and the `--set` that it was \
             started with",
            file.job.name,
            directory.display()
        );
    };
    let ended = client.cancel()?;
    if args.json {
        print::json(&serde_json::json!({ "job": file.job.name, "ended": ended }))?;
    } else {
        let reason = ended.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        print::remark(format_args!("job `{}` {}{reason}", file.job.name, ended.status.name()));
    }
    Ok(ExitCode::SUCCESS)
}
