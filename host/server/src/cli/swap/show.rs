//! A swap for people: the plan as a table, the stages as they come, and how it ended.

use std::time::Duration;

use serde_json::Value;
use statehouse_operator::{Change, ChangeKind};

use crate::cli::print;
use crate::control::messages::{
    Counted, OperatorPlan, ShadowReport, SwapPlan, SwapStageName, SwapStatus, VersionName,
};
use crate::format::{self, Align};

/// Digits of a digest that tell it apart for people.
const DIGITS: usize = 12;

/// What has been said of a swap already.
pub(super) struct Told {
    quiet: bool,
    stages: usize,
    plan: bool,
    shadow: bool,
}

impl Told {
    /// Nothing yet; with `quiet` nothing ever. What passed before is passed over.
    pub(super) fn new(quiet: bool, first: &SwapStatus) -> Self {
        Self { quiet, stages: first.passed.len(), plan: false, shadow: false }
    }

    /// Says what is new.
    pub(super) fn tell(&mut self, status: &SwapStatus) -> anyhow::Result<()> {
        if self.quiet {
            return Ok(());
        }
        if let (Some(plan), false) = (&status.plan, self.plan) {
            self.plan = true;
            print::data(self::plan(plan))?;
        }
        if !self.shadow && !status.shadow.is_empty() {
            self.shadow = true;
            print::data(shadow(&status.shadow))?;
        }
        for (stage, _) in &status.passed[self.stages.min(status.passed.len())..] {
            if !stage.is_over() && *stage != SwapStageName::Planning {
                print::remark(line(*stage, status));
            }
        }
        self.stages = status.passed.len();
        Ok(())
    }
}

fn line(stage: SwapStageName, status: &SwapStatus) -> String {
    let for_time = format::duration(Duration::from_millis(status.watch_ms));
    match stage {
        SwapStageName::Trial => format!("trial: watched for {for_time}"),
        SwapStageName::Canary => format!("canary: watched for {for_time}"),
        SwapStageName::RollingBack => {
            format!("rolling back: {}", status.reason.as_deref().unwrap_or("something went wrong"))
        }
        other => other.name().to_owned(),
    }
}

/// The plan of a swap.
pub(super) fn plan(plan: &SwapPlan) -> String {
    let mut text = String::new();
    for operator in &plan.operators {
        text.push_str(&operator_text(operator));
    }
    for approval in &plan.approvals {
        let given = if approval.given { "allowed" } else { "has to be allowed" };
        text.push_str(&format!("{}: {given} by `--{}`\n", approval.what, approval.pass));
    }
    for refusal in &plan.refusals {
        text.push_str(&format!("refused: {refusal}\n"));
    }
    text
}

fn operator_text(operator: &OperatorPlan) -> String {
    let OperatorPlan { id, from, to, changes, new_imports } = operator;
    let from = from.as_ref().map_or_else(|| "no component".to_owned(), version);
    let mut text = format!("operator `{id}`\n  from  {from}\n  to    {}\n\n", version(to));
    let mut rows: Vec<[String; 3]> = changes
        .iter()
        .map(|Change { kind, what, note }| {
            [kind_name(*kind).to_owned(), what.clone(), note.clone()]
        })
        .collect();
    let asked = |import: &String| ["newly asked for".to_owned(), import.clone(), String::new()];
    rows.extend(new_imports.iter().map(asked));
    if rows.is_empty() {
        rows.push(["kept".to_owned(), "everything".to_owned(), String::new()]);
    }
    let columns = [("becomes", Align::Left), ("what", Align::Left), ("how", Align::Left)];
    text.push_str(&format::table(columns, &rows));
    text.push('\n');
    text
}

fn kind_name(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Kept => "kept",
        ChangeKind::Widened => "widened",
        ChangeKind::Migrated => "migrated",
        ChangeKind::Renamed => "renamed",
        ChangeKind::Added => "added",
        ChangeKind::Dropped => "dropped",
    }
}

fn version(name: &VersionName) -> String {
    let VersionName { component, operator, version } = name;
    format!("{}  {operator} {version}", &component[..DIGITS.min(component.len())])
}

