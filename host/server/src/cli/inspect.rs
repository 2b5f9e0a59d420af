//! `statehouse inspect`: what a component declares and what it imports.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use statehouse_operator::{Description, Migrations, Port, Renamed};
use statehouse_wasm::Inspection;

use super::{log, print};
use crate::environment::Environment;
use crate::format;
use crate::guest::inspect;

/// Show what a component declares: its operators with their ports, states, timers and metrics, and its imports
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  statehouse inspect hello.wasm
  statehouse inspect hello.wasm --json")]
pub(super) struct InspectArgs {
    /// The component's file
    #[arg(value_name = "COMPONENT")]
    component: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: InspectArgs) -> anyhow::Result<ExitCode> {
    log::start_plain()?;
    let path = args.component.display();
    let bytes = std::fs::read(&args.component).with_context(|| format!("cannot read `{path}`"))?;
    let inspection = inspect(&bytes, &Environment::read())
        .map_err(|error| anyhow::anyhow!("`{path}` {error}"))?;
    if args.json {
        print::json(&inspection)?;
    } else {
        print::data(text(&inspection))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn text(inspection: &Inspection) -> String {
    let mut text = String::new();
    for operator in &inspection.operators {
        text.push_str(&operator_text(operator));
        if let Some(migrations) = inspection.migrations.get(&operator.name) {
            text.push_str(&migrations_text(migrations));
        }
        text.push('\n');
    }
    text.push_str("imports\n");
    // Interfaces without functions lend types only.
    let used = inspection.imports.iter().filter(|import| !import.functions.is_empty());
    for import in used {
        text.push_str(&format!("  {}  {}\n", import.name, import.functions.join(" ")));
    }
    if inspection.imports.is_empty() {
        text.push_str("  nothing\n");
    }
    let size = format::bytes(inspection.size_bytes as u64);
    text.push_str(&format!("\nsize    {size}\ndigest  {}\n", inspection.digest));
    text
}

/// One operator as a person reads it.
pub(super) fn operator_text(operator: &Description) -> String {
    let mut text = format!("operator {} {}\n", operator.name, operator.version);
    let mut list = |what: &str, entries: Vec<String>| {
        for (place, entry) in entries.iter().enumerate() {
            let heading = if place == 0 { what } else { "" };
            text.push_str(&format!("  {heading:<9}{entry}\n"));
        }
    };
    list("inputs", operator.inputs.iter().map(port).collect());
    list("outputs", operator.outputs.iter().map(port).collect());
    let states = operator.states.iter();
    list(
        "states",
        states
            .map(|state| {
                let kind = name_of(&state.kind);
                let version = match state.schema_version {
                    0 | 1 => String::new(),
                    version => format!(", schema version {version}"),
                };
                let of = value_type(&state.value, &state.codec);
                let merge = state.merge.map(|merge| format!(", {}", name_of(&merge)));
                let by = state.map_key.map(|key| format!(" by {}", name_of(&key)));
                let ttl = state.ttl.map(|ttl| {
                    format!(", lives {} ms of {}", ttl.milliseconds, name_of(&ttl.domain))
                });
                let [merge, by, ttl] = [merge, by, ttl].map(Option::unwrap_or_default);
                format!("{}: {kind} of {of}{by}{merge}{ttl}{version}", state.name)
            })
            .collect(),
    );
    let of_tasks = operator.task_states.iter();
    list(
        "of tasks",
        of_tasks
            .map(|state| {
                let of = value_type(&state.value, &state.codec);
                let by = state.map_key.map(|key| format!(" by {}", name_of(&key)));
                let (name, kind) = (&state.name, name_of(&state.kind));
                format!("{name}: {kind} of {of}{}", by.unwrap_or_default())
            })
            .collect(),
    );
    let timers = operator.timers.iter();
    list(
        "timers",
        timers.map(|timer| format!("{}: {}", timer.name, name_of(&timer.domain))).collect(),
    );
    let metrics = operator.metrics.iter();
    list(
        "metrics",
        metrics.map(|metric| format!("{}: {}", metric.name, name_of(&metric.kind))).collect(),
    );
    text
}

/// What an operator takes over from its earlier versions.
fn migrations_text(migrations: &Migrations) -> String {
    let renames = migrations.renames.iter().map(|rename| {
        let what = match rename.kind {
            Renamed::State => "state",
            Renamed::Timer => "timer",
        };
        format!("{what} {}, now {}", rename.was, rename.now)
    });
    let steps = migrations.steps.iter();
    let steps = steps.map(|step| format!("{} of schema version {}", step.state, step.from_version));
    let lines = renames.chain(steps).map(|line| format!("    {line}\n"));
    lines.fold("  takes over\n".to_owned(), |text, line| text + &line)
}

fn port(port: &Port) -> String {
    match &port.key {
        Some(key) => format!("{}: {} by {key}", port.name, port.value),
        None if port.broadcast => format!("{}: {}, to every task", port.name, port.value),
        None => format!("{}: {}", port.name, port.value),
    }
}

fn value_type(layout: &statehouse_state::ValueLayout, codec: &str) -> String {
    match name_of(layout).as_str() {
        "bytes" => codec.to_owned(),
        word => word.to_owned(),
    }
}

/// The name that descriptions and manifests give a plain value.
fn name_of(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name.replace('-', " "),
        Ok(serde_json::Value::Object(fields)) => {
            fields.keys().cloned().collect::<Vec<_>>().join(" ")
        }
        _ => String::new(),
    }
}
