//! `statehouse history`: which component of each operator wrote which epochs, who put it there, and how that went.

use std::process::ExitCode;

use clap::Args;
use futures::executor::block_on;
use serde_json::{Value, json};
use statehouse_checkpoint::{
    ComponentVersion, HistoryEntry, HistoryEvent, HistoryOperator, HistoryRecord,
};

use super::print;
use crate::format::{self, Align};
use crate::target::OpenPlace;

/// List which components a job ran, since when, and what became of its swaps
///
/// The component of an operator wrote the checkpoints from the epoch in its line on. `statehouse checkpoint show` says
/// the same of one checkpoint.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  statehouse history job.toml
  statehouse history s3://bucket/job --json")]
pub(super) struct HistoryArgs {
    /// Where the checkpoints are: the job file, the folder or the URL
    #[arg(value_name = "PLACE")]
    place: String,
    /// Print a JSON list
    #[arg(long)]
    json: bool,
}

/// Digits of a digest that tell it apart for people.
const DIGITS: usize = 12;

pub(super) fn run(args: HistoryArgs) -> anyhow::Result<ExitCode> {
    let store = OpenPlace::to_look(&args.place)?.store;
    let history = block_on(store.read_history());
    let history = history.map_err(|error| anyhow::anyhow!("{}", error.chain()))?;
    if args.json {
        print::json(&history.iter().map(entry).collect::<Vec<_>>())?;
    } else if history.is_empty() {
        print::remark("there is no history yet");
    } else {
        print::data(text(&history))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn text(history: &[HistoryRecord]) -> String {
    let mut rows = Vec::new();
    for HistoryRecord { entry, .. } in history {
        for operator in &entry.operators {
            rows.push(row(entry, Some(operator)));
        }
        if entry.operators.is_empty() {
            rows.push(row(entry, None));
        }
    }
    let columns = [
        ("when", Align::Left),
        ("event", Align::Left),
        ("epoch", Align::Right),
        ("operator", Align::Left),
        ("component", Align::Left),
        ("version", Align::Left),
        ("who", Align::Left),
        ("why", Align::Left),
    ];
    format::table(columns, &rows)
}

fn row(entry: &HistoryEntry, operator: Option<&HistoryOperator>) -> [String; 8] {
    // After a rollback it is the one before that runs on.
    let runs = operator.map(|operator| match (entry.event, &operator.from) {
        (HistoryEvent::RolledBack | HistoryEvent::Interrupted, Some(from)) => from,
        _ => &operator.to,
    });
    let component = runs.map(|version| version.component.to_string()[..DIGITS].to_owned());
    let version = runs.map(|version| format!("{} {}", version.operator, version.version));
    let reason = entry.reason.clone().unwrap_or_default();
    [
        format::time(entry.at_ms),
        event_name(entry.event).to_owned(),
        entry.epoch.map(|epoch| epoch.to_string()).unwrap_or_default(),
        operator.map(|operator| operator.id.clone()).unwrap_or_default(),
        component.unwrap_or_default(),
        version.unwrap_or_default(),
        entry.who.clone(),
        // A reason may have lines of its own.
        reason.lines().collect::<Vec<_>>().join("; "),
    ]
}

fn event_name(event: HistoryEvent) -> &'static str {
    match event {
        HistoryEvent::Started => "started",
        HistoryEvent::Asked => "asked for",
        HistoryEvent::Swapped => "swapped",
        HistoryEvent::Promoted => "promoted",
        HistoryEvent::Kept => "kept",
        HistoryEvent::RolledBack => "rolled back",
        HistoryEvent::Refused => "refused",
        HistoryEvent::Interrupted => "interrupted",
    }
}

fn entry(record: &HistoryRecord) -> Value {
    let HistoryRecord { generation, number, entry } = record;
    let version = |version: &ComponentVersion| {
        let ComponentVersion { component, operator, version } = version;
        json!({ "component": component, "operator": operator, "version": version })
    };
    let operators: Vec<Value> = entry
        .operators
        .iter()
        .map(|operator| {
            json!({
                "id": operator.id,
                "from": operator.from.as_ref().map(version),
                "to": version(&operator.to),
                "declared": operator.declared,
            })
        })
        .collect();
    json!({
        "generation": generation,
        "number": number,
        "at_ms": entry.at_ms,
        "event": entry.event,
        "swap": entry.swap,
        "epoch": entry.epoch,
        "operators": operators,
        "who": entry.who,
        "reason": entry.reason,
        "savepoint": entry.savepoint,
        "watch": entry.watch,
    })
}