/// What shadow runs found.
fn shadow(reports: &[ShadowReport]) -> String {
    let mut text = String::new();
    for ShadowReport { id, task, is_same, comparison } in reports {
        let rows = comparison["rows"].as_u64().unwrap_or(0);
        let how = if *is_same { "the same" } else { "not the same" };
        let records = format::counted(rows, "row");
        text.push_str(&format!("shadow run of `{id}`, task {task}: {records}, {how}\n"));
        for (list, name) in [("outputs", "port"), ("states", "state")] {
            for part in comparison[list].as_array().into_iter().flatten() {
                text.push_str(&part_text(part, name));
            }
        }
    }
    text
}

/// A port or state of a comparison, if it differs.
fn part_text(part: &Value, name: &str) -> String {
    let fields = ["differing", "missing", "extra", "only_before", "only_after"];
    let counts: Vec<String> = fields
        .iter()
        .filter_map(|field| {
            let count = part[*field].as_u64().filter(|count| *count > 0)?;
            Some(format!("{} {}", format::count(count), field.replace('_', " ")))
        })
        .collect();
    if counts.is_empty() {
        return String::new();
    }
    let title = part[name].as_str().unwrap_or_default();
    let mut text = format!("  {name} `{title}`: {}\n", counts.join(", "));
    for example in part["examples"].as_array().into_iter().flatten() {
        let word = |field: &str| example[field].as_str().unwrap_or("nothing").to_owned();
        let key = example["key"].as_str().map(|key| format!("{key}: ")).unwrap_or_default();
        text.push_str(&format!("    {key}{} became {}\n", word("before"), word("after")));
    }
    text
}

/// A swap, how far it is.
pub(super) fn status(status: &SwapStatus) -> String {
    let mut text = format!(
        "swap       {}\noperators  {}\nasked      {} by {}\nstage      {}\n",
        status.id,
        status.operators.join(", "),
        format::time(status.asked_ms),
        status.who,
        status.stage.name()
    );
    let epoch = status.epoch.map(|epoch| format!("epoch      {epoch}\n"));
    let savepoint = status.savepoint.as_ref().map(|name| format!("savepoint  {name}\n"));
    let reason = status.reason.as_ref().map(|reason| format!("reason     {reason}\n"));
    text.extend([epoch, savepoint, reason].into_iter().flatten());
    text.push_str(&counted(&status.counted));
    text
}

fn counted(all: &[Counted]) -> String {
    let mut rows = Vec::new();
    for Counted { id, before, trial } in all {
        for (name, value) in trial {
            let before = before.get(name).copied().unwrap_or(0);
            let [before, value] = [before, *value].map(format::count);
            rows.push([id.clone(), name.clone(), before, value]);
        }
    }
    if rows.is_empty() {
        return String::new();
    }
    let columns = [
        ("operator", Align::Left),
        ("counter", Align::Left),
        ("before", Align::Right),
        ("trial", Align::Right),
    ];
    format!("\n{}", format::table(columns, &rows))
}

/// That a swap was kept.
pub(super) fn kept(status: &SwapStatus) -> String {
    let epoch = status.epoch.map(|epoch| format!(" with checkpoint {epoch}")).unwrap_or_default();
    let savepoint = status.savepoint.as_ref();
    let savepoint = savepoint.map(|name| format!("; savepoint `{name}` is from before it"));
    format!("kept{epoch}{}", savepoint.unwrap_or_default())
}

/// That it was rolled back.
pub(super) fn rolled_back(status: &SwapStatus) -> String {
    let reason = status.reason.as_deref().unwrap_or("something went wrong");
    match status.epoch {
        Some(epoch) => format!(
            "the swap was rolled back, and the job runs as before, from checkpoint {epoch} on: {reason}"
        ),
        None => format!("the swap was rolled back: {reason}"),
    }
}

/// That it was given up, as its user wanted.
pub(super) fn given_up(status: &SwapStatus) -> String {
    match status.epoch.filter(|_| status.stage == SwapStageName::RolledBack) {
        Some(epoch) => format!("given up: the job runs as before, from checkpoint {epoch} on"),
        None => "given up: nothing has changed".to_owned(),
    }
}
