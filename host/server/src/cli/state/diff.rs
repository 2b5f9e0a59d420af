//! `statehouse state diff`.

use std::process::ExitCode;

use clap::Args;
use futures::executor::block_on;
use serde_json::{Value, json};
use statehouse_processor::{DiffOptions, Error, OperatorView, Row, Side};

use super::rows::{identity, json_line, value};
use super::{explained, open};
use crate::cli::print;
use crate::format::{self, Align};
use crate::target::Target;

/// Show what changed from one checkpoint or savepoint to another
///
/// What both share is not read. So of a value that was written in between, the old one is shown only where it had to be
/// read anyway; `?` stands for one that was not. `--values-before` reads those too.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  statehouse state diff job.toml@7 job.toml
  statehouse state diff job.toml@before s3://bucket/job@after --state count.seen --json")]
pub(in crate::cli) struct DiffArgs {
    /// The job file, folder or URL, and which checkpoint or savepoint
    #[arg(value_name = "PLACE[@ID|NAME]")]
    old: Target,
    /// What to compare it with
    #[arg(value_name = "PLACE[@ID|NAME]")]
    new: Target,
    /// Only this operator, or this state or these timers
    #[arg(long, value_name = "OPERATOR[.STATE]")]
    state: Option<String>,
    /// Read what both share, too, where anything changed, so that every old value is known
    #[arg(long)]
    values_before: bool,
    /// Print JSON Lines
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &DiffArgs) -> anyhow::Result<ExitCode> {
    let (old, new) = (open(&args.old)?, open(&args.new)?);
    let mut options = DiffOptions { values_before: args.values_before, ..DiffOptions::default() };
    if let Some(name) = &args.state {
        // It may be in only one of the two.
        let (view, part) = new.find(name).or_else(|_| old.find(name)).map_err(explained)?;
        options.operator = Some(view.id().to_owned());
        options.part = part.map(|part| view.name(part).to_owned());
    }
    let mut lines = Vec::new();
    let mut failed = None;
    let compared = block_on(old.diff::<Error>(&new, &options, &mut |view, difference| {
        let (old, new) = (difference.old, difference.new);
        if args.json {
            let mut line = view.json_identity(&difference.row);
            line.insert("change".to_owned(), json!(difference.kind()));
            line.extend(side_json(view, old).map(|value| ("old".to_owned(), value)));
            line.extend(side_json(view, new).map(|value| ("new".to_owned(), value)));
            if failed.is_none() {
                failed = print::data(json_line(line)).err();
            }
            return Ok(());
        }
        let [state, owner, within] = identity(view, &difference.row);
        let state = format!("{}.{state}", view.id());
        let kind = difference.kind().to_owned();
        lines.push([kind, state, owner, within, side(view, old), side(view, new)]);
        Ok(())
    }));
    let compared = compared.map_err(explained)?;
    if let Some(error) = failed {
        return Err(error);
    }
    if !lines.is_empty() {
        let columns = [
            ("change", Align::Left),
            ("state", Align::Left),
            ("key", Align::Left),
            ("entry", Align::Left),
            ("old", Align::Left),
            ("new", Align::Left),
        ];
        print::data(format::table(columns, &lines))?;
    }
    if !args.json {
        print::remark(format_args!(
            "{}; of {} only what was written in between was read, {} read whole, {} the same in both",
            format::counted(compared.differences, "difference"),
            format::counted(compared.groups_ends, "key group"),
            format::count(compared.groups_whole),
            format::count(compared.groups_same),
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn side(view: &OperatorView, side: Side<'_>) -> String {
    match side {
        Side::Absent => "-".to_owned(),
        Side::Shared => "?".to_owned(),
        Side::Present(row) => value(view, &row),
    }
}

/// What a side has: its value and expiry; null if it has nothing. Left out if it is not known.
fn side_json(view: &OperatorView, side: Side<'_>) -> Option<Value> {
    let of = |row: Row<'_>| {
        let mut members = view.json(&row);
        members.retain(|name, _| name == "value" || name == "expires_ms");
        Value::Object(members)
    };
    match side {
        Side::Absent => Some(Value::Null),
        Side::Shared => None,
        Side::Present(row) => Some(of(row)),
    }
}
