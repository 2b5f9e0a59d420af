//! `statehouse savepoint list`.

use std::process::ExitCode;

use futures::executor::block_on;
use serde_json::{Value, json};
use statehouse_checkpoint::{CheckpointStore, Error, Manifest};

use crate::cli::print;
use crate::format::{self, Align};

pub(super) fn run(store: &CheckpointStore, json: bool) -> anyhow::Result<ExitCode> {
    let mut found = Vec::new();
    for savepoint in block_on(store.savepoints())? {
        match block_on(store.read_savepoint(&savepoint.name)) {
            Err(error) if !error.is_damage() => return Err(error.into()),
            read => found.push((savepoint.name, read)),
        }
    }
    if json {
        let entries: Vec<Value> = found.iter().map(|(name, read)| entry(name, read)).collect();
        print::json(&entries)?;
        return Ok(ExitCode::SUCCESS);
    }
    if found.is_empty() {
        print::remark("there is no savepoint; `statehouse savepoint create JOB.toml` makes one");
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<[String; 5]> = found.iter().map(|(name, read)| row(name, read)).collect();
    let columns = [
        ("name", Align::Left),
        ("checkpoint", Align::Right),
        ("created", Align::Left),
        ("state", Align::Right),
        ("job", Align::Left),
    ];
    print::data(format::table(columns, &rows))?;
    Ok(ExitCode::SUCCESS)
}

fn row(name: &str, read: &Result<Manifest, Error>) -> [String; 5] {
    match read {
        Ok(manifest) => [
            name.to_owned(),
            manifest.epoch.to_string(),
            format::time(manifest.created_ms),
            format::bytes(manifest.state_bytes()),
            manifest.job.clone(),
        ],
        Err(_) => {
            [name, "-", "-", "-", "damaged: see `statehouse savepoint show`"].map(str::to_owned)
        }
    }
}

fn entry(name: &str, read: &Result<Manifest, Error>) -> Value {
    match read {
        Ok(manifest) => json!({
            "name": name,
            "epoch": manifest.epoch,
            "job": manifest.job,
            "created": format::time(manifest.created_ms),
            "created_ms": manifest.created_ms,
            "state_bytes": manifest.state_bytes(),
        }),
        Err(error) => json!({ "name": name, "damage": error.chain() }),
    }
}
