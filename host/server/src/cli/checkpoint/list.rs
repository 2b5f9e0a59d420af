//! `statehouse checkpoint list`.

use std::process::ExitCode;
use std::time::Duration;

use futures::executor::block_on;
use serde_json::{Value, json};
use statehouse_checkpoint::{CheckpointStore, Manifest};

use crate::cli::print;
use crate::format::{self, Align};

pub(super) fn run(store: &CheckpointStore, json: bool) -> anyhow::Result<ExitCode> {
    let mut found = Vec::new();
    for epoch in block_on(store.list())? {
        match block_on(store.read(epoch)) {
            Err(error) if !error.is_damage() => return Err(error.into()),
            read => found.push((epoch, read)),
        }
    }
    if json {
        let entries: Vec<Value> = found
            .iter()
            .map(|(epoch, read)| match read {
                Ok(manifest) => entry(manifest),
                Err(error) => json!({ "epoch": epoch, "damage": error.chain() }),
            })
            .collect();
        print::json(&entries)?;
        return Ok(ExitCode::SUCCESS);
    }
    if found.is_empty() {
        print::remark("there is no checkpoint yet");
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<[String; 6]> = found
        .iter()
        .map(|(epoch, read)| match read {
            Ok(manifest) => row(manifest),
            Err(_) => {
                let advice = "damaged: see `statehouse checkpoint verify`";
                let epoch = epoch.to_string();
                [&epoch, "-", "-", "-", "-", advice].map(str::to_owned)
            }
        })
        .collect();
    let columns = [
        ("id", Align::Right),
        ("created", Align::Left),
        ("took", Align::Right),
        ("written", Align::Right),
        ("state", Align::Right),
        ("operators with state", Align::Left),
    ];
    print::data(format::table(columns, &rows))?;
    Ok(ExitCode::SUCCESS)
}

fn row(manifest: &Manifest) -> [String; 6] {
    let statistics = manifest.statistics;
    [
        manifest.epoch.to_string(),
        format::time(manifest.created_ms),
        format::duration(Duration::from_millis(statistics.duration_ms)),
        format::bytes(statistics.pack_bytes),
        format::bytes(manifest.state_bytes()),
        with_state(manifest).join(", "),
    ]
}

fn entry(manifest: &Manifest) -> Value {
    json!({
        "epoch": manifest.epoch,
        "job": manifest.job,
        "parent": manifest.parent,
        "generation": manifest.generation,
        "created": format::time(manifest.created_ms),
        "created_ms": manifest.created_ms,
        "duration_ms": manifest.statistics.duration_ms,
        "written_bytes": manifest.statistics.pack_bytes,
        "state_bytes": manifest.state_bytes(),
        "operators": with_state(manifest),
    })
}

fn with_state(manifest: &Manifest) -> Vec<&str> {
    let operators = manifest.operators.iter().filter(|operator| !operator.groups.is_empty());
    operators.map(|operator| operator.id.as_str()).collect()
}
