//! What each kind of state costs on each backend, beside a bare native loop and plain calls of RocksDB in the same run.
//!
//! An access is one key of a batch: found, read if the kind is read, changed and committed. Batches are cut from the
//! generator's records and their keys made distinct beforehand, as the host does before it begins an invocation.

mod bare;
mod keys;
mod plain;
mod work;

use std::path::Path;

use serde::Serialize;
use statehouse_connectors::settings::Distribution;
use statehouse_state::rocks::{RocksBackend, RocksOptions, RocksResources};
use statehouse_state::{Backend, HeapBackend, KeyGroupRange, KeyGroups, KeyLayout};

use super::machine::Stopwatch;
use super::median;
use crate::format::{self, Align};
use bare::Bare;
use keys::{Batch, Batches};
use plain::Plain;
use work::Worker;

pub use work::Kind;

/// Keys that fit into RocksDB's write-behind cache.
pub const KEYS_CACHED: u64 = 100_000;

/// About the write-behind cache's bytes for one such key, so that a cache of a tenth can be made.
const CACHED_ENTRY_BYTES: u64 = 40;

/// What to measure.
#[derive(Debug, Clone)]
pub struct StateSettings {
    /// Which kinds.
    pub kinds: Vec<Kind>,
    /// Records of one measurement; keys that come twice in a batch are one access.
    pub records: u64,
    /// Measurements of each figure; medians count.
    pub repetitions: usize,
    /// Keys of the large state: ten times as many as its cache holds.
    pub keys_large: u64,
}

/// One line of the table. Nanoseconds an access, medians.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Line {
    pub kind: Kind,
    pub keys: u64,
    /// Whether all keys fit into the caches; else ten times as many as fit.
    pub cached: bool,
    pub zipf: bool,
    pub bare_ns: f64,
    pub heap_ns: f64,
    pub rocksdb_ns: f64,
    /// None for timers, which RocksDB has not.
    pub plain_rocksdb_ns: Option<f64>,
    /// Memory of the heap backend for each entry; none where it does not know (timers).
    pub heap_bytes_per_entry: Option<f64>,
    /// Bytes that RocksDB wrote to the disk, for each byte of keys and values that was changed.
    pub rocksdb_write_amplification: Option<f64>,
}

/// Measures every combination.
///
/// # Errors
/// If storage fails.
pub fn run(settings: &StateSettings, directory: &Path) -> Result<Vec<Line>, String> {
    let mut lines = Vec::new();
    for &kind in &settings.kinds {
        for (cached, zipf) in [(true, false), (true, true), (false, false), (false, true)] {
            lines.push(measure(settings, kind, cached, zipf, directory)?);
        }
    }
    Ok(lines)
}

fn measure(
    settings: &StateSettings,
    kind: Kind,
    cached: bool,
    zipf: bool,
    directory: &Path,
) -> Result<Line, String> {
    let keys = if cached { KEYS_CACHED } else { settings.keys_large };
    let distribution = if zipf { Distribution::Zipf } else { Distribution::Uniform };
    let folder = directory.join("state-bench");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let cache = if cached { 256 << 20 } else { keys * CACHED_ENTRY_BYTES / 10 };
    let mut rivals = Rivals::open(kind, keys, cache, &folder)?;
    let mut filled = Batches::each(keys);
    while let Some(batch) = filled.next() {
        rivals.run(batch)?;
    }
    rivals.rocks.settle()?;
    let entries = rivals.heap.backend.entries().max(1);
    let before = written(&rivals.rocks.backend);
    let mut accesses = 0;
    let mut figures: [Vec<f64>; 4] = Default::default();
    for round in 0..=settings.repetitions as u64 {
        let mut batches = Batches::drawn(keys, distribution, settings.records, round)?;
        // In turn, so that all see the same machine; the first round warms up.
        let mut seconds = [0.0; 4];
        while let Some(batch) = batches.next() {
            accesses += batch.len() as u64;
            let taken = rivals.run(batch)?;
            seconds.iter_mut().zip(taken).for_each(|(sum, taken)| *sum += taken);
        }
        if round > 0 {
            let of_access = 1e9 / batches.yielded() as f64;
            figures.iter_mut().zip(seconds).for_each(|(all, sum)| all.push(sum * of_access));
        }
    }
    rivals.rocks.settle()?;
    let disk = written(&rivals.rocks.backend).zip(before).map(|(after, before)| after - before);
    let [bare_ns, heap_ns, rocksdb_ns, plain_ns] = figures.map(median);
    let has_entries = kind != Kind::Timers;
    let heap_bytes = rivals.heap.backend.allocated_bytes() as f64 / entries as f64;
    let changed_bytes = (accesses * kind.changed_bytes()) as f64;
    drop(rivals);
    let _ = std::fs::remove_dir_all(&folder);
    Ok(Line {
        kind,
        keys,
        cached,
        zipf,
        bare_ns,
        heap_ns,
        rocksdb_ns,
        plain_rocksdb_ns: has_entries.then_some(plain_ns),
        heap_bytes_per_entry: has_entries.then_some(heap_bytes),
        rocksdb_write_amplification: disk.map(|disk| disk as f64 / changed_bytes),
    })
}

