//! `statehouse checkpoint show` and `statehouse savepoint show`.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};
use statehouse_checkpoint::{FileRef, Location, Manifest, OperatorState, SegmentRef, TablesRef};

use crate::cli::print;
use crate::format;

/// Prints what a manifest says.
pub(in crate::cli) fn show(manifest: &Manifest, json: bool) -> anyhow::Result<ExitCode> {
    if json {
        print::json(&entry(manifest))?;
    } else {
        print::data(text(manifest))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn text(manifest: &Manifest) -> String {
    let packs = manifest.packs();
    let pack_bytes: u64 = packs.iter().map(|pack| pack.length).sum();
    let statistics = manifest.statistics;
    let took = format::duration(Duration::from_millis(statistics.duration_ms));
    let parent = manifest.parent.map_or_else(|| "none".to_owned(), |parent| parent.to_string());
    let mut text = format!(
        "checkpoint  {}\njob         {}\ncreated     {}\nparent      {parent}\ngeneration  {}\n\
         took        {took}, {} of {} written\nkey groups  {} ({})\n\
         state       {} in {} of {}, {} in the manifest\n",
        manifest.epoch,
        manifest.job,
        format::time(manifest.created_ms),
        manifest.generation,
        format::counted(statistics.packs, "pack"),
        format::bytes(statistics.pack_bytes),
        manifest.key_groups,
        manifest.key_hash,
        format::bytes(manifest.state_bytes()),
        format::counted(packs.len() as u64, "pack"),
        format::bytes(pack_bytes),
        format::bytes(manifest.inline_bytes()),
    );
    for operator in &manifest.operators {
        text.push_str(&operator_text(operator));
    }
    text
}

fn operator_text(operator: &OperatorState) -> String {
    let tasks = format::counted(u64::from(operator.parallelism), "task");
    let mut text = format!("\n{}  ({tasks})\n", operator.id);
    if let Some(component) = &operator.component {
        text.push_str(&format!("  component  {component}\n"));
    }
    if let Some(declared) = operator.declared {
        text.push_str(&format!("  declared   {declared}\n"));
    }
    let states = names(&operator.description["states"]);
    if !states.is_empty() {
        text.push_str(&format!("  states     {}\n", states.join(", ")));
    }
    let retired = retired(operator);
    if !retired.is_empty() {
        text.push_str(&format!("  retired    {}\n", retired.join(", ")));
    }
    if !operator.groups.is_empty() {
        let segments: Vec<&SegmentRef> = operator.groups.values().flatten().collect();
        let entries: u64 = segments.iter().map(|segment| segment.entries).sum();
        let bytes: u64 = segments.iter().map(|segment| segment.size_bytes()).sum();
        text.push_str(&format!(
            "  state      {} in {}, {}, {}\n",
            format::bytes(bytes),
            format::counted(operator.groups.len() as u64, "key group"),
            format::counted(segments.len() as u64, "segment"),
            format::counted(entries, "change")
        ));
    }
    for TablesRef { start, end, entries, files } in &operator.tables {
        let bytes: u64 = files.iter().map(|file| file.content.size_bytes()).sum();
        text.push_str(&format!(
            "  tables     {} of key groups {start} to {}, {}, about {}\n",
            format::bytes(bytes),
            end - 1,
            format::counted(files.len() as u64, "file"),
            format::counted(*entries, "value"),
        ));
    }
    for task in &operator.tasks {
        let mut parts = Vec::new();
        match task.watermark {
            Some(i64::MAX) => parts.push("watermark at the end".to_owned()),
            Some(watermark) => parts.push(format!("watermark {}", format::time(watermark))),
            None => {}
        }
        if !task.position.is_null() {
            parts.push(format!("position {}", task.position));
        }
        if let Some(state) = &task.state {
            parts.push(format!("{} of task states", format::bytes(state.size_bytes())));
        }
        if !parts.is_empty() {
            text.push_str(&format!("  task {:<5} {}\n", task.task, parts.join(", ")));
        }
    }
    text
}

/// What the state holds of earlier versions of the operator, which is being migrated.
fn retired(operator: &OperatorState) -> Vec<String> {
    let Some(retired) = &operator.retired else { return Vec::new() };
    let states = retired["states"].as_array().into_iter().flatten().map(|state| {
        let (name, version) = (&state["name"], &state["schema_version"]);
        format!("{} (version {version})", name.as_str().unwrap_or_default())
    });
    let timers = names(&retired["timers"]);
    states.chain(timers.into_iter().map(|name| format!("timer {name}"))).collect()
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(|entry| entry["name"].as_str()).collect()
}

fn entry(manifest: &Manifest) -> Value {
    let packs: Vec<Value> = manifest
        .packs()
        .iter()
        .map(|pack| json!({ "digest": pack.digest, "length": pack.length }))
        .collect();
    let operators: Vec<Value> = manifest.operators.iter().map(operator_entry).collect();
    json!({
        "epoch": manifest.epoch,
        "job": manifest.job,
        "parent": manifest.parent,
        "generation": manifest.generation,
        "created": format::time(manifest.created_ms),
        "created_ms": manifest.created_ms,
        "key_groups": manifest.key_groups,
        "key_hash": manifest.key_hash,
        "statistics": manifest.statistics,
        "state_bytes": manifest.state_bytes(),
        "inline_bytes": manifest.inline_bytes(),
        "packs": packs,
        "operators": operators,
    })
}

fn operator_entry(operator: &OperatorState) -> Value {
    let tasks: Vec<Value> = operator
        .tasks
        .iter()
        .map(|task| {
            json!({
                "task": task.task,
                "watermark": task.watermark,
                "position": task.position,
                "state": task.state.as_ref().map(segment_entry),
            })
        })
        .collect();
    let tables: Vec<Value> = operator.tables.iter().map(tables_entry).collect();
    let groups: serde_json::Map<String, Value> = operator
        .groups
        .iter()
        .map(|(group, chain)| (group.to_string(), chain.iter().map(segment_entry).collect()))
        .collect();
    json!({
        "id": operator.id,
        "component": operator.component,
        "declared": operator.declared_component(),
        "retired": operator.retired,
        "parallelism": operator.parallelism,
        "description": operator.description,
        "tasks": tasks,
        "groups": groups,
        "tables": tables,
    })
}

fn tables_entry(tables: &TablesRef) -> Value {
    let file = |file: &FileRef| {
        let mut entry = segment_entry(&file.content);
        entry["name"] = json!(file.name);
        entry["identity"] = json!(file.identity);
        entry
    };
    let TablesRef { start, end, entries, files } = tables;
    let files: Vec<Value> = files.iter().map(file).collect();
    json!({ "start": start, "end": end, "entries": entries, "files": files })
}

fn segment_entry(segment: &SegmentRef) -> Value {
    let packs: BTreeSet<String> = match &segment.location {
        Location::Inline(_) => BTreeSet::new(),
        Location::Packed(ranges) => {
            ranges.iter().map(|range| range.pack.digest.to_string()).collect()
        }
    };
    json!({
        "full": segment.full,
        "entries": segment.entries,
        "bytes": segment.size_bytes(),
        "packs": packs,
    })
}
