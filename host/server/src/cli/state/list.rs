//! `statehouse state list`.

use std::process::ExitCode;

use clap::Args;
use futures::executor::block_on;
use serde_json::json;
use statehouse_processor::{OperatorView, Part};

use super::{explained, open};
use crate::cli::print;
use crate::format::{self, Align};
use crate::target::Target;

/// List the states of a checkpoint or savepoint, how many entries each has and of what size
///
/// All state is read to count it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  statehouse state list job.toml                    of the newest checkpoint
  statehouse state list job.toml@7 --json
  statehouse state list s3://bucket/job@before-upgrade")]
pub(in crate::cli) struct ListArgs {
    /// The job file, folder or URL, and which checkpoint or savepoint
    #[arg(value_name = "PLACE[@ID|NAME]")]
    target: Target,
    /// Print JSON Lines
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &ListArgs) -> anyhow::Result<ExitCode> {
    let inside = open(&args.target)?;
    let (mut rows, mut waiting) = (Vec::new(), Vec::new());
    for view in inside.operators().map_err(explained)? {
        let counted = block_on(inside.count(&view)).map_err(explained)?;
        for (part, counted) in counted {
            if args.json {
                let line = json!({
                    "operator": view.id(),
                    "state": view.name(part),
                    "kind": view.kind(part).to_string(),
                    "key": key(&view),
                    "type": view.type_of(part),
                    "entries": counted.entries,
                    "bytes": counted.bytes,
                    "retired": view.is_retired(part),
                });
                print::data(format_args!("{line}\n"))?;
            } else {
                let mut kind = view.kind(part).to_string();
                if view.is_retired(part) {
                    kind += ", retired";
                    let name = format!("{}.{}", view.id(), view.name(part));
                    waiting.push(waits(&name, part, counted.entries));
                }
                rows.push([
                    view.id().to_owned(),
                    view.name(part).to_owned(),
                    kind,
                    view.type_of(part),
                    format::count(counted.entries),
                    format::bytes(counted.bytes),
                ]);
            }
        }
    }
    if args.json {
        return Ok(ExitCode::SUCCESS);
    }
    if rows.is_empty() {
        print::remark("no operator has state");
        return Ok(ExitCode::SUCCESS);
    }
    let columns = [
        ("operator", Align::Left),
        ("state", Align::Left),
        ("kind", Align::Left),
        ("type", Align::Left),
        ("entries", Align::Right),
        ("size", Align::Right),
    ];
    print::data(format::table(columns, &rows))?;
    for line in &waiting {
        print::remark(line);
    }
    Ok(ExitCode::SUCCESS)
}

/// What is left of a retired state or of retired timers.
fn waits(name: &str, part: Part, entries: u64) -> String {
    let entries = format::count(entries);
    match part {
        Part::Timer(_) => format!("{name}: {entries} timers still have this name"),
        Part::State(_) | Part::Task(_) => {
            format!("{name}: {entries} values wait for being migrated")
        }
    }
}

fn key(view: &OperatorView) -> Option<String> {
    view.key_form().map(ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use statehouse_state::{StateId, TimerId};

    #[test]
    fn what_waits_is_said_of_each_retired_state() {
        let values = waits("count.total@1", Part::State(StateId(1)), 1234);
        assert_eq!(values, "count.total@1: 1,234 values wait for being migrated");
        let timers = waits("count.end", Part::Timer(TimerId(0)), 0);
        assert_eq!(timers, "count.end: 0 timers still have this name");
    }
}
