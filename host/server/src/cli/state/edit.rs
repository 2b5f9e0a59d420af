//! `statehouse state edit`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use futures::executor::block_on;
use serde_json::json;
use statehouse_checkpoint::PackSettings;
use statehouse_engine::{Clock as _, SystemClock};
use statehouse_processor::{Edits, Inside};

use super::explained;
use crate::cli::print;
use crate::control::check_name;
use crate::format;
use crate::target::Target;

/// Write a new savepoint with some values set, deleted or imported
///
/// The checkpoint or savepoint that it is made from stays as it is. Imports come first, then deletions, then values
/// that are set. Start a job from it by `statehouse run JOB.toml --from NAME`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  statehouse state edit job.toml --name mended --set count.seen tea 3 --delete count.seen coffee
  statehouse state edit job.toml@7 --name filled --import seen.jsonl

Values: a number or text as it is, anything else as JSON; a list as [element, ...], a map as {\"key\": value, ...}
or [[key, value], ...]. Imports: rows as `statehouse state scan --json` prints them, or Parquet as it writes it;
a row with \"removed\": true removes.")]
pub(in crate::cli) struct EditArgs {
    /// The job file, folder or URL, and which checkpoint or savepoint
    #[arg(value_name = "PLACE[@ID|NAME]")]
    target: Target,
    /// The name of the new savepoint
    #[arg(long)]
    name: String,
    /// Set what a key has in a state
    #[arg(long, num_args = 3, value_names = ["OPERATOR.STATE", "KEY", "VALUE"], allow_hyphen_values = true)]
    set: Vec<String>,
    /// Delete what a key has in a state
    #[arg(long, num_args = 2, value_names = ["OPERATOR.STATE", "KEY"], allow_hyphen_values = true)]
    delete: Vec<String>,
    /// Set or remove what the rows of a file say: JSON Lines, or Parquet if its name ends so
    #[arg(long, value_name = "FILE")]
    import: Vec<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &EditArgs) -> anyhow::Result<ExitCode> {
    check_name(&args.name).map_err(anyhow::Error::msg)?;
    let (open, manifest) = args.target.read()?;
    let taken = block_on(open.store.savepoints())?;
    if taken.iter().any(|savepoint| savepoint.name == args.name) {
        anyhow::bail!("there is a savepoint `{}` already: choose another name", args.name);
    }
    let name = args.target.what.to_string();
    let inside = Inside::new(open.store.clone(), manifest, name);
    let mut edits = Edits::new(&inside, SystemClock::default().now());
    let mut imported = 0;
    for file in &args.import {
        imported += edits.import(file).map_err(explained)?;
    }
    for delete in args.delete.chunks_exact(2) {
        edits.delete(&delete[0], &delete[1]).map_err(explained)?;
    }
    for set in args.set.chunks_exact(3) {
        edits.set(&set[0], &set[1], &set[2]).map_err(explained)?;
    }
    if edits.is_empty() {
        anyhow::bail!("nothing is to be changed: say `--set`, `--delete` or `--import`");
    }
    let edited = block_on(inside.edit(&edits, PackSettings::default())).map_err(explained)?;
    block_on(open.store.pin_savepoint(&args.name, &edited.manifest))
        .map_err(|error| anyhow::anyhow!("{}", error.chain()))?;
    let written = edited.manifest.statistics.pack_bytes;
    if args.json {
        print::json(&json!({
            "name": args.name,
            "epoch": edited.manifest.epoch,
            "changes": edited.changes,
            "imported": imported,
            "pack_bytes": written,
        }))?;
    } else {
        print::remark(format_args!(
            "savepoint `{}`: {}, {} written",
            args.name,
            format::counted(edited.changes, "change"),
            format::bytes(written)
        ));
    }
    Ok(ExitCode::SUCCESS)
}
