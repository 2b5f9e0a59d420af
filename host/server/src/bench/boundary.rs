//! What the boundary costs: the same work native and in a component, through the same invocation and backend.

use std::collections::BTreeMap;

use serde::Serialize;
use statehouse_operator::{Batch, ErrorPolicy, Invoker, Moment, Operator};
use statehouse_state::{Column, HeapBackend, KeyGroupRange, KeyGroups, KeyLayout};
use statehouse_wasm::{Component, Limits, WasmOperator};

use super::machine::Stopwatch;
use super::median;
use super::native::{Native, Work};
use crate::format::{self, Align};

/// Distinct keys of the measured batches.
const KEYS: u64 = 10_000;

/// Records of one measurement.
const RECORDS: usize = 2_000_000;

/// Measurements of each figure; the median counts.
const REPETITIONS: usize = 7;

/// One line of the table: nanoseconds a record.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// What the operator does.
    pub work: &'static str,
    /// Rows of a batch.
    pub batch: usize,
    /// The native operator, with all that the host does for an invocation.
    pub native_ns: f64,
    /// The same in a component.
    pub wasm_ns: f64,
    /// What the component costs more.
    pub boundary_ns: f64,
}

/// Measures every kind of work in batches of 1024, and the running sum in smaller ones too.
///
/// # Errors
/// If the component does not hold the operators.
pub fn run(component: &Component) -> Result<Vec<Line>, String> {
    let mut lines = Vec::new();
    for work in Work::ALL {
        lines.push(measure(component, work, 1024, RECORDS)?);
    }
    for batch in [64, 1] {
        lines.push(measure(component, Work::Sum, batch, RECORDS * batch / 1024)?);
    }
    Ok(lines)
}

fn measure(component: &Component, work: Work, rows: usize, records: usize) -> Result<Line, String> {
    let batches = batches(rows, records);
    let wasm = WasmOperator::open(component, work.name(), &BTreeMap::new(), Limits::default());
    let mut wasm = invoker(Box::new(wasm.map_err(|error| error.to_string())?));
    let mut native = invoker(Box::new(Native::new(work)));
    let (mut native_ns, mut wasm_ns) = (Vec::new(), Vec::new());
    // One round to warm up; then in turn, so that both see the same machine.
    for round in 0..=REPETITIONS {
        let times = [time(&mut native, &batches)?, time(&mut wasm, &batches)?];
        if round > 0 {
            native_ns.push(times[0]);
            wasm_ns.push(times[1]);
        }
    }
    let (native_ns, wasm_ns) = (median(native_ns), median(wasm_ns));
    let boundary_ns = wasm_ns - native_ns;
    Ok(Line { work: work.name(), batch: rows, native_ns, wasm_ns, boundary_ns })
}

fn invoker(operator: Box<dyn Operator>) -> Invoker {
    let description = operator.description().clone();
    let groups = KeyGroups::DEFAULT;
    let backend = HeapBackend::new(
        KeyLayout::U64,
        &description.states,
        &description.timers,
        groups,
        KeyGroupRange::all(groups),
    );
    let backend = backend.expect("the benchmarks' states are served");
    Invoker::new(operator, Some(Box::new(backend)), ErrorPolicy::Fail)
}

fn batches(rows: usize, records: usize) -> Vec<Batch> {
    let mut chance = 1_u64;
    let mut batch = || {
        let mut keys = Vec::with_capacity(rows);
        for _ in 0..rows {
            chance = chance.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            keys.push((chance >> 33) % KEYS);
        }
        let mut batch = Batch {
            times: (0..rows as i64).collect(),
            values: Column::Words(keys.iter().map(|key| key * 3).collect()),
            keys: Some(Column::Words(keys)),
            hashes: Vec::new(),
        };
        batch.hash_keys();
        batch
    };
    (0..records.div_ceil(rows).max(1)).map(|_| batch()).collect()
}

fn time(invoker: &mut Invoker, batches: &[Batch]) -> Result<f64, String> {
    let watch = Stopwatch::start();
    for batch in batches {
        invoker.process(0, batch, Moment::default()).map_err(|error| error.to_string())?;
        for output in invoker.outputs() {
            output.clear();
        }
    }
    let records: usize = batches.iter().map(Batch::len).sum();
    Ok(watch.seconds() * 1e9 / records as f64)
}

/// The lines as a table for people.
pub fn text(lines: &[Line]) -> String {
    let columns = [
        ("operator", Align::Left),
        ("batch", Align::Right),
        ("native ns", Align::Right),
        ("wasm ns", Align::Right),
        ("boundary ns", Align::Right),
    ];
    let rows: Vec<[String; 5]> = lines
        .iter()
        .map(|line| {
            [
                line.work.to_owned(),
                line.batch.to_string(),
                format!("{:.1}", line.native_ns),
                format!("{:.1}", line.wasm_ns),
                format!("{:.1}", line.boundary_ns),
            ]
        })
        .collect();
    format::table(columns, &rows)
}
