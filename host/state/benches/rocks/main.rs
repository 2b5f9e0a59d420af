//! A keyed running value in batches on the RocksDB backend, beside the heap backend and beside plain calls of RocksDB.
//!
//! Nanoseconds of the task's thread a record, and of the clock; RocksDB's own threads come on top. Arguments choose
//! parts: `sum`, `zipf`, `uniform`, `large`; `swap`, which is about other declarations, moving values and going back.

mod swap;

use std::collections::HashSet;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use rocksdb::{DB, Options, WriteBatch, WriteOptions};
use statehouse_state::key::hash_column;
use statehouse_state::{
    Backend, BytesColumn, Column, HeapBackend, KeyGroupRange, KeyGroups, KeyLayout, Now,
    RocksBackend, RocksOptions, RocksResources, StateDeclaration, StateId, StateKind, ValueLayout,
    Window, WriteSet,
};

const BATCH: usize = 1024;
const MIB: u64 = 1 << 20;
const STATE: StateId = StateId(0);
/// Bytes of a large value.
const LARGE: usize = 200;

#[expect(clippy::print_stdout, reason = "the figures are what it is for")]
fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if !arguments.iter().any(|argument| argument == "--bench") {
        // A test run builds the benchmarks and starts them, but has no use for figures.
        return;
    }
    let parts: Vec<_> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|wanted| *wanted == part);
    println!("batches of {BATCH}; ns a record: of the thread, of the clock");
    if wanted("sum") {
        sum();
    }
    if wanted("zipf") {
        zipf();
    }
    if wanted("uniform") {
        uniform();
    }
    if wanted("large") {
        large();
    }
    if wanted("swap") {
        swap::run();
    }
}

/// 100 thousand keys, a snapshot each second.
fn sum() {
    let batches = batches(100_000, 4 << 20, uniform_keys(100_000));
    let directory = tempfile::tempdir().expect("there is room for temporary files");
    let mut rocks = Task::rocks(directory.path(), RocksOptions::default(), ValueLayout::U64);
    running("heap", &mut Task::heap(ValueLayout::U64), &batches);
    running("rocks", &mut rocks, &batches);
}

/// Adds for some seconds, with a snapshot each second.
#[expect(clippy::print_stdout, reason = "the figures are what it is for")]
fn running<B: Backend>(name: &str, task: &mut Task<B>, batches: &[Vec<u64>]) {
    batches.iter().for_each(|batch| task.add(batch));
    let (start, mut last, mut records) = (now(), now(), 0_u64);
    let (mut snapshots, mut longest) = (0_u64, Duration::ZERO);
    while start.elapsed() < Duration::from_secs(6) {
        for batch in &batches[..256] {
            task.add(batch);
            records += batch.len() as u64;
            let before = now();
            let _ = task.backend.advance_snapshot(BATCH).expect("storage works");
            if last.elapsed() >= Duration::from_secs(1) {
                task.backend.start_snapshot(snapshots, false).expect("storage works");
                longest = longest.max(before.elapsed());
                (last, snapshots) = (now(), snapshots + 1);
            }
        }
    }
    println!(
        "sum, 100,000 keys, {snapshots} snapshots: {name:>6} {:>6.2} million records a second, longest stop {:.0} ms",
        records as f64 / start.elapsed().as_secs_f64() / 1e6,
        longest.as_secs_f64() * 1e3,
    );
}

/// A million keys, some of them far more often than others, all in the cache.
#[expect(clippy::print_stdout, reason = "the figures are what it is for")]
fn zipf() {
    let keys = 1_000_000;
    let batches = batches(keys, 4 << 20, zipf_keys(keys));
    let directory = tempfile::tempdir().expect("there is room for temporary files");
    let options = RocksOptions { write_behind_cache: 128 * MIB, ..RocksOptions::default() };
    let mut rocks = Task::rocks(directory.path(), options, ValueLayout::U64);
    let mut heap = Task::heap(ValueLayout::U64);
    let mut times = [[0.0; 2]; 2];
    for round in 0..3 {
        let measured = [
            measure(&batches, |batch| heap.add(batch)),
            measure(&batches, |batch| rocks.add(batch)),
        ];
        for (measured, times) in measured.into_iter().zip(&mut times) {
            if round > 0 && (times[0] == 0.0 || measured[0] < times[0]) {
                *times = measured;
            }
        }
    }
    let [heap, rocks] = times;
    println!("zipf, {keys} keys in the cache: heap {:.1} {:.1}", heap[0], heap[1]);
    println!(
        "zipf, {keys} keys in the cache: rocks {:.1} {:.1}, {:.2} of the heap",
        rocks[0],
        rocks[1],
        heap[0] / rocks[0]
    );
}