/// All that do the same work.
struct Rivals {
    bare: Bare,
    heap: Worker<HeapBackend>,
    rocks: Worker<RocksBackend>,
    plain: Plain,
}

impl Rivals {
    fn open(kind: Kind, keys: u64, cache: u64, folder: &Path) -> Result<Self, String> {
        let failed = |error: statehouse_state::Error| error.to_string();
        let options = RocksOptions {
            write_behind_cache: cache,
            block_cache_size: cache,
            statistics: true,
            ..RocksOptions::default()
        };
        let resources = RocksResources::new(options.clone());
        let groups = (KeyGroups::DEFAULT, KeyGroupRange::all(KeyGroups::DEFAULT));
        let (states, timers) = kind.declarations();
        let heap = HeapBackend::new(KeyLayout::U64, &states, &timers, groups.0, groups.1);
        let declared = (&states[..], &timers[..]);
        let path = folder.join("backend");
        let rocks = RocksBackend::open(&path, &resources, KeyLayout::U64, declared, groups);
        Ok(Self {
            bare: Bare::new(kind, keys),
            heap: Worker::new(kind, heap.map_err(failed)?),
            rocks: Worker::new(kind, rocks.map_err(failed)?),
            plain: Plain::open(kind, &folder.join("plain"), &options)?,
        })
    }

    /// One batch for each; the seconds that each took.
    fn run(&mut self, batch: &Batch) -> Result<[f64; 4], String> {
        Ok([
            timed(|| {
                self.bare.run(batch);
                Ok(())
            })?,
            timed(|| self.heap.run(batch))?,
            timed(|| self.rocks.run(batch))?,
            timed(|| self.plain.run(batch))?,
        ])
    }
}

fn timed(act: impl FnOnce() -> Result<(), String>) -> Result<f64, String> {
    let watch = Stopwatch::start();
    act()?;
    Ok(watch.seconds())
}

/// Bytes that flushes and compactions have written, by RocksDB's own count.
fn written(backend: &RocksBackend) -> Option<u64> {
    let statistics = backend.statistics()?;
    let ticker = |name: &str| {
        let line = statistics.lines().find(|line| line.starts_with(name))?;
        line.rsplit(' ').next()?.parse::<u64>().ok()
    };
    Some(ticker("rocksdb.flush.write.bytes ")? + ticker("rocksdb.compact.write.bytes ")?)
}

/// The lines for people.
pub fn text(lines: &[Line]) -> String {
    let number = |figure: Option<f64>, digits: usize| {
        figure.map_or_else(|| "-".to_owned(), |figure| format!("{figure:.digits$}"))
    };
    let rows: Vec<_> = lines
        .iter()
        .map(|line| {
            let cached = if line.cached { "" } else { ", 10 × cache" };
            [
                line.kind.name().to_owned(),
                format!("{}{cached}", format::count(line.keys)),
                if line.zipf { "Zipf" } else { "uniform" }.to_owned(),
                number(Some(line.bare_ns), 1),
                number(Some(line.heap_ns), 1),
                number(Some(line.rocksdb_ns), 1),
                number(line.plain_rocksdb_ns, 1),
                number(line.heap_bytes_per_entry, 0),
                number(line.rocksdb_write_amplification, 2),
            ]
        })
        .collect();
    let columns = [
        ("kind", Align::Left),
        ("keys", Align::Left),
        ("drawn", Align::Left),
        ("bare", Align::Right),
        ("heap", Align::Right),
        ("rocksdb", Align::Right),
        ("plain rocksdb", Align::Right),
        ("heap B/entry", Align::Right),
        ("written/changed", Align::Right),
    ];
    let head =
        "nanoseconds an access, batches of 1024; bytes that RocksDB wrote for each byte changed\n";
    format!("{head}{}", format::table(columns, &rows))
}
