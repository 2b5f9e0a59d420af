//! What windows cost: the same records summed up over tumbling windows, and over sliding ones of the same length.
//!
//! Event time runs faster than the clock, so that many windows are over in one run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use statehouse_connectors::settings::GeneratorSettings;
use statehouse_connectors::{DiscardFactory, GeneratorFactory};
use statehouse_engine::{
    CheckpointSettings, Clock, Graph, JobPlan, Node, NodeKind, SystemClock, Warm, assemble, threads,
};
use statehouse_state::KeyGroups;
use statehouse_wasm::{Component, Limits};

use super::machine::Stopwatch;
use super::median;
use crate::format::{self, Align};
use crate::launch::heap_backends;
use crate::wasm_factory::WasmFactory;

/// What to measure.
#[derive(Debug, Clone)]
pub struct WindowSettings {
    /// Distinct keys, uniformly drawn.
    pub keys: u64,
    /// Records of one run.
    pub records: u64,
    /// Records of each key in each slide, about.
    pub density: u64,
    /// The length of a window.
    pub size: Duration,
    /// The time from one window to the next, where they slide.
    pub slide: Duration,
    /// Runs of each kind; medians count.
    pub repetitions: usize,
}

/// What was measured.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct WindowFigures {
    pub benchmark: &'static str,
    pub keys: u64,
    pub records: u64,
    pub records_per_key_and_slide: u64,
    pub size_ms: u64,
    pub slide_ms: u64,
    /// Windows as long as the size, one after the other.
    pub tumbling_ns: f64,
    /// Windows as long as the slide, one after the other: as many results as the sliding ones have.
    pub short_ns: f64,
    pub sliding_ns: f64,
    pub sliding_over_tumbling: f64,
}

/// Runs the three in turn.
///
/// # Errors
/// If a job fails.
pub fn run(settings: &WindowSettings, component: &Component) -> Result<WindowFigures, String> {
    let (size, slide) = (settings.size, settings.slide);
    let mut taken: [Vec<f64>; 3] = Default::default();
    for _ in 0..settings.repetitions.max(1) {
        for (taken, (size, slide)) in
            taken.iter_mut().zip([(size, size), (slide, slide), (size, slide)])
        {
            taken.push(job(settings, size, slide, component)? * 1e9 / settings.records as f64);
        }
    }
    let [tumbling_ns, short_ns, sliding_ns] = taken.map(median);
    Ok(WindowFigures {
        benchmark: "windows",
        keys: settings.keys,
        records: settings.records,
        records_per_key_and_slide: settings.density,
        size_ms: size.as_millis() as u64,
        slide_ms: slide.as_millis() as u64,
        tumbling_ns,
        short_ns,
        sliding_ns,
        sliding_over_tumbling: sliding_ns / tumbling_ns,
    })
}

/// Seconds from start to end.
fn job(
    settings: &WindowSettings,
    size: Duration,
    slide: Duration,
    component: &Component,
) -> Result<f64, String> {
    let failed = |error: &dyn std::fmt::Display| error.to_string();
    let slide_ms = settings.slide.as_millis() as u64;
    let generator = GeneratorFactory::new(GeneratorSettings {
        keys: settings.keys,
        records: Some(settings.records),
        records_per_ms: (settings.keys * settings.density / slide_ms.max(1)).max(1),
        ..GeneratorSettings::default()
    });
    let config = [("size-ms", size), ("slide-ms", slide)]
        .map(|(name, time)| (name.to_owned(), time.as_millis().to_string()));
    let factory = WasmFactory::new(component, "windows", config.into(), Limits::default())
        .map_err(|error| failed(&error))?;
    let inputs = BTreeMap::from([("numbers".to_owned(), vec!["numbers".to_owned()])]);
    let source = NodeKind::Source(Arc::new(generator.map_err(|error| failed(&error))?));
    let windows = NodeKind::Operator { factory: Arc::new(factory), inputs };
    let (factory, inputs) = (Arc::new(DiscardFactory::new()), vec!["windows.sums".to_owned()]);
    let sink = NodeKind::Sink { factory, inputs };
    let mut nodes = [("numbers", source), ("windows", windows), ("discard", sink)]
        .map(|(id, kind)| Node::new(id, kind));
    nodes[0].watermark_lag = Some(0);
    let graph = Graph::check("bench-windows", KeyGroups::DEFAULT, nodes.into());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let plan = JobPlan {
        graph: graph.map_err(|error| failed(&error))?,
        settings: CheckpointSettings::default(),
        checkpoints: None,
        restore: None,
        clock: Arc::clone(&clock),
        backend: heap_backends(),
        scratch: None,
        restores_max: 1,
        seed: 0,
        warm: Warm::default(),
    };
    let assembled = assemble(plan).map_err(|error| failed(&error))?;
    let watch = Stopwatch::start();
    threads::run(assembled, &clock).map_err(|error| failed(&error))?;
    Ok(watch.seconds())
}

/// The figures for people.
pub fn text(figures: &WindowFigures) -> String {
    let row = |what: &str, size: u64, slide: u64, ns: f64| {
        let times = format!("{:.2}", ns / figures.tumbling_ns);
        [what.to_owned(), format!("{size} ms"), format!("{slide} ms"), format!("{ns:.1}"), times]
    };
    let (size, slide) = (figures.size_ms, figures.slide_ms);
    let rows = [
        row("tumbling", size, size, figures.tumbling_ns),
        row("tumbling", slide, slide, figures.short_ns),
        row("sliding", size, slide, figures.sliding_ns),
    ];
    let columns = [
        ("windows", Align::Left),
        ("size", Align::Right),
        ("every", Align::Right),
        ("ns a record", Align::Right),
        ("× tumbling", Align::Right),
    ];
    let head = format!(
        "{}, {}, about {} of a key in {slide} ms\n",
        format::counted(figures.keys, "key"),
        format::counted(figures.records, "record"),
        format::counted(figures.records_per_key_and_slide, "record"),
    );
    head + &format::table(columns, &rows)
}