/// Ten times the keys that the cache holds, each as often as the others.
#[expect(clippy::print_stdout, reason = "the figures are what it is for")]
fn uniform() {
    let keys = 1_000_000;
    let batches = batches(keys, 1 << 20, uniform_keys(keys));
    let directory = tempfile::tempdir().expect("there is room for temporary files");
    // A row with one number takes 48 bytes.
    let write_behind_cache = keys / 10 * 48;
    let options = RocksOptions { write_behind_cache, ..RocksOptions::default() };
    let mut rocks = Task::rocks(&directory.path().join("rocks"), options, ValueLayout::U64);
    let mut plain = Plain::new(&directory.path().join("plain"));
    for first in (0..keys).step_by(BATCH) {
        let batch: Vec<u64> = (first..(first + BATCH as u64).min(keys)).collect();
        rocks.add(&batch);
        plain.add(&batch);
    }
    let mut best = [[f64::MAX; 2]; 2];
    for _ in 0..3 {
        let measured = [
            measure(&batches, |batch| rocks.add(batch)),
            measure(&batches, |batch| plain.add(batch)),
        ];
        for (best, measured) in best.iter_mut().zip(measured) {
            *best = [best[0].min(measured[0]), best[1].min(measured[1])];
        }
    }
    let [rocks, plain] = best;
    println!("uniform, {keys} keys, a tenth in the cache: plain {:.0} {:.0}", plain[0], plain[1]);
    println!(
        "uniform, {keys} keys, a tenth in the cache: rocks {:.0} {:.0}, {:.2} of plain",
        rocks[0],
        rocks[1],
        plain[0] / rocks[0]
    );
}

/// Five million values of 200 bytes.
#[expect(clippy::print_stdout, reason = "the figures are what it is for")]
fn large() {
    let keys = 5_000_000;
    let batches = batches(keys, 1 << 19, uniform_keys(keys));
    let directory = tempfile::tempdir().expect("there is room for temporary files");
    let mut rocks = Task::rocks(directory.path(), RocksOptions::default(), ValueLayout::Bytes);
    let start = now();
    for first in (0..keys).step_by(BATCH) {
        rocks.add(&(first..(first + BATCH as u64).min(keys)).collect::<Vec<_>>());
    }
    println!(
        "large, {keys} keys of {LARGE} bytes: filled with {:.2} million records a second",
        keys as f64 / start.elapsed().as_secs_f64() / 1e6
    );
    let before = written_bytes();
    let [thread, clock] = measure(&batches, |batch| rocks.add(batch));
    println!("large, {keys} keys of {LARGE} bytes: rocks {thread:.0} {clock:.0}");
    rocks.backend.start_snapshot(1, false).expect("storage works");
    let records: usize = batches.iter().map(Vec::len).sum();
    println!(
        "large: write amplification {:.2}, by all that went to files",
        (written_bytes() - before) as f64 / (records * (8 + LARGE)) as f64
    );
}

/// Bytes that the process has written to files, those of RocksDB's threads included.
fn written_bytes() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    let line = io.lines().find_map(|line| line.strip_prefix("wchar: "));
    line.and_then(|bytes| bytes.parse().ok()).unwrap_or(0)
}

/// Batches of distinct keys, as an engine hands them to a backend.
fn batches(keys: u64, records: usize, mut next: impl FnMut() -> u64) -> Vec<Vec<u64>> {
    let mut batch = || {
        let mut seen = HashSet::new();
        (0..BATCH).map(|_| next()).filter(|key| *key < keys && seen.insert(*key)).collect()
    };
    (0..records / BATCH).map(|_| batch()).collect()
}

fn uniform_keys(keys: u64) -> impl FnMut() -> u64 {
    let mut random = SmallRng::seed_from_u64(7);
    move || random.random_range(0..keys)
}

