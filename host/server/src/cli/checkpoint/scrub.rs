//! `statehouse checkpoint scrub`.

use std::process::ExitCode;

use clap::Args;
use futures::executor::block_on;

use serde_json::{Value, json};
use statehouse_checkpoint::{Damage, Error, ScrubReport};

use crate::cli::{log, print};
use crate::format;
use crate::target::OpenPlace;

/// Read everything in a store, and compare it with its hashes; repair it from a copy. Exit code 1 if damage is left
///
/// Unlike `verify` it looks at savepoints, pins and packs that nothing refers to, too.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  statehouse checkpoint scrub job.toml
  statehouse checkpoint scrub job.toml --repair-from s3://backup/job")]
pub(in crate::cli) struct ScrubArgs {
    /// Where the checkpoints are: the job file, the folder or the URL
    #[arg(value_name = "PLACE")]
    place: String,
    /// Replace what is damaged or missing by what this place has: a job file, a folder or a URL
    #[arg(long, value_name = "PLACE")]
    repair_from: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: ScrubArgs) -> anyhow::Result<ExitCode> {
    log::start_plain()?;
    let open = OpenPlace::to_look(&args.place)?;
    let other = args.repair_from.as_deref().map(OpenPlace::to_look).transpose()?;
    if let Some(other) = other.as_ref().filter(|other| other.place.is_same(&open.place)) {
        anyhow::bail!("`{}` cannot be repaired from itself: name a copy", other.place);
    }
    let report = block_on(open.store.scrub(other.as_ref().map(|other| &other.store)))
        .map_err(|error| anyhow::anyhow!("{}", error.chain()))?;
    print::if_read(match args.json {
        true => print::json(&entry(&report)),
        false => told(&args, &report),
    })?;
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn told(args: &ScrubArgs, report: &ScrubReport) -> anyhow::Result<()> {
    for Damage { object, error, named_by, is_repaired } in &report.damage {
        let repaired = if *is_repaired { "repaired: " } else { "" };
        print::data(format_args!("{repaired}{}\n", error.chain()))?;
        for manifest in named_by.iter().filter(|name| *name != object) {
            print::data(format_args!("  `{manifest}` needs it\n"))?;
        }
    }
    print::remark(format_args!(
        "read {}, {}, {}, {} and {} ({}), {} of which nothing needs",
        format::counted(report.checkpoints as u64, "checkpoint"),
        format::counted(report.savepoints as u64, "savepoint"),
        format::counted(report.pins as u64, "pin"),
        format::counted(report.components as u64, "component"),
        format::counted(report.packs as u64, "pack"),
        format::bytes(report.pack_bytes),
        format::count(report.unnamed_packs as u64),
    ));
    let left = report.damage.iter().filter(|damage| !damage.is_repaired).count();
    match (left, &args.repair_from) {
        (0, _) => print::remark("everything is whole"),
        (left, None) => print::remark(format_args!(
            "{left} damaged: if there is a copy, add `--repair-from PLACE`"
        )),
        (left, Some(place)) => {
            print::remark(format_args!("{left} damaged, and `{place}` does not have them"));
        }
    }
    Ok(())
}

fn entry(report: &ScrubReport) -> Value {
    let damage: Vec<Value> = report
        .damage
        .iter()
        .map(|damage| {
            json!({
                "object": damage.object,
                "error": Error::chain(&damage.error),
                "named_by": damage.named_by,
                "repaired": damage.is_repaired,
            })
        })
        .collect();
    json!({
        "clean": report.is_clean(),
        "checkpoints": report.checkpoints,
        "savepoints": report.savepoints,
        "pins": report.pins,
        "components": report.components,
        "packs": report.packs,
        "pack_bytes": report.pack_bytes,
        "unnamed_packs": report.unnamed_packs,
        "damage": damage,
    })
}
