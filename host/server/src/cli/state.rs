//! `statehouse state`: looking into checkpoints and savepoints, comparing them, and editing state into new savepoints.

mod diff;
mod edit;
mod list;
mod rows;
mod scan;

use std::process::ExitCode;

use clap::Subcommand;
use statehouse_processor::{Error, Inside};

use crate::target::Target;

/// Look into the state of checkpoints and savepoints, compare it, edit it
#[derive(Debug, Subcommand)]
pub(super) enum StateVerb {
    List(list::ListArgs),
    Get(scan::GetArgs),
    Scan(scan::ScanArgs),
    Diff(diff::DiffArgs),
    Edit(edit::EditArgs),
}

pub(super) fn run(verb: StateVerb) -> anyhow::Result<ExitCode> {
    match verb {
        StateVerb::List(args) => list::run(&args),
        StateVerb::Get(args) => scan::get(&args),
        StateVerb::Scan(args) => scan::scan(&args),
        StateVerb::Diff(args) => diff::run(&args),
        StateVerb::Edit(args) => edit::run(&args),
    }
}

/// The checkpoint or savepoint that a user names.
fn open(target: &Target) -> anyhow::Result<Inside> {
    let (place, manifest) = target.read()?;
    let name = match target.what.savepoint() {
        Some(name) => format!("savepoint `{name}`"),
        None => format!("checkpoint {}", manifest.epoch),
    };
    Ok(Inside::new(place.store, manifest, name))
}

/// An error with all its causes.
fn explained(error: Error) -> anyhow::Error {
    match error {
        Error::Store(error) => anyhow::anyhow!("{}", error.chain()),
        error => error.into(),
    }
}
