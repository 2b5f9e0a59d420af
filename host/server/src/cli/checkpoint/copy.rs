//! `statehouse checkpoint copy`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use futures::executor::block_on;
use serde_json::json;

use crate::cli::{log, print};
use crate::control::check_name;
use crate::format;
use crate::launch::open_store;
use crate::place::Place;
use crate::target::{OpenPlace, Target, What};

/// Copy a checkpoint or savepoint to another store, as a savepoint there; only what is missing is copied
///
/// What is copied is kept safe from collection meanwhile, and the copy appears when everything has arrived. It stands
/// on its own: run a job from it with `statehouse run JOB.toml --from TO@NAME`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  statehouse checkpoint copy job.toml /backup/job                       the newest checkpoint
  statehouse checkpoint copy job.toml@before-upgrade s3://bucket/job
  statehouse checkpoint copy s3://bucket/job@7 /tmp/job --name seven")]
pub(in crate::cli) struct CopyArgs {
    /// What is copied: a checkpoint or savepoint of a job file, a folder or a URL; default: the newest checkpoint
    #[arg(value_name = "PLACE[@ID|NAME]")]
    from: String,
    /// Where to: a job file, a folder, which is made if it is not there, or a URL
    #[arg(value_name = "TO")]
    to: String,
    /// The savepoint's name there; default: its name here, or `checkpoint-ID`
    #[arg(long)]
    name: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: CopyArgs) -> anyhow::Result<ExitCode> {
    log::start_plain()?;
    let CopyArgs { from, to, name, json } = args;
    let target: Target = from.parse()?;
    let (source, manifest) = target.read()?;
    let name = name.unwrap_or_else(|| match &target.what {
        What::Savepoint(name) => name.clone(),
        What::Newest | What::Checkpoint(_) => format!("checkpoint-{}", manifest.epoch),
    });
    check_name(&name).map_err(anyhow::Error::msg)?;
    let (place, options, _) =
        OpenPlace::resolve(&to).map_err(|error| anyhow::anyhow!("`{to}`: {error}"))?;
    if place.is_same(&source.place) {
        anyhow::bail!(
            "`{to}` is where the checkpoint is already: to keep it under a name, use `statehouse savepoint create`"
        );
    }
    if let Place::Directory(directory) = &place {
        refuse_strange(directory)?;
        std::fs::create_dir_all(directory)
            .with_context(|| format!("cannot make the folder `{place}`"))?;
    }
    let failed = |error: statehouse_checkpoint::Error| anyhow::anyhow!("{}", error.chain());
    let destination = open_store(&place, &options).map_err(failed)?;
    let copied = source.store.copy_savepoint(&manifest, &destination, &name);
    let report = block_on(copied).map_err(failed)?;
    let epoch = manifest.epoch;
    if json {
        print::json(&json!({
            "name": name,
            "epoch": epoch,
            "from": source.place.to_string(),
            "to": place.to_string(),
            "packs_copied": report.packs_copied,
            "bytes_copied": report.bytes_copied,
            "packs_present": report.packs_present,
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    print::remark(format_args!(
        "checkpoint {epoch} is savepoint `{name}` in `{place}`: {} ({}) copied, {} were there",
        format::counted(report.packs_copied as u64, "pack"),
        format::bytes(report.bytes_copied),
        format::count(report.packs_present as u64)
    ));
    print::remark(format_args!("start from it with `statehouse run JOB.toml --from {to}@{name}`"));
    Ok(ExitCode::SUCCESS)
}

/// A folder with other things in it is hardly meant.
fn refuse_strange(directory: &Path) -> anyhow::Result<()> {
    let Ok(entries) = directory.read_dir() else { return Ok(()) };
    let is_store = ["manifests", "generations", "savepoints", "packs"];
    let names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
    let known = names.iter().any(|name| is_store.iter().any(|known| name == known));
    anyhow::ensure!(
        names.is_empty() || known,
        "`{}` holds other things than checkpoints: name a folder that is empty or does not exist",
        directory.display()
    );
    Ok(())
}
