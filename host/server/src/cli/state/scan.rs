//! `statehouse state get` and `statehouse state scan`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use futures::executor::block_on;
use statehouse_processor::{FileKind, Filter, Inside, OperatorView, RowFile};

use super::rows::{expires, identity, json_line, value};
use super::{explained, open};
use crate::cli::print;
use crate::format::{self, Align};
use crate::target::Target;

/// How many rows a table has if nothing is said.
const TABLE_ROWS: u64 = 100;

/// Show what a key has in a state; exit code 1 if it has nothing
///
/// Only the part of the state that holds the key is read.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  statehouse state get job.toml count.seen tea
  statehouse state get job.toml@before-upgrade sessions.open 4711 --json")]
pub(in crate::cli) struct GetArgs {
    /// The job file, folder or URL, and which checkpoint or savepoint
    #[arg(value_name = "PLACE[@ID|NAME]")]
    target: Target,
    /// The operator and its state or timers; without a state, all of them
    #[arg(value_name = "OPERATOR[.STATE]")]
    state: String,
    /// The key: a number or text as it is, anything else as JSON
    #[arg(allow_hyphen_values = true)]
    key: String,
    /// Print JSON Lines
    #[arg(long)]
    json: bool,
}

/// Show everything in an operator's state, or in one of its states
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  statehouse state scan job.toml count.seen --limit 10
  statehouse state scan job.toml@7 count --json > state.jsonl
  statehouse state scan s3://bucket/job count.seen --parquet seen.parquet")]
pub(in crate::cli) struct ScanArgs {
    /// The job file, folder or URL, and which checkpoint or savepoint
    #[arg(value_name = "PLACE[@ID|NAME]")]
    target: Target,
    /// The operator and its state or timers; without a state, all of them
    #[arg(value_name = "OPERATOR[.STATE]")]
    state: String,
    /// Show no more rows than this [default: 100 for a table, else all]
    #[arg(long, value_name = "ROWS")]
    limit: Option<u64>,
    /// Print JSON Lines
    #[arg(long)]
    json: bool,
    /// Write an Arrow file (IPC)
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    arrow: Option<PathBuf>,
    /// Write a Parquet file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["json", "arrow"])]
    parquet: Option<PathBuf>,
}

pub(super) fn get(args: &GetArgs) -> anyhow::Result<ExitCode> {
    let inside = open(&args.target)?;
    let (view, part) = inside.find(&args.state).map_err(explained)?;
    let key = view.parse_key(&args.key).map_err(explained)?;
    let filter = Filter { part, key: Some(key), limit: None };
    let rows = show(&inside, &view, &filter, args.json)?;
    if rows == 0 {
        print::remark(format_args!("key {} has nothing in `{}`", args.key, args.state));
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn scan(args: &ScanArgs) -> anyhow::Result<ExitCode> {
    let inside = open(&args.target)?;
    let (view, part) = inside.find(&args.state).map_err(explained)?;
    let mut filter = Filter { part, key: None, limit: args.limit };
    let file = match (&args.arrow, &args.parquet) {
        (Some(path), _) => Some((path, FileKind::Arrow)),
        (_, Some(path)) => Some((path, FileKind::Parquet)),
        _ => None,
    };
    let Some((path, kind)) = file else {
        if !args.json && args.limit.is_none() {
            filter.limit = Some(TABLE_ROWS);
        }
        show(&inside, &view, &filter, args.json)?;
        return Ok(ExitCode::SUCCESS);
    };
    let mut file = RowFile::create(path, kind, &view, part).map_err(explained)?;
    let mut rows = 0;
    let scanned = block_on(inside.scan(&view, &filter, &mut |row| {
        rows += 1;
        file.push(&view, row)
    }));
    scanned.map_err(explained)?;
    file.finish().map_err(explained)?;
    print::remark(format_args!("{} in `{}`", format::counted(rows, "row"), path.display()));
    Ok(ExitCode::SUCCESS)
}

/// A failure of reading, or of printing.
enum Failure {
    Read(statehouse_processor::Error),
    Print(anyhow::Error),
}

impl From<statehouse_processor::Error> for Failure {
    fn from(error: statehouse_processor::Error) -> Self {
        Self::Read(error)
    }
}

/// Prints rows, as a table or as they come. Returns how many.
fn show(inside: &Inside, view: &OperatorView, filter: &Filter, json: bool) -> anyhow::Result<u64> {
    let mut shown = 0;
    let mut lines = Vec::new();
    let all = block_on(inside.scan::<Failure>(view, filter, &mut |row| {
        shown += 1;
        if json {
            return print::data(json_line(view.json(row))).map_err(Failure::Print);
        }
        let [state, owner, within] = identity(view, row);
        lines.push([state, owner, within, value(view, row), expires(row)]);
        Ok(())
    }));
    let all = all.map_err(|failure| match failure {
        Failure::Read(error) => explained(error),
        Failure::Print(error) => error,
    })?;
    if !json && shown > 0 {
        let columns = [
            ("state", Align::Left),
            ("key", Align::Left),
            ("entry", Align::Left),
            ("value", Align::Left),
            ("expires", Align::Left),
        ];
        print::data(format::table(columns, &lines))?;
    }
    if !all {
        let rows = format::counted(shown, "row");
        print::remark(format_args!("the first {rows}; `--limit` says how many to show"));
    }
    Ok(shown)
}