/// Keys of which the n-th is drawn in proportion to 1 / n.
fn zipf_keys(keys: u64) -> impl FnMut() -> u64 {
    let mut sum = 0.0;
    let sums: Vec<f64> = (1..=keys)
        .map(|rank| {
            sum += 1.0 / rank as f64;
            sum
        })
        .collect();
    let mut random = SmallRng::seed_from_u64(7);
    move || {
        let drawn = random.random_range(0.0..sum);
        sums.partition_point(|sum| *sum <= drawn) as u64
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn now() -> Instant {
    Instant::now()
}

/// How long this thread has run, where the kernel says so.
fn processor_time() -> Duration {
    thread_local!(static BASE: Instant = now());
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat");
    let nanoseconds = schedstat.ok().and_then(|line| line.split(' ').next()?.parse().ok());
    nanoseconds.map_or_else(|| BASE.with(Instant::elapsed), Duration::from_nanos)
}

/// Nanoseconds a record: of the thread, of the clock.
fn measure(batches: &[Vec<u64>], mut add: impl FnMut(&[u64])) -> [f64; 2] {
    let (clock, thread) = (now(), processor_time());
    batches.iter().for_each(|batch| add(black_box(batch)));
    let records = batches.iter().map(Vec::len).sum::<usize>() as f64;
    [processor_time() - thread, clock.elapsed()].map(|time| time.as_nanos() as f64 / records)
}

/// A backend with what a task keeps beside it.
struct Task<B> {
    backend: B,
    keys: Column,
    hashes: Vec<u64>,
    slots: Vec<u32>,
    window: Window,
    writes: WriteSet,
}

impl Task<HeapBackend> {
    fn heap(value: ValueLayout) -> Self {
        let states = [state(value)];
        let (groups, range) = (KeyGroups::DEFAULT, KeyGroupRange::all(KeyGroups::DEFAULT));
        let backend = HeapBackend::new(KeyLayout::U64, &states, &[], groups, range);
        Self::new(backend.expect("a value state is served"), &states)
    }
}

impl Task<RocksBackend> {
    fn rocks(directory: &Path, options: RocksOptions, value: ValueLayout) -> Self {
        let states = [state(value)];
        let groups = (KeyGroups::DEFAULT, KeyGroupRange::all(KeyGroups::DEFAULT));
        let resources = RocksResources::new(options);
        let declared = (&states[..], &[][..]);
        let backend = RocksBackend::open(directory, &resources, KeyLayout::U64, declared, groups);
        Self::new(backend.expect("storage works"), &states)
    }
}

impl<B: Backend> Task<B> {
    fn new(backend: B, states: &[StateDeclaration]) -> Self {
        Self {
            backend,
            keys: Column::empty(true),
            hashes: Vec::new(),
            slots: (0..BATCH as u32).collect(),
            window: Window::new(states[0].value.is_words()),
            writes: WriteSet::new(states),
        }
    }

    fn add(&mut self, batch: &[u64]) {
        let Column::Words(keys) = &mut self.keys else { unreachable!("made of words") };
        keys.clear();
        keys.extend_from_slice(batch);
        self.hashes.clear();
        hash_column(&self.keys, &mut self.hashes);
        let begun = self.backend.begin(&self.keys, &self.hashes, Now::default());
        begun.expect("all keys are of the range");
        self.backend.load(STATE, &mut self.window).expect("storage works");
        self.writes.clear();
        let slots = &self.slots[..batch.len()];
        match &mut self.window.values {
            Column::Words(values) => {
                values.iter_mut().for_each(|value| *value += 1);
                self.writes.set_words(STATE, slots, values);
            }
            Column::Bytes(values) => {
                let mut changed = BytesColumn::with_capacity(batch.len(), batch.len() * LARGE);
                let mut value = [0; LARGE];
                for (row, key) in values.iter().zip(batch) {
                    value[..row.len()].copy_from_slice(row);
                    if row.is_empty() {
                        // What compresses badly, as values do that carry many small fields.
                        SmallRng::seed_from_u64(*key).fill(&mut value[..]);
                    }
                    value[0] = value[0].wrapping_add(1);
                    changed.push(&value);
                }
                self.writes.set_column(STATE, slots, &Column::Bytes(changed));
            }
        }
        self.backend.commit(&self.writes).expect("storage works");
    }
}

fn state(value: ValueLayout) -> StateDeclaration {
    StateDeclaration {
        name: "value".to_owned(),
        kind: StateKind::Value,
        value,
        codec: "raw".to_owned(),
        schema: None,
        map_key: None,
        map_key_codec: None,
        map_key_schema: None,
        merge: None,
        ttl: None,
        schema_version: 1,
    }
}

/// RocksDB by itself: one sorted batch of look-ups and one sorted batch of writes, without its log.
struct Plain {
    db: DB,
    write_options: WriteOptions,
}

impl Plain {
    fn new(directory: &Path) -> Self {
        std::fs::create_dir_all(directory).expect("there is room for temporary files");
        let mut options = Options::default();
        options.create_if_missing(true);
        options.set_compression_type(rocksdb::DBCompressionType::Lz4);
        options.set_max_background_jobs(2);
        let mut tables = rocksdb::BlockBasedOptions::default();
        tables.set_block_cache(&rocksdb::Cache::new_lru_cache(256 << 20));
        tables.set_bloom_filter(10.0, false);
        options.set_block_based_table_factory(&tables);
        let db = DB::open_cf_with_opts(&options, directory, [("default", options.clone())]);
        let mut write_options = WriteOptions::new();
        write_options.disable_wal(true);
        Self { db: db.expect("storage works"), write_options }
    }

    fn add(&mut self, batch: &[u64]) {
        let mut keys: Vec<[u8; 12]> = batch
            .iter()
            .map(|&key| {
                let group = KeyGroups::DEFAULT.group_of(statehouse_state::key::hash_word(key)).0;
                let mut row = [0; 12];
                row[..2].copy_from_slice(&group.to_be_bytes());
                row[4..].copy_from_slice(&key.to_be_bytes());
                row
            })
            .collect();
        keys.sort_unstable();
        let family = self.db.cf_handle("default").expect("it was opened with it");
        let values = self.db.batched_multi_get_cf(family, &keys, true);
        let mut writes = WriteBatch::default();
        for (key, value) in keys.iter().zip(values) {
            let value = value.expect("storage works");
            let sum = value.map_or(0, |value| {
                u64::from_le_bytes(value[..].try_into().expect("values have eight bytes"))
            });
            writes.put(key, (sum + 1).to_le_bytes());
        }
        self.db.write_opt(writes, &self.write_options).expect("storage works");
    }
}
