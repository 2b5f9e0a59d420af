//! A keyed sum in batches on the heap backend, beside the least that any table must do.
//!
//! Prints one row a key count: nanoseconds a record of the backend (begin, load, add, commit), of a
//! bare loop that prefetches an open-addressing table of key and sum, and of the standard library's
//! map; memory a key; and what snapshots cost. Then one row a kind of state: what a batch costs, and memory a value
//! or entry. Arguments that are numbers replace the key counts.

mod kinds;

use std::collections::HashMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use statehouse_state::key::{hash_column, hash_word};
use statehouse_state::{
    Backend, Column, HeapBackend, KeyGroupRange, KeyGroups, KeyLayout, Now, StateDeclaration,
    StateId, StateKind, ValueLayout, Window, WriteSet,
};

pub(crate) const BATCH: usize = 1024;
const RUNS: usize = 5;
/// Records of one run.
const RECORDS: usize = 4 << 20;
const SUM: StateId = StateId(0);

#[expect(clippy::print_stdout, reason = "the figures are what it is for")]
fn main() {
    let asked: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let counts = match asked.is_empty() {
        false => asked,
        true if std::env::args().any(|argument| argument == "--bench") => {
            vec![100_000, 1_000_000, 16_000_000]
        }
        // A test run builds the benchmarks and starts them, but has no use for figures.
        true => return,
    };
    println!("ns a record, batches of {BATCH}, median of {RUNS} runs of {RECORDS} records");
    println!(
        "{:>10} {:>7} {:>7} {:>7} {:>7} {:>7} {:>7} {:>9} {:>11} {:>11} {:>11} {:>11}",
        "keys",
        "heap",
        "begin",
        "load",
        "commit",
        "bare",
        "std",
        "of bare",
        "bytes/key",
        "in snapshot",
        "start µs",
        "worst µs"
    );
    for &keys in &counts {
        let row = measure(keys);
        println!(
            "{keys:>10} {:>7.1} {:>7.1} {:>7.1} {:>7.1} {:>7.1} {:>7.1} {:>9.2} {:>11.1} {:>11.1} \
             {:>11.1} {:>11.1}",
            row.heap,
            row.parts[0],
            row.parts[1],
            row.parts[2],
            row.bare,
            row.std,
            row.bare / row.heap,
            row.bytes_per_key,
            row.snapshotting,
            row.start.as_secs_f64() * 1e6,
            row.worst.as_secs_f64() * 1e6,
        );
    }
    kinds::run(counts.into_iter().fold(0, usize::max).min(kinds::ENTRIES_MAX));
}

struct Row {
    heap: f64,
    /// Begin, load, commit.
    parts: [f64; 3],
    bare: f64,
    std: f64,
    bytes_per_key: f64,
    /// The longest start of a snapshot.
    start: Duration,
    /// The longest step of one.
    worst: Duration,
    /// Nanoseconds a record while snapshots are made.
    snapshotting: f64,
}

fn measure(keys: usize) -> Row {
    let batches = batches(keys);
    let mut table = Bare::new(keys);
    (0..keys as u64).for_each(|key| table.add(key));
    let mut map: HashMap<u64, u64> = (0..keys as u64).map(|key| (key, 0)).collect();
    let mut heap = Heap::new();
    for first in (0..keys as u64).step_by(BATCH) {
        heap.add_batch(&(first..(first + BATCH as u64).min(keys as u64)).collect::<Vec<_>>());
    }
    let bytes_per_key = heap.backend.allocated_bytes() as f64 / keys as f64;
    heap.parts = [Duration::ZERO; 3];
    let [time, bare, std] = medians([
        &mut || batches.iter().for_each(|batch| heap.add_batch(black_box(batch))),
        &mut || batches.iter().for_each(|batch| table.add_batch(black_box(batch))),
        &mut || {
            for key in batches.iter().flat_map(black_box) {
                *map.entry(*key).or_default() += 1;
            }
        },
    ]);
    let parts = heap.parts.map(|part| part.as_nanos() as f64 / (RUNS * RECORDS) as f64);
    let (snapshotting, start, worst) = snapshotting(&mut heap, &batches);
    Row { heap: time, parts, bare, std, bytes_per_key, start, worst, snapshotting }
}

