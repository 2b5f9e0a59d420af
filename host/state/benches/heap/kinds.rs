//! What a batch of each kind of state costs, and memory a value or entry.

use std::hint::black_box;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use statehouse_state::key::hash_column;
use statehouse_state::{
    Backend, Column, Entries, HeapBackend, KeyGroupRange, KeyGroups, KeyLayout, Merge, Now, Scan,
    StateDeclaration, StateId, StateKind, TimeDomain, Ttl, TtlUpdate, TtlVisibility, ValueLayout,
    Window, WriteSet,
};

use crate::{BATCH, processor_time};

/// The most values or entries of one state.
pub(crate) const ENTRIES_MAX: usize = 1 << 20;
/// Batches of one measurement.
const BATCHES: usize = 1024;
/// Entries of a key of a collection.
const OF_KEY: u64 = 8;
const STATE: StateId = StateId(0);

/// Prints a row for each kind of state, with that many values or entries.
#[expect(clippy::print_stdout, reason = "the figures are what it is for")]
pub(crate) fn run(entries: usize) {
    println!(
        "\n{entries} values or entries, {OF_KEY} entries a key; ns a record, batches of {BATCH}"
    );
    println!("{:>24} {:>8} {:>8} {:>12}", "", "write", "read", "bytes each");
    for (name, state) in states() {
        let row = Measured::of(&state, entries as u64);
        println!("{name:>24} {:>8.1} {:>8.1} {:>12.1}", row.write, row.read, row.allocated);
    }
}

fn states() -> Vec<(&'static str, StateDeclaration)> {
    let state = |kind| StateDeclaration {
        name: "state".to_owned(),
        kind,
        value: ValueLayout::S64,
        codec: "raw".to_owned(),
        schema: None,
        map_key: (kind == StateKind::Map).then_some(KeyLayout::U64),
        map_key_codec: None,
        map_key_schema: None,
        merge: (kind == StateKind::Reducing).then_some(Merge::Sum),
        ttl: None,
        schema_version: 1,
    };
    let expiring = |kind| {
        let ttl = Ttl {
            milliseconds: 1_000_000,
            domain: TimeDomain::ProcessingTime,
            update: TtlUpdate::OnCreateAndWrite,
            visibility: TtlVisibility::NeverReturnExpired,
        };
        StateDeclaration { ttl: Some(ttl), ..state(kind) }
    };
    vec![
        ("value", state(StateKind::Value)),
        ("value, expiring", expiring(StateKind::Value)),
        ("sum, merged blindly", state(StateKind::Reducing)),
        ("sum, expiring", expiring(StateKind::Reducing)),
        ("map, by point", state(StateKind::Map)),
        ("map, expiring", expiring(StateKind::Map)),
        ("list, append and scan", state(StateKind::List)),
        ("list, expiring", expiring(StateKind::List)),
    ]
}

/// Figures of one state.
struct Measured {
    /// Nanoseconds a write, its invocation included.
    write: f64,
    /// Nanoseconds a value or point read, or a list of a few elements scanned, its invocation included.
    read: f64,
    /// Bytes a value or entry, as the backend counts them: its key's share included, the allocator's own not.
    allocated: f64,
}

impl Measured {
    fn of(state: &StateDeclaration, entries: u64) -> Self {
        let keys = if state.kind.is_collection() { entries / OF_KEY } else { entries };
        let mut task = Task::new(state);
        for round in 0..entries / keys {
            for first in (0..keys).step_by(BATCH) {
                let batch: Vec<u64> = (first..keys.min(first + BATCH as u64)).collect();
                task.write(&batch, |_| round);
            }
        }
        let allocated = task.backend.allocated_bytes() as f64 / entries as f64;
        let mut random = SmallRng::seed_from_u64(7);
        let batches: Vec<Vec<u64>> = (0..BATCHES)
            .map(|_| {
                let mut batch: Vec<u64> =
                    (0..BATCH).map(|_| random.random_range(0..keys)).collect();
                batch.sort_unstable();
                batch.dedup();
                // In no order, as an engine's batches are.
                batch.sort_unstable_by_key(|key| key.wrapping_mul(0x9e37_79b9_7f4a_7c15));
                batch
            })
            .collect();
        let records: usize = batches.iter().map(Vec::len).sum();
        let start = processor_time();
        batches.iter().for_each(|batch| task.read(black_box(batch)));
        let read = (processor_time() - start).as_nanos() as f64 / records as f64;
        let start = processor_time();
        batches.iter().for_each(|batch| task.write(black_box(batch), |key| key % OF_KEY));
        let write = (processor_time() - start).as_nanos() as f64 / records as f64;
        Self { write, read, allocated }
    }
}

/// A backend of one state.
struct Task {
    backend: HeapBackend,
    state: StateDeclaration,
    hashes: Vec<u64>,
    slots: Vec<u32>,
    window: Window,
    entries: Entries,
    writes: WriteSet,
}

impl Task {
    fn new(state: &StateDeclaration) -> Self {
        let (groups, states) = (KeyGroups::DEFAULT, [state.clone()]);
        let range = KeyGroupRange::all(groups);
        let backend = HeapBackend::new(KeyLayout::U64, &states, &[], groups, range);
        Self {
            backend: backend.expect("every kind is served"),
            state: state.clone(),
            hashes: Vec::new(),
            slots: (0..BATCH as u32).collect(),
            window: Window::new(true),
            entries: Entries::new(true, true),
            writes: WriteSet::new(&states),
        }
    }

    fn begin(&mut self, keys: &[u64]) -> Column {
        let column = Column::Words(keys.to_vec());
        self.hashes.clear();
        hash_column(&column, &mut self.hashes);
        let now = Now { processing_time: 1, watermark: 1 };
        self.backend.begin(&column, &self.hashes, now).expect("all keys are of the range");
        column
    }

    fn write(&mut self, keys: &[u64], entry: impl Fn(u64) -> u64) {
        let column = self.begin(keys);
        let slots = &self.slots[..keys.len()];
        self.writes.clear();
        match self.state.kind {
            StateKind::Map => {
                let entries = Column::Words(keys.iter().map(|key| entry(*key)).collect());
                self.writes.put_entries(STATE, slots, &entries, &column);
            }
            StateKind::List => self.writes.append(STATE, slots, &column),
            StateKind::Reducing => self.writes.merge(STATE, slots, &column),
            _ => self.writes.set_words(STATE, slots, keys),
        }
        self.backend.commit(&self.writes).expect("memory does not fail");
    }

    fn read(&mut self, keys: &[u64]) {
        self.begin(keys);
        match self.state.kind {
            StateKind::Map => {
                let entries = Column::Words(keys.iter().map(|key| key % OF_KEY).collect());
                let slots = &self.slots[..keys.len()];
                let loaded = self.backend.load_entries(STATE, slots, &entries, &mut self.window);
                loaded.expect("the window is one of words");
            }
            StateKind::List => {
                for slot in 0..keys.len() as u32 {
                    self.entries.clear();
                    let scan = Scan::all(slot, usize::MAX);
                    self.backend.scan(STATE, &scan, &mut self.entries).expect("columns of words");
                }
            }
            _ => self.backend.load(STATE, &mut self.window).expect("the window is one of words"),
        }
    }
}
