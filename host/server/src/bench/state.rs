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
use keys::Batches;
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
    /// Accesses of one measurement.
    pub accesses: u64,
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
    let failed = |error: &dyn std::fmt::Display| error.to_string();
    let folder = directory.join("state-bench");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).map_err(|error| failed(&error))?;
    let cache = if cached { 256 << 20 } else { keys * CACHED_ENTRY_BYTES / 10 };
    let options = RocksOptions {
        write_behind_cache: cache,
        block_cache_size: if cached { 256 << 20 } else { cache },
        statistics: true,
        ..RocksOptions::default()
    };
    let groups = (KeyGroups::DEFAULT, KeyGroupRange::all(KeyGroups::DEFAULT));
    let (states, timers) = kind.declarations();
    let heap = HeapBackend::new(KeyLayout::U64, &states, &timers, groups.0, groups.1)
        .map_err(|error| failed(&error))?;
    let resources = RocksResources::new(options.clone());
    let declared = (&states[..], &timers[..]);
    let path = folder.join("backend");
    let rocks = RocksBackend::open(&path, &resources, KeyLayout::U64, declared, groups)
        .map_err(|error| failed(&error))?;
    let mut bare = Bare::new(kind, keys);
    let mut plain = Plain::open(kind, &folder.join("plain"), &options)?;
    let (mut heap, mut rocks) = (Worker::new(kind, heap), Worker::new(kind, rocks));

    let mut figures: [Vec<f64>; 4] = Default::default();
    let mut filled = Batches::each(keys);
    while let Some(batch) = filled.next() {
        bare.run(batch);
        heap.run(batch)?;
        rocks.run(batch)?;
        plain.run(batch)?;
    }
    rocks.settle()?;
    let entries = heap.backend.entries().max(1);
    let before = written(&rocks.backend);
    let mut accesses = 0;
    for round in 0..=settings.repetitions as u64 {
        let mut batches = Batches::drawn(keys, distribution, settings.accesses, round)?;
        // In turn, so that all see the same machine; the first round warms up.
        let mut seconds = [0.0; 4];
        while let Some(batch) = batches.next() {
            accesses += batch.len() as u64;
            seconds[0] += timed(|| {
                bare.run(batch);
                Ok(())
            })?;
            seconds[1] += timed(|| heap.run(batch))?;
            seconds[2] += timed(|| rocks.run(batch))?;
            seconds[3] += timed(|| plain.run(batch))?;
        }
        if round > 0 {
            for (figures, seconds) in figures.iter_mut().zip(seconds) {
                figures.push(seconds * 1e9 / batches.yielded() as f64);
            }
        }
    }
    rocks.settle()?;
    let disk = written(&rocks.backend).zip(before).map(|(after, before)| after - before);
    let [bare_ns, heap_ns, rocksdb_ns, plain_ns] = figures.map(median);
    let line = Line {
        kind,
        keys,
        cached,
        zipf,
        bare_ns,
        heap_ns,
        rocksdb_ns,
        plain_rocksdb_ns: (kind != Kind::Timers).then_some(plain_ns),
        heap_bytes_per_entry: (kind != Kind::Timers)
            .then(|| heap.backend.allocated_bytes() as f64 / entries as f64),
        rocksdb_write_amplification: disk
            .map(|disk| disk as f64 / (accesses * kind.changed_bytes()) as f64),
    };
    drop((rocks, plain));
    let _ = std::fs::remove_dir_all(&folder);
    Ok(line)
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
    let head = ["kind", "keys", "drawn", "bare", "heap", "rocksdb", "plain rocksdb", "B/entry", "written"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for line in lines {
        rows.push(vec![
            line.kind.name().to_owned(),
            format!("{}{}", format::count(line.keys), if line.cached { "" } else { ", 10 × cache" }),
            if line.zipf { "Zipf" } else { "uniform" }.to_owned(),
            number(Some(line.bare_ns), 1),
            number(Some(line.heap_ns), 1),
            number(Some(line.rocksdb_ns), 1),
            number(line.plain_rocksdb_ns, 1),
            number(line.heap_bytes_per_entry, 0),
            number(line.rocksdb_write_amplification, 2),
        ]);
    }
    let mut align = [Align::Right; 9];
    align[0] = Align::Left;
    align[1] = Align::Left;
    align[2] = Align::Left;
    format!(
        "nanoseconds an access, batches of 1024; bytes that RocksDB wrote for each byte changed\n{}",
        format::table(&rows, &align)
    )
}