/// Batches of distinct uniform keys, as an engine hands them to a backend.
fn batches(keys: usize) -> Vec<Vec<u64>> {
    let mut random = SmallRng::seed_from_u64(7);
    let mut batch = || {
        let mut batch: Vec<u64> = (0..BATCH).map(|_| random.random_range(0..keys as u64)).collect();
        let mut seen = std::collections::HashSet::new();
        batch.retain(|key| seen.insert(*key));
        batch
    };
    (0..RECORDS / BATCH).map(|_| batch()).collect()
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn now() -> Instant {
    Instant::now()
}

/// How long this thread has run, where the kernel says so, or else a clock: a machine that has
/// other work takes turns away, and that is not the table's doing.
pub(crate) fn processor_time() -> Duration {
    thread_local!(static BASE: Instant = now());
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat");
    let nanoseconds = schedstat.ok().and_then(|line| line.split(' ').next()?.parse().ok());
    nanoseconds.map_or_else(|| BASE.with(Instant::elapsed), Duration::from_nanos)
}

/// Nanoseconds a record of each, taken in turns, so that what else the machine does hits all alike.
fn medians<const N: usize>(mut contenders: [&mut dyn FnMut(); N]) -> [f64; N] {
    let mut times = [[0.0; RUNS]; N];
    for run in 0..RUNS {
        for (contender, times) in contenders.iter_mut().zip(&mut times) {
            let start = processor_time();
            contender();
            times[run] = (processor_time() - start).as_nanos() as f64 / RECORDS as f64;
        }
    }
    times.map(|mut times| {
        times.sort_unstable_by(f64::total_cmp);
        times[RUNS / 2]
    })
}

/// Runs with a snapshot started every 1024 batches: time a record, the longest start, the longest
/// step.
fn snapshotting(heap: &mut Heap, batches: &[Vec<u64>]) -> (f64, Duration, Duration) {
    let (mut start, mut worst) = (Duration::ZERO, Duration::ZERO);
    let (mut epoch, mut running) = (0, false);
    let [time] = medians([&mut || {
        for (number, batch) in batches.iter().enumerate() {
            let before = now();
            if number % 1024 == 0 && !running {
                heap.backend.start_snapshot(epoch, false).expect("none runs");
                start = start.max(before.elapsed());
                (epoch, running) = (epoch + 1, true);
            }
            heap.add_batch(black_box(batch));
            let before = now();
            if heap.backend.advance_snapshot(BATCH).expect("memory does not fail").is_some() {
                running = false;
            }
            worst = worst.max(before.elapsed());
        }
    }]);
    (time, start, worst)
}

/// The heap backend with what a task keeps beside it.
struct Heap {
    backend: HeapBackend,
    keys: Column,
    hashes: Vec<u64>,
    slots: Vec<u32>,
    sums: Vec<u64>,
    window: Window,
    writes: WriteSet,
    parts: [Duration; 3],
}

impl Heap {
    fn new() -> Self {
        let state = StateDeclaration {
            name: "sum".to_owned(),
            kind: StateKind::Value,
            value: ValueLayout::S64,
            codec: "raw".to_owned(),
            schema: None,
            map_key: None,
            map_key_codec: None,
            map_key_schema: None,
            merge: None,
            ttl: None,
            schema_version: 1,
        };
        let (groups, states) = (KeyGroups::DEFAULT, [state]);
        let range = KeyGroupRange::all(groups);
        let backend = HeapBackend::new(KeyLayout::U64, &states, &[], groups, range)
            .expect("a value state is served");
        Self {
            backend,
            keys: Column::empty(true),
            hashes: Vec::new(),
            slots: (0..BATCH as u32).collect(),
            sums: Vec::new(),
            window: Window::new(true),
            writes: WriteSet::new(&states),
            parts: [Duration::ZERO; 3],
        }
    }

    fn add_batch(&mut self, batch: &[u64]) {
        let start = now();
        let Column::Words(keys) = &mut self.keys else { unreachable!("made of words") };
        keys.clear();
        keys.extend_from_slice(batch);
        self.hashes.clear();
        hash_column(&self.keys, &mut self.hashes);
        self.backend
            .begin(&self.keys, &self.hashes, Now::default())
            .expect("all keys are of the range");
        let begun = now();
        self.backend.load(SUM, &mut self.window).expect("the window is one of words");
        let loaded = now();
        let Column::Words(values) = &self.window.values else { unreachable!("made of words") };
        self.sums.clear();
        self.sums.extend(values.iter().map(|value| value + 1));
        self.writes.clear();
        self.writes.set_words(SUM, &self.slots[..batch.len()], &self.sums);
        self.backend.commit(&self.writes).expect("memory does not fail");
        self.parts[0] += begun - start;
        self.parts[1] += loaded - begun;
        self.parts[2] += loaded.elapsed();
    }
}

/// The least: a power-of-two table of key and sum, at most 7 in 8 full, each batch hashed,
/// prefetched, then added.
struct Bare {
    rows: Vec<(u64, u64)>,
    places: Vec<usize>,
}

/// A key that is not in use.
const VACANT: u64 = u64::MAX;

impl Bare {
    fn new(keys: usize) -> Self {
        let capacity = (keys * 8 / 7).next_power_of_two();
        Self { rows: vec![(VACANT, 0); capacity], places: Vec::new() }
    }

    fn add(&mut self, key: u64) {
        let place = hash_word(key) as usize & (self.rows.len() - 1);
        self.add_at(place, key);
    }

    fn add_batch(&mut self, batch: &[u64]) {
        let mask = self.rows.len() - 1;
        self.places.clear();
        self.places.extend(batch.iter().map(|&key| hash_word(key) as usize & mask));
        for &place in &self.places {
            prefetch(&self.rows[place]);
        }
        for (slot, &key) in batch.iter().enumerate() {
            self.add_at(self.places[slot], key);
        }
    }

    #[inline]
    fn add_at(&mut self, mut place: usize, key: u64) {
        let mask = self.rows.len() - 1;
        loop {
            let row = &mut self.rows[place];
            if row.0 == key || row.0 == VACANT {
                *row = (key, row.1 + 1);
                return;
            }
            place = (place + 1) & mask;
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "the loop to compare with may use what the backend may not")]
fn prefetch<T>(at: &T) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a prefetch reads nothing, whatever the address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(at).cast()) }
}

#[cfg(not(target_arch = "x86_64"))]
fn prefetch<T>(at: &T) {
    black_box(at);
}
