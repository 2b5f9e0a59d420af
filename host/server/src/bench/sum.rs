//! The keyed running sum, end to end: a generator, an operator with one number of state a key, and a sink that drops.
//! The whole engine takes part: channels, key groups, barriers, checkpoints to a directory.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::executor::block_on;
use serde::Serialize;
use statehouse_checkpoint::{CheckpointStore, Durability};
use statehouse_connectors::settings::GeneratorSettings;
use statehouse_connectors::{DiscardFactory, GeneratorFactory};
use statehouse_engine::{
    CheckpointRecord, CheckpointSettings, Checkpoints, Clock, Graph, JobPlan, Node, NodeKind,
    OperatorFactory, SystemClock, Warm, assemble, threads,
};
use statehouse_operator::{Description, Operator};
use statehouse_state::KeyGroups;
use statehouse_state::rocks::{RocksOptions, RocksResources};
use statehouse_wasm::{Component, Limits};

use super::machine::{Stopwatch, peak_memory_bytes, reset_peak_memory};
use super::native::{Native, Work};
use super::{bare, median, middle};
use crate::format;
use crate::job_file::BackendKind;
use crate::launch::{heap_backends, rocks_backends};
use crate::wasm_factory::WasmFactory;

/// What to measure.
#[derive(Debug, Clone)]
pub struct SumSettings {
    /// Distinct keys, uniformly drawn.
    pub keys: u64,
    /// Records of one run.
    pub records: u64,
    /// Tasks of the source, the operator and the sink each; also the processors that the process is kept on.
    pub parallelism: u32,
    /// Where the state is.
    pub backend: BackendKind,
    /// How long a key's value is; none: one number.
    pub value_bytes: Option<usize>,
    /// Time between checkpoints; none: off.
    pub checkpoint_interval: Option<Duration>,
    /// Runs of each kind; medians count.
    pub repetitions: usize,
}

/// Which operator runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A component.
    Wasm,
    /// The same in native Rust.
    Native,
}

/// Checkpoints of the runs that were measured.
#[derive(Debug, Clone, Default, Serialize)]
pub struct CheckpointFigures {
    /// How many.
    pub count: usize,
    /// From trigger to manifest, median.
    pub duration_ms_median: u64,
    /// The same, longest.
    pub duration_ms_max: u64,
    /// Bytes written for one, median.
    pub written_bytes_median: u64,
}

/// What was measured. Rates are medians, of records a second and processor.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct SumFigures {
    pub benchmark: &'static str,
    pub backend: &'static str,
    pub operator: Kind,
    pub keys: u64,
    pub value_bytes: Option<usize>,
    pub records: u64,
    pub parallelism: u32,
    pub processors: usize,
    pub checkpoint_interval_ms: Option<u64>,
    pub repetitions: usize,
    /// Of the operator that was asked for.
    pub records_per_second_per_core: f64,
    pub wasm_records_per_second_per_core: Option<f64>,
    pub native_records_per_second_per_core: f64,
    /// The same records into a bare table, by one thread.
    pub bare_loop_records_per_second: f64,
    /// Time of the component's job over time of the native operator's.
    pub wasm_time_over_native: Option<f64>,
    /// Of the operator that was asked for.
    pub checkpoints: CheckpointFigures,
    /// Of the first run of the operator that was asked for.
    pub peak_memory_bytes: u64,
}

/// Runs the wasm operator (if there is a component), the native one and the bare loop in turn.
///
/// # Errors
/// If a job fails.
pub fn run(
    settings: &SumSettings,
    component: Option<&Component>,
    directory: &Path,
    processors: usize,
) -> Result<SumFigures, String> {
    let operator = if component.is_some() { Kind::Wasm } else { Kind::Native };
    let (mut wasm, mut native, mut plain) = (Vec::new(), Vec::new(), Vec::new());
    let mut checkpoints = Vec::new();
    reset_peak_memory();
    let mut peak = None;
    for _ in 0..settings.repetitions.max(1) {
        if component.is_some() {
            let (seconds, records) = job(settings, component, directory)?;
            wasm.push(seconds);
            checkpoints.extend(records);
            peak.get_or_insert_with(peak_memory_bytes);
        }
        let (seconds, records) = job(settings, None, directory)?;
        native.push(seconds);
        if operator == Kind::Native {
            checkpoints.extend(records);
            peak.get_or_insert_with(peak_memory_bytes);
        }
        plain.push(bare::run(&generator(settings)?, settings.keys).1);
    }
    let records = settings.records as f64;
    let per_core = |seconds: Vec<f64>| records / median(seconds) / processors as f64;
    let ratio = component.map(|_| median(wasm.clone()) / median(native.clone()));
    let native = per_core(native);
    let wasm = component.map(|_| per_core(wasm));
    Ok(SumFigures {
        benchmark: "sum",
        backend: settings.backend.name(),
        operator,
        keys: settings.keys,
        value_bytes: settings.value_bytes,
        records: settings.records,
        parallelism: settings.parallelism,
        processors,
        checkpoint_interval_ms: settings.checkpoint_interval.map(|every| every.as_millis() as u64),
        repetitions: settings.repetitions,
        records_per_second_per_core: wasm.unwrap_or(native),
        wasm_records_per_second_per_core: wasm,
        native_records_per_second_per_core: native,
        bare_loop_records_per_second: records / median(plain),
        wasm_time_over_native: ratio,
        checkpoints: figures(&checkpoints),
        peak_memory_bytes: peak.unwrap_or(0),
    })
}

fn figures(checkpoints: &[CheckpointRecord]) -> CheckpointFigures {
    let durations: Vec<u64> = checkpoints.iter().map(|record| record.duration_ms).collect();
    CheckpointFigures {
        count: checkpoints.len(),
        duration_ms_max: durations.iter().copied().max().unwrap_or(0),
        duration_ms_median: middle(durations),
        written_bytes_median: middle(checkpoints.iter().map(|r| r.written_bytes).collect()),
    }
}

fn generator(settings: &SumSettings) -> Result<GeneratorFactory, String> {
    let generator = GeneratorSettings {
        keys: settings.keys,
        records: Some(settings.records),
        ..GeneratorSettings::default()
    };
    GeneratorFactory::new(generator).map_err(|error| error.to_string())
}

/// One run of the job: its seconds from start to end, and its checkpoints.
fn job(
    settings: &SumSettings,
    component: Option<&Component>,
    directory: &Path,
) -> Result<(f64, Vec<CheckpointRecord>), String> {
    let failed = |error: &dyn std::fmt::Display| error.to_string();
    let work = settings.value_bytes.map_or(Work::Sum, Work::SumBytes);
    let factory: Arc<dyn OperatorFactory> = match component {
        Some(component) => {
            let limits = Limits::default();
            let config = settings.value_bytes.map(|n| ("value-bytes".to_owned(), n.to_string()));
            let config = config.into_iter().collect();
            let factory = WasmFactory::new(component, work.name(), config, limits);
            Arc::new(factory.map_err(|error| failed(&error))?)
        }
        None => Arc::new(NativeSum(work, super::native::description(work))),
    };
    let state = directory.join("state");
    let _ = std::fs::remove_dir_all(directory);
    std::fs::create_dir_all(&state).map_err(|error| failed(&error))?;
    let backend = match settings.backend {
        BackendKind::Heap => heap_backends(),
        BackendKind::Rocksdb => {
            rocks_backends(RocksResources::new(RocksOptions::default()), &state)
        }
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let checkpoints = match settings.checkpoint_interval {
        None => None,
        Some(_) => {
            let checkpoints = directory.join("checkpoints");
            std::fs::create_dir_all(&checkpoints).map_err(|error| failed(&error))?;
            let store = CheckpointStore::open_directory(checkpoints, Durability::Power);
            let store = store.map_err(|error| failed(&error))?;
            let lease = block_on(store.claim()).map_err(|error| failed(&error))?;
            Some(Checkpoints { store, lease })
        }
    };
    let plan = JobPlan {
        graph: graph(settings, factory)?,
        settings: CheckpointSettings {
            interval: settings.checkpoint_interval,
            ..CheckpointSettings::default()
        },
        checkpoints,
        restore: None,
        clock: Arc::clone(&clock),
        backend,
        scratch: None,
        restores_max: 1,
        seed: 0,
        warm: Warm::default(),
    };
    let assembled = assemble(plan).map_err(|error| failed(&error))?;
    let handle = assembled.handle.clone();
    let watch = Stopwatch::start();
    threads::run(assembled, &clock).map_err(|error| failed(&error))?;
    Ok((watch.seconds(), handle.checkpoints()))
}

fn graph(settings: &SumSettings, factory: Arc<dyn OperatorFactory>) -> Result<Graph, String> {
    let parallelism = settings.parallelism;
    let source = NodeKind::Source(Arc::new(generator(settings)?));
    let inputs = BTreeMap::from([("numbers".to_owned(), vec!["numbers".to_owned()])]);
    let sum = NodeKind::Operator { factory, inputs };
    let sink = NodeKind::Sink {
        factory: Arc::new(DiscardFactory::new()),
        inputs: vec!["sum.sums".to_owned()],
    };
    let nodes = [("numbers", source), ("sum", sum), ("discard", sink)];
    let nodes = nodes.map(|(id, kind)| Node::new(id, kind).with_parallelism(parallelism));
    Graph::check("bench-sum", KeyGroups::DEFAULT, nodes.into()).map_err(|error| error.to_string())
}

/// The native running sum, for each task.
#[derive(Debug)]
pub(crate) struct NativeSum(pub(crate) Work, pub(crate) Description);

impl OperatorFactory for NativeSum {
    fn description(&self) -> &Description {
        &self.1
    }

    fn component(&self) -> Option<String> {
        None
    }

    fn open(&self, _task: u32) -> Result<Box<dyn Operator>, String> {
        Ok(Box::new(Native::new(self.0)))
    }
}

/// The figures for people.
pub fn text(figures: &SumFigures) -> String {
    let million = |rate: f64| format!("{:.2} million records a second", rate / 1e6);
    let value = figures.value_bytes.map(|bytes| format!(", values of {bytes} bytes"));
    let mut text = format!(
        "{} backend, {}{}, {}, {}, median of {}\n",
        figures.backend,
        format::counted(figures.keys, "key"),
        value.unwrap_or_default(),
        format::counted(figures.records, "record"),
        format::counted(figures.processors as u64, "processor"),
        figures.repetitions
    );
    if let (Some(wasm), Some(ratio)) =
        (figures.wasm_records_per_second_per_core, figures.wasm_time_over_native)
    {
        text += &format!(
            "wasm       {} and processor, {ratio:.2} × the time of native\n",
            million(wasm)
        );
    }
    let native = million(figures.native_records_per_second_per_core);
    text += &format!("native     {native} and processor\n");
    text += &format!("bare loop  {}\n", million(figures.bare_loop_records_per_second));
    let taken = &figures.checkpoints;
    text += &format!(
        "{}: median {} ms, longest {} ms, median {}\n",
        format::counted(taken.count as u64, "checkpoint"),
        taken.duration_ms_median,
        taken.duration_ms_max,
        format::bytes(taken.written_bytes_median)
    );
    text + &format!("peak memory {}\n", format::bytes(figures.peak_memory_bytes))
}
